"""What other MTAs ask: Postfix's policy protocol and socketmaps, raw and by a stock Postfix."""

import os
import signal
import smtplib

import pytest

import harness
import readme
from peer import Peer
from postfix import Postfix

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")


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
        os.kill(store.program.pid, signal.SIGSTOP)
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


def recipe(front):
    """README's lines for Postfix, with this front end's addresses."""
    text = readme.example("postfix", "check_policy_service")
    for port, address in (("2424", front.lmtp), ("2452", front.policy), ("2453", front.socketmap)):
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", address)
    return text


def submit(postfix, *recipients):
    """One transaction; returns the reply to each recipient and to the message."""
    host, port = postfix.address.split(":")
    with smtplib.SMTP(host, int(port), timeout=harness.PATIENCE) as smtp:
        smtp.ehlo()
        smtp.mail("sender@example.net")
        replies = [smtp.rcpt(recipient) for recipient in recipients]
        if all(code != 250 for code, _ in replies):
            return replies, None
        return replies, smtp.data("Subject: hello\r\nMessage-ID: <1@example.net>\r\n\r\ntext\r\n")


@AS_ROOT
def test_a_stock_postfix_refuses_at_rcpt_what_has_no_room_or_is_unknown(front, api, directory):
    postfix = Postfix(directory, front.lmtp, recipe(front))
    try:
        replies, stored = submit(postfix, "full@example.org", "alice@example.org", "nobody@example.org")
        assert [code for code, _ in replies] == [452, 250, 550], replies
        assert replies[0][1].startswith(b"4.2.2 <full@example.org>") and b"Mailbox full" in replies[0][1], replies
        assert replies[2][1].startswith(b"5.1.1 <nobody@example.org>"), replies
        assert b"relay recipient table" in replies[2][1], "refused by Postfix itself"
        assert stored[0] == 250, stored
        harness.poll(lambda: api.usage("alice@example.org").messages == 1, "the message")
        harness.poll(lambda: not postfix.queue(), "the queue to be empty")
        host, port = postfix.address.split(":")
        with smtplib.SMTP(host, int(port), timeout=harness.PATIENCE) as smtp:
            smtp.ehlo()
            # Declared, and not.
            smtp.mail("sender@example.net", ["SIZE=1000000"])
            code, text = smtp.rcpt("small@example.org")
            assert code == 552 and text.startswith(b"5.2.3 "), (code, text)
            smtp.rset()
            smtp.mail("sender@example.net")
            assert smtp.rcpt("small@example.org")[0] == 250
            code, text = smtp.data("Subject: large\r\n\r\n" + 2000 * (70 * "x" + "\r\n"))
            assert code == 452 and text.startswith(b"4.2.2 "), (code, text)
    finally:
        postfix.stop()
    assert "status=bounced" not in postfix.log() and "status=deferred" not in postfix.log()
    assert api.usage("full@example.org").messages == api.usage("small@example.org").messages == 0


@AS_ROOT
def test_postfix_asks_the_maps_itself(front, directory):
    postfix = Postfix(directory, front.lmtp)
    try:
        assert postfix.command("postmap", "-q", "example.org", f"socketmap:inet:{front.socketmap}:domain") == \
            "example.org\n"
        assert postfix.command("postmap", "-q", "info@example.org", f"socketmap:inet:{front.socketmap}:mailbox") == \
            "alice@example.org\n"
    finally:
        postfix.stop()


@AS_ROOT
@pytest.mark.parametrize("away", ["store", "front end"])
@pytest.mark.parametrize("maps", [True, False])
def test_postfix_keeps_mail_or_lets_the_sender_keep_it_while_we_are_away(start, store, api, directory, away, maps):
    addresses = {kind: f"127.0.0.1:{harness.free_port()}" for kind in ("lmtp", "policy", "socketmap")}
    front = start(harness.Front, store.address, **addresses)
    settings = recipe(front)
    if not maps:
        settings = "".join(line for line in settings.splitlines(True) if "socketmap" not in line)
    postfix = Postfix(directory, front.lmtp, settings)
    try:
        (store if away == "store" else front.program).kill9()
        replies, stored = submit(postfix, "alice@example.org")
        if maps:
            # Who exists cannot be told: Postfix takes nothing, the sender keeps it.
            assert replies[0][0] == 451, replies
            assert not postfix.queue()
        else:
            assert replies[0][0] == 250 and stored[0] == 250, (replies, stored)
            harness.poll(lambda: [m["queue_name"] for m in postfix.queue()] == ["deferred"],
                         "Postfix to have tried and to keep it")
        if away == "store":
            store.start()
            api.ready()
        else:
            assert api.usage("alice@example.org").messages == 0
            start(harness.Front, store.address, **addresses)
        if maps:
            harness.poll(lambda: submit(postfix, "alice@example.org")[0][0][0] == 250, "the sender's retry")
        harness.poll(lambda: postfix.flush() or api.usage("alice@example.org").messages == 1, "the message")
        harness.poll(lambda: not postfix.queue(), "the queue to be empty")
    finally:
        postfix.stop()
    assert api.usage("alice@example.org").messages == 1
    assert "status=bounced" not in postfix.log()
