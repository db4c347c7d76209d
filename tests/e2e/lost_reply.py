"""Senders whose 250 is lost on its way, or is not (RFC 1047)."""

from smtp_client import Smtp, stuffed


def mail(number, message_id=True):
    head = f"From: <sender@example.net>\r\nSubject: message {number}\r\n"
    if message_id:
        head += f"Message-ID: <{number}@example.net>\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\n"
    return (head + "\r\nText.\r\n").encode()


def send(address, text, recipients=("alice@example.org",), lmtp=False, behind=b""):
    """A transaction up to the dot and what is pipelined behind it; the connection, on which the replies are due."""
    smtp = Smtp(address, lmtp=lmtp)
    assert smtp.mail() == 250
    for recipient in recipients:
        assert smtp.rcpt(recipient) == 250
    assert smtp.data() == 354
    smtp.send(stuffed(text) + behind)
    return smtp


def lose(address, text, *arguments, **more):
    """The 250 comes as far as the sender's kernel, and the sender does not read it."""
    smtp = send(address, text, *arguments, **more)
    assert smtp.peek() == b"250"
    smtp.reset()


def keep(address, text, recipients=("alice@example.org",), lmtp=False):
    """The sender reads its 250s and says QUIT."""
    with send(address, text, recipients, lmtp) as smtp:
        for _ in recipients if lmtp else [0]:
            assert smtp.reply() == 250
        assert smtp.command("QUIT") == 221
