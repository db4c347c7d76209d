"""A large message passes through both programs without being held in memory."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

from smtp_client import Smtp, message

GROWTH = 16 << 20


@contextlib.contextmanager
def grown_little(store, front, smtp):
    """What happens within it makes neither program larger by GROWTH."""
    # The first message fills pools that stay.
    assert smtp.deliver("alice@example.org", message(100_000), size=100_000) == "250 2.0.0"
    before = {}
    for program in (store.program, front.program):
        program.forget_peak_memory()
        before[program] = program.memory("VmRSS")
    yield
    for program, octets in before.items():
        growth = program.memory("VmHWM") - octets
        print(f"{program.name}: {growth / 1e6:.1f} MB")
        assert growth < GROWTH, f"{program.name}: {growth} octets more"


def test_fifty_megabytes_grow_neither_program_by_sixteen(store, front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    text = message(50_000_000)
    with Smtp(front.smtp) as smtp, grown_little(store, front, smtp):
        assert smtp.deliver("alice@example.org", text, size=len(text)) == "250 2.0.0"
    stored = api.messages("alice@example.org")[-1]
    assert api.read(stored.name).endswith(text)
    api.assert_exact("alice@example.org")


def test_one_chunk_of_fifty_megabytes_grows_neither(store, front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    text = message(50_000_000)
    with Smtp(front.smtp) as smtp, grown_little(store, front, smtp):
        assert smtp.mail(size=len(text) + 3) == "250 2.1.0" and smtp.rcpt("alice@example.org") == "250 2.1.5"
        assert smtp.bdat(text) == "250 2.0.0"
        assert smtp.bdat(b"end", last=True) == "250 2.0.0"
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
