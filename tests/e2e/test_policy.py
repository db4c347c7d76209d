"""What other MTAs ask: Postfix's policy protocol and socketmaps, octet by octet."""

import os
import signal

import pytest

import harness
from peer import Peer


@pytest.fixture(autouse=True)
def mailboxes(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    api.create_mailbox("full@example.org", max_messages=0)
    api.create_mailbox("small@example.org", max_bytes=100_000)
    api.create_alias("info@example.org", "alice@example.org")


@pytest.fixture
def front(front):
    """One that has found its store: until then its answers are DUNNO and TEMP."""
    with Peer(front.socketmap) as mta:
        harness.poll(lambda: mta.look_up("domain", "example.org").startswith("OK "), "the front end to find the store")
    return front


def test_policy_answers_for_each_recipient(front):
    with Peer(front.policy) as mta:
        assert mta.policy(recipient="alice@example.org", size=5000) == "DUNNO"
        assert mta.policy(recipient="full@example.org") == "452 4.2.2 Mailbox full"
        assert mta.policy(recipient="small@example.org", size=99_000) == "DUNNO"
        assert mta.policy(recipient="small@example.org", size=101_000) == "452 4.2.2 Mailbox full"
        assert mta.policy(recipient="small@example.org", size=1_000_000).startswith("552 5.2.3 ")
        assert mta.policy(recipient="alice@example.org", size=100_000_000).startswith("552 5.3.4 ")
        for recipient in ("nobody@example.org", "someone@example.com", "", "no address"):
            assert mta.policy(recipient=recipient, size=100_000_000) == "DUNNO", recipient
        assert mta.policy("DATA", recipient="full@example.org") == "DUNNO"
        assert mta.policy("END-OF-MESSAGE", recipient="full@example.org", size=1) == "452 4.2.2 Mailbox full"
        assert mta.policy("END-OF-MESSAGE", recipient="", size=5000) == "DUNNO"
    log = front.program.log_text()
    assert log.count("policy refusal") == 5, log
    assert "100000 bytes" in log and "needed=101000" in log, log


class TestASmallDisk:
    @pytest.fixture
    def options(self):
        return {"store": ["--max-disk", "1"], "front": []}

    def test_is_refused_for_everybody_and_at_the_end_for_several(self, front):
        with Peer(front.policy) as mta:
            assert mta.policy(recipient="alice@example.org") == "452 4.3.1 Insufficient system storage"
            assert mta.policy(recipient="someone@example.com") == "DUNNO"
            # Asked for every few seconds, and once at the start.
            harness.poll(lambda: mta.policy("END-OF-MESSAGE", recipient="", size=5000).startswith("452 4.3.1 "),
                         "the disk's figures")
        with Peer(front.socketmap) as mta:
            assert mta.look_up("mailbox", "info@example.org") == "OK alice@example.org"


def test_socketmap_knows_who_exists(front, api, cli):
    with Peer(front.socketmap) as mta:
        assert mta.look_up("domain", "example.org") == "OK example.org"
        assert mta.look_up("domain", "example.com") == "NOTFOUND "
        assert mta.look_up("mailbox", "full@example.org") == "OK full@example.org"
        assert mta.look_up("mailbox", "INFO+detail@Example.ORG") == "OK alice@example.org"
        assert mta.look_up("mailbox", "nobody@example.org") == "NOTFOUND "
        assert mta.look_up("mailbox", "@example.org") == "NOTFOUND "
        cli("domain", "set", "example.org", "--catch-all", "small@example.org")
        assert mta.look_up("mailbox", "@example.org") == "OK small@example.org"
        assert mta.look_up("mailbox", "nobody@example.org") == "OK small@example.org"
        cli("domain", "set", "example.org", "--catch-all", "none")
        cli("mailbox", "set", "alice@example.org", "--state", "disabled")
        assert mta.look_up("mailbox", "info@example.org") == "NOTFOUND "
        assert mta.look_up("virtual", "alice@example.org").startswith("PERM ")


def test_a_store_that_is_killed_stopped_and_back(store, front, api):
    def answers(policy, mailbox):
        return lambda: (mta.policy(recipient="full@example.org") == policy
                        and maps.look_up("mailbox", "full@example.org").startswith(mailbox))

    with Peer(front.policy) as mta, Peer(front.socketmap) as maps:
        assert answers("452 4.2.2 Mailbox full", "OK ")()
        store.kill9()
        assert answers("DUNNO", "TEMP ")()
        assert "the store does not answer" in front.program.log_text()
        store.start()
        api.ready()
        harness.poll(answers("452 4.2.2 Mailbox full", "OK "), "the store to be found again")
        # One that is there and says nothing.
        store.program.freeze()
        try:
            assert mta.policy(recipient="full@example.org") == "DUNNO"
        finally:
            os.kill(store.program.pid, signal.SIGCONT)
        harness.poll(answers("452 4.2.2 Mailbox full", "OK "), "the store to answer again")


def test_the_store_away_may_be_a_temporary_failure(start, store):
    strict = start(harness.Front, store.address, "--policy-unavailable", "tempfail")
    store.kill9()
    with Peer(strict.policy) as mta:
        assert mta.policy(recipient="alice@example.org").startswith("451 4.3.0 ")


def test_strangers_are_closed_at_once(start, store):
    front = start(harness.Front, store.address, "--trusted-networks", "192.0.2.0/24")
    for address in (front.policy, front.socketmap):
        with Peer(address) as stranger:
            assert stranger.socket.recv(1) == b""
        assert "not from a trusted network" in front.program.log_text()
