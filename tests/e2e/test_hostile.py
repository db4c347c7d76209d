"""Peers that mean no good, or know no better: memory and time are bounded, and honest ones are served meanwhile."""

import collections
import contextlib
import resource
import socket
import threading
import time

import pytest

import harness
from smtp_client import Lost, Smtp, message

CONNECTIONS = 10_000


@pytest.fixture(autouse=True)
def mailboxes(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")


@pytest.fixture
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(address, source="127.0.0.1"):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), harness.PATIENCE, (source, 0))


def line(peer):
    """A line of the server."""
    got = b""
    while not got.endswith(b"\n"):
        octets = peer.recv(1)
        if not octets:
            raise Lost(got)
        got += octets
    return got.decode()


def trickle(peer):
    """An octet now and then, until the server has had enough."""
    with pytest.raises(OSError):
        for _ in range(int(10 * harness.PATIENCE)):
            peer.sendall(b"x")
            time.sleep(0.1)


def deliver(front):
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(2000)) == 250


@contextlib.contextmanager
def honest_beside(front):
    """Somebody delivers all the while, again and again; what was begun within is done within."""
    ended, served, failures = threading.Event(), [], []

    def run():
        try:
            while not ended.is_set():
                deliver(front)
                served.append(time.monotonic())
                # The port of each connection stays taken for a minute.
                ended.wait(0.02)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
        harness.poll(lambda: served or failures, "the honest one to be served")
    finally:
        ended.set()
        thread.join()
    assert not failures, failures
    print(f"{len(served)} messages of an honest client meanwhile")


def test_idle_connections_cost_little_and_hold_nobody_up(front, descriptors):
    deliver(front)
    before = front.program.memory("VmRSS")
    peers = []
    try:
        for i in range(CONNECTIONS):
            # One address has 28,000 ports at most for us.
            peers.append(connect(front.smtp, f"127.0.0.{1 + i % 4}"))
        for peer in peers:
            assert line(peer).startswith("220")
        for peer in peers:
            peer.sendall(b"NOOP\r\n")
        for peer in peers:
            assert line(peer).startswith("250")
        each = (front.program.memory("VmRSS") - before) / CONNECTIONS
        print(f"{each:.0f} octets for each of {CONNECTIONS} idle connections")
        assert each < 24 * 1024 * harness.MEMORY_FACTOR
        deliver(front)
    finally:
        for peer in peers:
            peer.close()


def test_a_million_recipients_are_answered_in_bounded_memory(front, api):
    count, group = 1_000_000, 1000
    before = None
    with Smtp(front.smtp) as smtp, honest_beside(front):
        assert smtp.mail() == 250
        assert smtp.rcpt("alice@example.org") == 250

        def ask():
            for begin in range(0, count, group):
                smtp.socket.sendall(b"".join(
                    b"RCPT TO:<nobody%d@example.org>\r\n" % i for i in range(begin, begin + group)))

        asker = threading.Thread(target=ask)
        asker.start()
        replies, rest = collections.Counter(), b""
        while replies.total() < count:
            octets = smtp.socket.recv(1 << 20)
            assert octets, replies
            *lines, rest = (rest + octets).split(b"\r\n")
            replies.update(line[:9] for line in lines)
            if before is None and replies.total() >= count // 10:
                before = front.program.memory("VmRSS")
        asker.join()
        assert rest == b""
        # From a bound on, the store is not asked any more.
        assert set(replies) == {b"550 5.1.1", b"452 4.5.3"} and replies.total() == count, replies
        grown = front.program.memory("VmHWM") - before
        assert smtp.data() == 354
        assert smtp.text(message(1000)) == 250
    assert grown < (16 << 20) * harness.MEMORY_FACTOR, f"{grown} octets"
    api.assert_exact("alice@example.org")


def test_the_store_that_is_asked_for_a_hundred_thousand_keeps_none_of_them(front, store, api):
    def ask(transactions):
        with Smtp(front.smtp) as smtp:
            for _ in range(transactions):
                smtp.send(b"MAIL FROM:<sender@example.net>\r\n")
                smtp.send(b"".join(b"RCPT TO:<nobody%d@example.org>\r\n" % i for i in range(999)))
                smtp.send(b"RCPT TO:<alice@example.org>\r\nRSET\r\n")
                replies = [smtp.reply() for _ in range(1002)]
                assert replies[0] == 250 and replies[-2] == 250 and replies[-1] == 250, replies
                assert all(reply == "550 5.1.1" for reply in replies[1:-2])

    with honest_beside(front):
        ask(10)
        before = {program: program.memory("VmRSS") for program in (front.program, store.program)}
        ask(100)
        for program, memory in before.items():
            grown = program.memory("VmHWM") - memory
            assert grown < (32 << 20) * harness.MEMORY_FACTOR, f"{program.name}: {grown} octets"
    api.await_nothing_reserved("alice@example.org")


def test_an_endless_line_is_refused_once_and_not_kept(front):
    deliver(front)
    before = front.program.memory("VmRSS")
    with Smtp(front.smtp) as smtp, honest_beside(front):
        for _ in range(64):
            smtp.socket.sendall(b"x" * (1 << 20))
        smtp.socket.sendall(b"\r\nNOOP\r\n")
        assert smtp.reply() == 500
        assert smtp.reply() == 250
    grown = front.program.memory("VmHWM") - before
    assert grown < (4 << 20) * harness.MEMORY_FACTOR, f"{grown} octets"


def test_garbage_ends_with_421_and_one_line_for_each(front):
    with honest_beside(front):
        for _ in range(20):
            with connect(front.smtp) as peer:
                assert line(peer).startswith("220")
                peer.sendall(bytes(range(256)) * 40 + b"\r\n" * 200)
                replies = []
                while not replies or not replies[-1].startswith("421"):
                    replies.append(line(peer))
                assert len(replies) <= 20
                assert all(reply.startswith("500") for reply in replies[:-1])
                assert peer.recv(1) == b""


@pytest.mark.parametrize("options", [{"store": [], "front": []}, {"store": ["--max-message", "100"], "front": []}],
                         ids=["stored", "discarded"])
@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
def test_no_mixture_around_a_dot_ends_a_text_at_any_buffers_edge(front, api, options, lmtp):
    edges = (512, 1000, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
    mixtures = (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\r\n.\n", b"\n\n.\r\n",
                b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\0\n", b"\0\r\0\n.\r\n")
    sent = []
    with Smtp(front.lmtp if lmtp else front.smtp, lmtp=lmtp) as smtp:
        for mixture in mixtures:
            for shift in range(len(mixture) + 1):
                text = b"Subject: x\r\n\r\n"
                for edge in edges:
                    text = text.ljust(edge - shift, b"x") + mixture + b"RSET\r\n"
                assert [smtp.mail(), smtp.rcpt("alice@example.org"), smtp.data()] == [250, 250, 354]
                for begin, end in zip((0, *edges), (*edges, len(text))):
                    smtp.send(text[begin:end])
                smtp.send(b".\r\n")
                assert smtp.reply() == ("552 5.3.4" if options["store"] else "250 2.0.0"), (mixture, shift)
                assert smtp.command("NOOP") == 250, f"one reply too many: {mixture}, {shift}"
                sent.append(text.replace(b"\r\n.", b"\r\n"))
    stored = [text[text.index(b"Subject: x"):] for text in api.texts("alice@example.org")]
    assert stored == ([] if options["store"] else sent)


def test_an_early_talker_is_answered_in_order_behind_the_greeting(front, api):
    with honest_beside(front):
        for _ in range(20):
            with connect(front.smtp) as early:
                early.sendall(b"EHLO early\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"
                              b"Subject: early\r\n\r\ntext\r\n.\r\nNONSENSE\r\nQUIT\r\n")
                replies = []
                while not replies or not replies[-1].startswith("221"):
                    replies.append(line(early))
                codes = [reply[:3] for reply in replies if reply[3] == " "]
                assert codes == ["220", "250", "250", "250", "354", "250", "500", "221"], replies
                assert early.recv(1) == b""
    assert sum(b"Subject: early" in text for text in api.texts("alice@example.org")) == 20


def test_who_says_nothing_gets_421_and_who_reads_nothing_is_let_go(start, store):
    front = start(harness.Front, store.address, "--idle-timeout", "4s")
    with connect(front.smtp) as silent, connect(front.smtp) as deaf, honest_beside(front):
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"HELP\r\n" * 50)
        assert line(silent).startswith("220")
        assert line(silent).startswith("421 4.4.2")
        assert silent.recv(1) == b""
    with connect(front.smtp) as trickling, honest_beside(front):
        assert line(trickling).startswith("220")
        # An octet now and then makes no command.
        trickle(trickling)


class TestSlowText:
    @pytest.fixture
    def options(self):
        return {"store": ["--transaction-max", "5s"], "front": ["--idle-timeout", "4s"]}

    def test_one_that_never_ends_is_refused_in_time_and_its_room_is_free(self, front, api):
        api.create_mailbox("small@example.org", max_messages=1)
        with Smtp(front.smtp) as slow, honest_beside(front):
            assert slow.mail() == 250
            assert slow.rcpt("small@example.org") == 250
            assert slow.data() == 354
            with Smtp(front.smtp) as other:
                assert other.deliver("small@example.org", message(2000)) == "452 4.2.2"
            # It is not idle and has to make way all the same; then what it sends is thrown away.
            trickle(slow.socket)
            with Smtp(front.smtp) as other:
                assert other.deliver("small@example.org", message(2000)) == 250


def test_a_peer_that_is_gone_without_a_word_keeps_no_room(start, api, store):
    api.create_mailbox("small@example.org", max_messages=2)
    front = start(harness.Front, store.address, "--idle-timeout", "4s")
    # Two of whom nothing comes any more, not even an end: before DATA, and within the text.
    gone = [Smtp(front.smtp) for _ in range(2)]
    with honest_beside(front):
        for smtp in gone:
            assert smtp.mail() == 250
            assert smtp.rcpt("small@example.org") == 250
        assert gone[1].data() == 354
        gone[1].send(b"Subject: half a let")
        harness.poll(lambda: api.usage("small@example.org").reserved_messages == 0, "their room to be free")
    for smtp in gone:
        assert smtp.reply() == "421 4.4.2"
        smtp.close()
    with Smtp(front.smtp) as other:
        assert other.deliver("small@example.org", message(2000)) == 250


def test_when_it_is_full_one_is_told_so_and_the_silent_make_room(start, store):
    front = start(harness.Front, store.address, "--max-connections", "20")
    silent = [connect(front.smtp) for _ in range(20)]
    try:
        for peer in silent:
            assert line(peer).startswith("220")
        with connect(front.smtp) as next_one:
            assert line(next_one).startswith("421 4.3.2")
        for peer in silent:
            assert line(peer).startswith("421 4.4.2")
            peer.close()

        def delivered():
            try:
                deliver(front)
                return True
            except (AssertionError, Lost, OSError):
                return False

        harness.poll(delivered, "room for an honest client")
    finally:
        for peer in silent:
            peer.close()
    log = front.program.log_text()
    assert "Too many connections" in log


def test_one_stranger_leaves_room_for_the_next(start, store):
    front = start(harness.Front, store.address, "--client-connections", "5", "--client-errors-per-minute", "30",
                  "--client-connections-per-minute", "50", "--trusted-networks", "127.0.0.1")
    stranger = [connect(front.smtp, "127.0.0.2") for _ in range(6)]
    try:
        replies = [line(peer) for peer in stranger]
        assert [reply[:3] for reply in replies] == ["220"] * 5 + ["421"]
        assert "421 4.7.0" in replies[5]
        with connect(front.smtp, "127.0.0.3") as other:
            assert line(other).startswith("220")
        deliver(front)
    finally:
        for peer in stranger:
            peer.close()
    for _ in range(2):
        with connect(front.smtp, "127.0.0.4") as wrong:
            assert line(wrong).startswith("220")
            wrong.sendall(b"FOO\r\n" * 20)
            while not line(wrong).startswith("421"):
                pass
            wrong.recv(1)

    def kept_out():
        with connect(front.smtp, "127.0.0.4") as again:
            return "errors" in line(again)

    harness.poll(kept_out, "errors that count")

    def restless():
        with connect(front.smtp, "127.0.0.5") as again:
            return "connections from your address within a minute" in line(again)

    with honest_beside(front):
        harness.poll(restless, "connections that count")
