"""Peers that mean no good, or know no better: memory and time are bounded, and honest ones are served."""

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


def deliver(front):
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(2000)) == 250


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


def test_a_hundred_thousand_recipients_are_answered_in_bounded_memory(front, api):
    count = 100_000
    deliver(front)
    before = front.program.memory("VmRSS")
    with Smtp(front.smtp) as smtp:
        assert smtp.mail() == 250
        assert smtp.rcpt("alice@example.org") == 250

        def ask():
            for begin in range(0, count, 1000):
                smtp.socket.sendall(b"".join(
                    b"RCPT TO:<nobody%d@example.org>\r\n" % i for i in range(begin, begin + 1000)))

        asker = threading.Thread(target=ask)
        asker.start()
        replies = [repr(smtp.reply()) for _ in range(count)]
        asker.join()
        # From a bound on, the store is not asked any more.
        assert set(replies) == {"550 5.1.1", "452 4.5.3"}
        assert replies == sorted(replies, reverse=True)
        assert smtp.data() == 354
        assert smtp.text(message(1000)) == 250
    grown = front.program.memory("VmHWM") - before
    assert grown < (16 << 20) * harness.MEMORY_FACTOR, f"{grown} octets"
    assert len(api.messages("alice@example.org")) == 2


def test_an_endless_line_is_refused_once_and_not_kept(front):
    deliver(front)
    before = front.program.memory("VmRSS")
    with Smtp(front.smtp) as smtp:
        for _ in range(64):
            smtp.socket.sendall(b"x" * (1 << 20))
        smtp.socket.sendall(b"\r\nNOOP\r\n")
        assert smtp.reply() == 500
        assert smtp.reply() == 250
    grown = front.program.memory("VmHWM") - before
    assert grown < (4 << 20) * harness.MEMORY_FACTOR, f"{grown} octets"


def test_garbage_ends_with_421_and_one_line_for_each(front):
    with connect(front.smtp) as peer:
        assert line(peer).startswith("220")
        peer.sendall(bytes(range(256)) * 40 + b"\r\n" * 200)
        replies = []
        while not replies or not replies[-1].startswith("421"):
            replies.append(line(peer))
        assert len(replies) <= 20
        assert all(reply.startswith("500") for reply in replies[:-1])
        assert peer.recv(1) == b""
    deliver(front)


def test_who_says_nothing_gets_421_and_who_reads_nothing_is_let_go(start, store):
    front = start(harness.Front, store.address, "--idle-timeout", "2s")
    with connect(front.smtp) as silent, connect(front.smtp) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"HELP\r\n" * 50)
        assert line(silent).startswith("220")
        assert line(silent).startswith("421 4.4.2")
        assert silent.recv(1) == b""
    with connect(front.smtp) as trickling:
        assert line(trickling).startswith("220")
        # An octet now and then makes no command.
        with pytest.raises(OSError):
            for _ in range(200):
                trickling.sendall(b"x")
                time.sleep(0.1)
    deliver(front)


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
                  "--trusted-networks", "127.0.0.1")
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
