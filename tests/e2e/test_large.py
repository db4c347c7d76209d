"""A large message passes through both programs without being held in memory."""

from concurrent.futures import ThreadPoolExecutor

from smtp_client import Smtp, message

GROWTH = 16 << 20


def test_fifty_megabytes_grow_neither_program_by_sixteen(store, front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    text = message(50_000_000)
    with Smtp(front.smtp) as smtp:
        # The first message fills pools that stay.
        assert smtp.deliver("alice@example.org", message(100_000), size=100_000) == "250 2.0.0"
        programs = (store.program, front.program)
        before = {}
        for program in programs:
            program.forget_peak_memory()
            before[program.name] = program.memory("VmRSS")
        assert smtp.deliver("alice@example.org", text, size=len(text)) == "250 2.0.0"
    for program in programs:
        growth = program.memory("VmHWM") - before[program.name]
        print(f"{program.name}: {growth / 1e6:.1f} MB")
        assert growth < GROWTH, f"{program.name}: {growth} octets more"
    stored = api.messages("alice@example.org")[-1]
    assert api.read(stored.name).endswith(text)
    api.assert_exact("alice@example.org")


def test_one_chunk_of_fifty_megabytes_grows_neither(store, front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    text = message(50_000_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(100_000), size=100_000) == "250 2.0.0"
        programs = (store.program, front.program)
        before = {}
        for program in programs:
            program.forget_peak_memory()
            before[program.name] = program.memory("VmRSS")
        assert smtp.mail(size=len(text) + 3) == "250 2.1.0" and smtp.rcpt("alice@example.org") == "250 2.1.5"
        assert smtp.bdat(text) == "250 2.0.0"
        assert smtp.bdat(b"end", last=True) == "250 2.0.0"
    for program in programs:
        growth = program.memory("VmHWM") - before[program.name]
        assert growth < GROWTH, f"{program.name}: {growth} octets more"
    assert api.read(api.messages("alice@example.org")[-1].name).endswith(text + b"end")
    api.assert_exact("alice@example.org")


def test_without_size_and_with_many_at_once_nothing_is_lost(front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    texts = [message(6_000_000, seed=i) for i in range(4)]

    def send(text):
        with Smtp(front.smtp) as smtp:
            return smtp.deliver("alice@example.org", text)

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(send, texts))
    assert all(r == "250 2.0.0" for r in replies), replies
    stored = api.texts("alice@example.org")
    assert len(stored) == 4
    for text in texts:
        assert sum(s.endswith(text) for s in stored) == 1
    api.assert_exact("alice@example.org")
