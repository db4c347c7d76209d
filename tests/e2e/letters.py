"""What people send through an MTA, told apart by a word in the text of each."""

import collections
import email.utils
import secrets
import smtplib
import threading
import time

import harness


def letter(key, size=0):
    """A text with a word of its own, of at least `size` octets, that wants dots stuffed."""
    head = (f"From: <sender@example.net>\r\nDate: {email.utils.formatdate()}\r\nMessage-ID: <{key}@example.net>\r\n"
            f"Subject: a letter\r\n\r\n{key}\r\n.\r\n")
    return head + (70 * "x" + "\r\n") * ((size - len(head) + 71) // 72)


def new_key():
    return "letter-" + secrets.token_hex(8)


class Sender:
    """One connection to an MTA."""

    def __init__(self, address):
        host, port = address.split(":")
        self.smtp = smtplib.SMTP(host, int(port), "client.example.net", timeout=harness.PATIENCE * 2)
        self.smtp.ehlo()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.smtp.close()

    def send(self, recipients, text, size=None):
        """One transaction: the reply to each recipient, and to the text if one is accepted."""
        code, words = self.smtp.mail("sender@example.net", [] if size is None else [f"SIZE={size}"])
        if code != 250:
            self.smtp.rset()
            return [reply(code, words)], None
        replies = [reply(*self.smtp.rcpt(recipient)) for recipient in recipients]
        if not any(r.startswith("250") for r in replies):
            self.smtp.rset()
            return replies, None
        try:
            return replies, reply(*self.smtp.data(text))
        except smtplib.SMTPDataError as refused:
            self.smtp.rset()
            return replies, reply(refused.smtp_code, refused.smtp_error)


def reply(code, words):
    return f"{code} {words.decode()}"


def send(address, recipients, text, size=None):
    with Sender(address) as sender:
        return sender.send(recipients, text, size)


class Load:
    """Some senders that each try until every letter of theirs has a 250."""

    def __init__(self, address, recipient, count, senders=4):
        self.address, self.recipient = address, recipient
        self.keys = [new_key() for _ in range(count)]
        self._failure = None
        self._threads = [threading.Thread(target=self._run, args=(self.keys[i::senders],), daemon=True)
                         for i in range(senders)]
        for thread in self._threads:
            thread.start()

    def _run(self, keys):
        left = [letter(key) for key in keys]  # A retry is the same octets.
        try:
            while left:
                try:
                    with Sender(self.address) as sender:
                        while left:
                            replies, stored = sender.send([self.recipient], left[0])
                            assert (stored or replies[0])[0] in "24", (replies, stored)
                            if stored is None or not stored.startswith("250"):
                                break  # Not now, or not over this connection.
                            left.pop(0)
                except (smtplib.SMTPException, OSError):
                    pass
                time.sleep(0.02)  # Leaves the machine to those who have to get up again.
        except BaseException as failure:  # shown by join()
            self._failure = failure

    def running(self):
        return any(thread.is_alive() for thread in self._threads)

    def join(self):
        """Waits until every letter is acknowledged."""
        harness.poll(lambda: not self.running(), "every letter to be acknowledged", harness.PATIENCE * 5)
        if self._failure is not None:
            raise self._failure


def assert_arrived(api, address, keys, once):
    """Every letter is in the mailbox, and with `once` no second copy of any."""
    found = collections.Counter()
    for text in api.texts(address):
        found[text.partition(b"\r\n\r\n")[2].split(b"\r\n")[0].decode()] += 1
    assert not set(found) - set(keys), "mail that nobody sent"
    assert not set(keys) - set(found), f"{len(set(keys) - set(found))} of {len(keys)} letters are lost"
    copies = {key: times for key, times in found.items() if times > 1}
    print(f"{len(keys)} letters, second copies: {len(copies)}")
    assert not once or not copies, copies
