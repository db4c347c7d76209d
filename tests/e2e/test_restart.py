"""SIGTERM: what is open goes on, what is new is told to come back, and nothing is lost or doubled."""

import os
import signal
import socket
import subprocess

import pytest

import hand_over
import harness
import recipe
from hand_over import ALICE, Flusher, Service
from letters import Load, assert_arrived
from postfix import Postfix
from smtp_client import Lost, Smtp, message, stuffed

TEXT = message(100_000)


@pytest.fixture
def mailboxes(api):
    hand_over.create_mailboxes(api)


def half_sent(address):
    """A transaction in the middle of its text."""
    client = Smtp(address)
    assert client.mail().code == 250
    assert client.rcpt(ALICE).code == 250
    assert client.data() == 354
    client.send(TEXT[:50_000])
    return client


def terminate(program):
    program.process.send_signal(signal.SIGTERM)


def test_a_store_that_stops_finishes_what_is_open_and_refuses_what_is_new(store, front, api, mailboxes):
    client = half_sent(front.smtp)
    terminate(store.program)
    harness.poll(lambda: "stopping" in store.program.log_text(), "the store to be told")

    def refused():
        with Smtp(front.smtp) as newcomer:
            if newcomer.mail() != "421 4.3.2":
                return False
            assert newcomer.ended()
            return True

    harness.poll(refused, "a new transaction to be refused")
    assert store.program.running(), "a transaction is open"
    client.send(stuffed(TEXT)[50_000:])
    assert client.reply() == "250 2.0.0", "354 was a promise"
    assert store.program.process.wait(harness.PATIENCE) == 0
    assert "cut off" not in store.program.log_text()
    store.start()
    api.ready()
    assert api.usage(ALICE).messages == 1
    client.close()


class TestInAHurry:
    @pytest.fixture
    def options(self):
        return {"store": ["--drain-timeout", "100d"], "front": []}

    def test_a_second_signal_ends_the_wait(self, store, front, mailboxes):
        client = half_sent(front.smtp)
        terminate(store.program)
        harness.poll(lambda: "stopping" in store.program.log_text(), "the store to be told")
        assert store.program.running()
        terminate(store.program)
        assert store.program.process.wait(harness.PATIENCE) == 0
        assert "transactions are cut off" in store.program.log_text()
        client.send(stuffed(TEXT)[50_000:])
        assert client.reply().code == 451
        client.close()


def test_a_front_end_that_stops_finishes_what_is_open(store, front, api, mailboxes):
    client, idle = half_sent(front.smtp), Smtp(front.smtp)
    terminate(front.program)
    assert idle.reply() == "421 4.3.2" and idle.ended()
    with pytest.raises((Lost, OSError)):
        Smtp(front.smtp)
    client.send(stuffed(TEXT)[50_000:])
    assert client.reply() == "250 2.0.0"
    assert client.reply() == "421 4.3.2"
    assert front.program.process.wait(harness.PATIENCE) == 0
    assert api.usage(ALICE).messages == 1


class TestWithPatience:
    @pytest.fixture
    def options(self):
        return {"store": [], "front": ["--drain-timeout", "100ms"]}

    def test_who_sends_nothing_is_waited_for_only_so_long(self, front, mailboxes):
        client = half_sent(front.smtp)
        terminate(front.program)
        assert client.reply() == "421 4.3.2" and client.ended()
        assert front.program.process.wait(harness.PATIENCE) == 0


def test_a_service_manager_is_told(directory):
    path = directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(path))
        manager.settimeout(harness.PATIENCE)
        for name, args in (("restante-store", ["--engine", "memory", "--listen", "127.0.0.1:0"]),
                           ("restante-smtp", ["--smtp-listen", "127.0.0.1:0", "--lmtp-listen", "127.0.0.1:0",
                                              "--policy-listen", "none", "--socketmap-listen", "none",
                                              "--hostname", "mx.example.org"])):
            environment = {**harness.environment(), "NOTIFY_SOCKET": os.fspath(path)}
            with subprocess.Popen([harness.PROGRAMS[name], *args, "--ops-listen", "none"], env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
                assert manager.recv(100) == b"READY=1"
                program.send_signal(signal.SIGTERM)
                assert manager.recv(100) == b"STOPPING=1"
                assert program.wait(harness.PATIENCE) == 0


@pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")
def test_a_rolling_restart_under_load_delivers_each_of_5000_letters_once(directory, start, store, api, mailboxes):
    service = Service(start, store, api)
    postfix = Postfix(directory, service.addresses["lmtp"], recipe.read("postfix/main.cf", service.addresses))
    try:
        count = 5000
        load = Load(postfix.address, ALICE, count, senders=8)
        with Flusher(postfix):
            for which, after in (("store", 500), ("front end", 1500), ("store", 2500), ("front end", 3500)):
                harness.poll(lambda: service.stored() >= after, f"{after} letters", harness.PATIENCE * 3)
                before = service.stored()
                assert (store.program if which == "store" else service.front.program).stop() == 0
                assert before < count and load.running(), f"all was over before the {which} was restarted"
                service.start_again(which)
            load.join()
            harness.poll(lambda: service.stored() >= count and postfix.queued() == 0, "Postfix's queue to be empty",
                         harness.PATIENCE * 3, interval=0.1)
        assert_arrived(api, ALICE, load.keys, once=True)
        api.assert_exact(ALICE)
        api.await_nothing_reserved(ALICE)
        assert "status=bounced" not in postfix.log()
    finally:
        postfix.stop()
        print(postfix.log()[-3000:])
