"""What only trusted peers may say: the PROXY protocol, XFORWARD, IGNOREQUOTA."""

import os
import re
import smtplib
import socket

import pytest

import harness
from postfix import Postfix
from smtp_client import Smtp, message


@pytest.fixture
def options():
    return {"store": [], "front": ["--smtp-proxy-listen", "127.0.0.1:0", "--lmtp-proxy-listen", "127.0.0.1:0"]}


@pytest.fixture(autouse=True)
def mailboxes(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")


class Proxied(Smtp):
    """An SMTP client behind a proxy that names `client`."""

    def __init__(self, address, header, **more):
        self.header = header
        super().__init__(address, **more)

    def reply(self):
        if self.header:
            self.socket.sendall(self.header)
            self.header = b""
        return super().reply()


def logged(front, pattern):
    return harness.poll(lambda: re.findall(pattern, front.program.log_text()), f"{pattern} in the log")


def test_who_is_behind_a_proxy_is_who_sends(front, api):
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    address = socket.inet_aton("198.51.100.8") + socket.inet_aton("10.0.0.1") + b"\x10\xe1\x00\x19"
    for header, client in (
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4321 25\r\n", "192.0.2.7"),
            (signature + b"\x21\x11\x00\x0f" + address + b"\x04\x00\x00", "198.51.100.8"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
            (signature + b"\x20\x00\x00\x00", "127.0.0.1")):
        with Proxied(front.program.addresses["smtp-proxy"], header) as smtp:
            assert smtp.deliver("alice@example.org", message(500)) == "250 2.0.0"
        assert f"([{client}])".encode() in api.texts("alice@example.org")[-1]
    assert re.findall(r"outcome=stored client=(\S+)", front.program.log_text()) == [
        "192.0.2.7", "198.51.100.8", "127.0.0.1", "127.0.0.1"]


def test_a_proxy_lends_nobody_its_rights(front):
    with Proxied(front.program.addresses["lmtp-proxy"], b"PROXY TCP4 192.0.2.7 10.0.0.1 4321 24\r\n", helo=None) as lmtp:
        assert lmtp.greeting == "421 4.7.0"
    with Proxied(front.program.addresses["smtp-proxy"], b"PROXY TCP4 192.0.2.7 10.0.0.1 4321 25\r\n") as smtp:
        assert not any(line.startswith("250-XFORWARD") for line in smtp.hello.lines)
        assert smtp.command("XFORWARD ADDR=10.0.0.9") == "550 5.7.0"


def test_what_is_no_header_is_closed_without_a_word_and_an_ordinary_address_takes_none(front):
    host, port = front.program.addresses["smtp-proxy"].split(":")
    with socket.create_connection((host, int(port)), harness.PATIENCE) as plain:
        plain.sendall(b"EHLO c\r\n")
        assert plain.recv(1000) == b""
    logged(front, "kind=proxy_header")
    with Smtp(front.smtp, helo=None) as smtp:
        assert smtp.command("PROXY TCP4 192.0.2.7 10.0.0.1 4321 25") == "500 5.5.1"


@pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")
def test_a_stock_postfix_says_whose_mail_it_is_by_xforward(front, api, directory):
    postfix = Postfix(directory, front.lmtp, "lmtp_send_xforward_command = yes\n")
    try:
        host, port = postfix.address.split(":")
        with smtplib.SMTP(host, int(port), local_hostname="client.example.net", timeout=harness.PATIENCE,
                          source_address=("127.0.0.9", 0)) as smtp:
            smtp.sendmail("sender@example.net", ["alice@example.org"], "Subject: forwarded\r\n\r\ntext\r\n")
        harness.poll(lambda: "status=sent" in postfix.log(), "the message to be sent, and Postfix to say so")
    finally:
        postfix.stop()
    (line,) = logged(front, r"transaction outcome=stored .*")
    (queue_id,) = set(re.findall(r"(\w+): to=<alice@example.org>", postfix.log()))
    assert " client=127.0.0.1 helo=relay.example.net " in line
    assert f" xforward={queue_id} " in line and " xforward_address=127.0.0.9 " in line
    assert " xforward_helo=client.example.net " in line and " xforward_protocol=ESMTP " in line
    assert "([127.0.0.1])" in api.texts("alice@example.org")[0].decode().split("\r\n")[0]


def test_ignorequota_fills_what_is_full_and_is_charged(front, api, cli):
    api.create_mailbox("full@example.org", max_messages=0)
    with Smtp(front.lmtp, lmtp=True) as lmtp:
        assert "250-IGNOREQUOTA" in lmtp.hello.lines
        assert lmtp.mail(size=1000) == "250 2.1.0"
        assert lmtp.rcpt("full@example.org") == "452 4.2.2"
        assert lmtp.command("RCPT TO:<full@example.org> IGNOREQUOTA") == "250 2.1.5"
        assert lmtp.data() == 354
        assert lmtp.text(message(50_000)) == "250 2.0.0", "more than it declared, too"
        assert lmtp.deliver("full@example.org", message(100)) == "452 4.2.2"
    with Smtp(front.smtp) as smtp:
        assert smtp.mail() == "250 2.1.0"
        assert smtp.command("RCPT TO:<full@example.org> IGNOREQUOTA") == "555 5.5.4"
    api.assert_exact("full@example.org")
    assert api.usage("full@example.org").messages == 1 and api.problems() == []
