"""The programs that people use, for real: swaks, smtplib, smtp-source, Postfix."""

import os
import smtplib
import subprocess

import pytest

import harness
from postfix import Postfix


@pytest.fixture(autouse=True)
def mailboxes(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    api.create_mailbox("full@example.org", max_messages=0)


def swaks(front, *args):
    return subprocess.run(["swaks", "--server", front.smtp, "--from", "sender@example.net", *args],
                          capture_output=True, timeout=harness.PATIENCE)


def test_swaks(front, api):
    done = swaks(front, "--to", "alice@example.org", "--header", "Subject: by swaks", "--body", "a dot:\n.\n..\nend")
    assert done.returncode == 0 and b"354 " in done.stdout and b"250 2.0.0 " in done.stdout, done
    assert b"\r\na dot:\r\n.\r\n..\r\nend\r\n" in api.texts("alice@example.org")[0]
    done = swaks(front, "--to", "full@example.org")
    assert done.returncode != 0 and b"452 4.2.2 " in done.stdout + done.stderr, done
    done = swaks(front, "--to", "alice@example.org,full@example.org")
    assert b"452 4.2.2 " in done.stdout + done.stderr and api.usage("alice@example.org").messages == 2, done
    assert api.usage("full@example.org").messages == 0


def test_swaks_over_lmtp(front, api):
    done = subprocess.run(["swaks", "--protocol", "LMTP", "--server", front.lmtp, "--from", "sender@example.net",
                           "--to", "alice@example.org"], capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 0, done
    assert api.usage("alice@example.org").messages == 1


def test_smtplib(front, api):
    host, port = front.smtp.split(":")
    text = "Subject: by smtplib\r\n\r\n.a line\r\nanother\r\n"
    with smtplib.SMTP(host, int(port), timeout=harness.PATIENCE) as smtp:
        refused = smtp.sendmail("sender@example.net", ["alice@example.org", "full@example.org"], text)
        assert list(refused) == ["full@example.org"] and refused["full@example.org"][0] == 452
        assert smtp.has_extn("size") and smtp.has_extn("pipelining") and smtp.has_extn("8bitmime")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("sender@example.net", ["nobody@example.org"], text)
        smtp.sendmail("", ["alice@example.org"], text)
    assert [m.sender for m in api.messages("alice@example.org")] == ["sender@example.net", ""]
    assert all(t.endswith(text.encode()) for t in api.texts("alice@example.org"))
    host, port = front.lmtp.split(":")
    with smtplib.LMTP(host, int(port)) as lmtp:
        assert lmtp.sendmail("sender@example.net", ["alice@example.org"], text) == {}
    assert api.usage("alice@example.org").messages == 3


class Chunking(smtplib.SMTP):
    """Sends texts by BDAT; sendmail() does not know the difference."""

    chunk = 1000

    def data(self, msg):
        for at in range(0, len(msg), self.chunk):
            piece = msg[at:at + self.chunk]
            self.send(b"BDAT %d\r\n" % len(piece) + piece)
            reply = self.getreply()
            if reply[0] != 250:
                return reply
        self.send(b"BDAT 0 LAST\r\n")
        return self.getreply()


class ChunkingLmtp(smtplib.LMTP, Chunking):
    pass


def test_smtplib_by_bdat(front, api):
    host, port = front.smtp.split(":")
    # Any octets, what would be an end, and no line end behind the last line.
    text = b"Subject: by BDAT\r\n\r\n.a line\r\n.\r\nQUIT\r\n" + bytes(range(256)) * 20 + b"\r\n.."
    with Chunking(host, int(port), timeout=harness.PATIENCE) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("chunking")
        refused = smtp.sendmail("sender@example.net", ["alice@example.org", "full@example.org"], text)
        assert list(refused) == ["full@example.org"] and refused["full@example.org"][0] == 452
        smtp.chunk = 1
        smtp.sendmail("sender@example.net", ["alice@example.org"], b"x\r\n")
    host, port = front.lmtp.split(":")
    with ChunkingLmtp(host, int(port), timeout=harness.PATIENCE) as lmtp:
        lmtp.ehlo()
        lmtp.mail("sender@example.net")
        for address in ("alice@example.org", "full@example.org", "alice@example.org"):
            lmtp.rcpt(address)
        assert lmtp.data(text)[0] == 250
        assert lmtp.getreply()[0] == 250, "one reply for each accepted recipient"
        assert lmtp.noop()[0] == 250
    texts = api.texts("alice@example.org")
    assert [t.endswith(text) for t in texts] == [True, False, True] and texts[1].endswith(b"\r\nx\r\n")
    api.assert_exact("alice@example.org")


def test_smtplib_with_addresses_in_utf8(front, api, cli, directory):
    cli("mailbox", "create", "jörg@example.org")
    host, port = front.smtp.split(":")
    with smtplib.SMTP(host, int(port), timeout=harness.PATIENCE) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("smtputf8")
        smtp.sendmail("ødegård@bücher.example", ["jörg@example.org"], "Subject: größer\r\n\r\ntext\r\n".encode(),
                      mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        smtp.command_encoding = "utf-8"
        smtp.mail("sender@example.net")
        assert smtp.rcpt("jörg@example.org")[0] == 553
    maildir = directory / "maildir"
    cli("export", "maildir", maildir, "--from", "jörg@example.org")
    (file,) = (f for f in maildir.rglob("*") if f.is_file() and f.parent.name in ("cur", "new"))
    lines = file.read_text(encoding="utf-8").split("\n")
    assert lines[:2] == ["Return-Path: <ødegård@bücher.example>", "Delivered-To: jörg@example.org"]
    assert "\tby mx.example.org (Restante) with UTF8SMTP" in lines
    assert "Subject: größer" in lines


def test_smtp_source(front, api):
    done = subprocess.run(
        ["/usr/sbin/smtp-source", "-s", "16", "-m", "500", "-l", "4096", "-f", "sender@example.net", "-t",
         "alice@example.org", front.smtp], capture_output=True, timeout=harness.PATIENCE * 2)
    assert done.returncode == 0, done
    assert api.usage("alice@example.org").messages == 500
    api.assert_exact("alice@example.org")
    done = subprocess.run(["/usr/sbin/smtp-source", "-L", "-s", "4", "-m", "50", "-r", "1", "-t", "alice@example.org",
                           front.lmtp], capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 0, done
    assert api.usage("alice@example.org").messages == 550


@pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")
def test_a_stock_postfix_hands_over_by_lmtp_and_keeps_what_is_refused(front, api, cli, directory):
    postfix = Postfix(directory, front.lmtp)
    try:
        host, port = postfix.address.split(":")
        with smtplib.SMTP(host, int(port), timeout=harness.PATIENCE) as smtp:
            for i in range(5):
                smtp.sendmail("sender@example.net", ["alice@example.org", "full@example.org"],
                              f"Subject: {i}\r\nMessage-ID: <{i}@example.net>\r\n\r\ntext\r\n")
        harness.poll(lambda: api.usage("alice@example.org").messages == 5, "alice's five messages")

        def waiting():
            queue = postfix.queue()
            deferred = [m for m in queue if m["queue_name"] == "deferred"]
            return deferred if len(deferred) == len(queue) == 5 else None

        for message in harness.poll(waiting, "the queue to hold what was refused"):
            assert [r["address"] for r in message["recipients"]] == ["full@example.org"]
            assert "452 4.2.2" in message["recipients"][0]["delay_reason"]
        cli("mailbox", "set", "full@example.org", "--messages", "unlimited")
        postfix.flush()
        harness.poll(lambda: not postfix.queue(), "the queue to be empty")
    finally:
        postfix.stop()
    assert api.usage("full@example.org").messages == 5
    assert api.usage("alice@example.org").messages == 5
    assert "status=bounced" not in postfix.log()


def test_reflection_health_and_channelz_are_there(api):
    health = api.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert health(b"", timeout=harness.PATIENCE) == b"\x08\x01", "SERVING"
    reflection = api.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    listed = next(reflection(iter([b"\x3a\x00"])))
    for service in (b"restante.v1.DeliveryService", b"restante.v1.MailboxService", b"restante.v1.MessageService",
                    b"restante.v1.StoreService", b"grpc.health.v1.Health", b"grpc.channelz.v1.Channelz"):
        assert service in listed, service
