"""What a sender asks for in the way of notifications (RFC 3461) is kept with the message, for whoever sends them."""

import os
import smtplib

import pytest

import harness
from api import common
from letters import letter, new_key
from postfix import Postfix

ALICE = "alice@example.org"
BOB = "bob@example.org"


@pytest.fixture(autouse=True)
def mailboxes(api):
    api.create_domain()
    api.create_mailbox(ALICE)
    api.create_mailbox(BOB)
    api.create_alias("info@example.org", ALICE)


def send(client, address, recipients, sender="sender@example.net", ret="HDRS", envid="QQ+2B314159"):
    """`recipients`: the parameters of each RCPT, by its address."""
    host, port = address.split(":")
    with client(host, int(port), timeout=harness.PATIENCE) as smtp:
        smtp.ehlo()
        assert smtp.mail(sender, [f"RET={ret}", f"ENVID={envid}"])[0] == 250
        for recipient, parameters in recipients.items():
            assert smtp.rcpt(recipient, parameters)[0] == 250
        assert smtp.data(letter(new_key()))[0] == 250
        # One reply for each accepted recipient, of which data() has read one.
        for _ in range(len(recipients) - 1 if client is smtplib.LMTP else 0):
            assert smtp.getreply()[0] == 250
        return smtp.has_extn("dsn")


def wishes(message):
    """Of each recipient: address, words of NOTIFY, ORCPT."""
    return [(r.address, [common.Notify.Name(n).removeprefix("NOTIFY_") for n in r.notify], r.orcpt)
            for r in message.dsn_recipients]


@pytest.mark.parametrize("client", [smtplib.SMTP, smtplib.LMTP])
def test_what_was_asked_is_kept_over_a_crash_and_a_rebuilt_index(client, store, api, front, cli):
    asked = {
        ALICE: ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Alice+2Ba@example.com"],
        "info@example.org": ["NOTIFY=NEVER"],
        BOB: [],
    }
    advertised = send(client, front.smtp if client is smtplib.SMTP else front.lmtp, asked)
    assert not advertised, "nobody here sends notifications"

    def check():
        (alices,), (bobs,) = api.messages(ALICE), api.messages(BOB)
        assert wishes(alices) == [(ALICE, ["SUCCESS", "DELAY"], "rfc822;Alice+2Ba@example.com"),
                                  ("info@example.org", ["NEVER"], "")]
        assert wishes(bobs) == []
        for message in alices, bobs:
            assert (message.ret, message.envid) == (common.RET_HDRS, "QQ+2B314159")
        shown = cli("message", "show", ALICE, "1").decode().split("\n")
        assert "dsn        <alice@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Alice+2Ba@example.com" in shown

    check()
    store.kill9()
    store.start("--rebuild-index")
    api.ready()
    check()


@pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")
@pytest.mark.parametrize("options", [{"store": [], "front": []}, {"store": [], "front": ["--advertise-dsn"]}],
                         ids=["not_advertised", "advertised"])
def test_postfix_passes_on_what_it_is_offered_dsn_for_and_else_reports_itself(options, directory, front, api):
    """Bob, who is one of ours, asks to be told."""
    postfix = Postfix(directory, front.lmtp)
    try:
        send(smtplib.SMTP, postfix.address, {
            ALICE: ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Alice+2Ba@example.com"],
            "info@example.org": ["NOTIFY=NEVER"],
        }, sender=BOB)
        harness.poll(lambda: api.usage(ALICE).messages == 1 and not postfix.queue(), "the message, and nothing waits")
    finally:
        postfix.stop()
        print(postfix.log()[-3000:])
    (message,) = api.messages(ALICE)
    kept = (message.ret, message.envid, wishes(message))
    if options["front"]:
        assert kept == (common.RET_HDRS, "QQ+2B314159", [
            (ALICE, ["SUCCESS", "FAILURE"], "rfc822;Alice+2Ba@example.com"),
            ("info@example.org", ["NEVER"], "rfc822;info@example.org"),
        ])
        assert api.texts(BOB) == [], "it is ours to report"
    else:
        assert kept == (common.RET_UNSPECIFIED, "", [])
        (report,) = api.texts(BOB)
        assert b"\r\nAction: relayed\r\n" in report
        assert b"\r\nOriginal-Envelope-Id: QQ+314159\r\n" in report
