"""An SMTP and LMTP client that sends exactly what it is told, where it is told."""

import base64
import random
import socket
import struct


def message(size, subject="a message", seed=0):
    """A text of exactly `size` octets with CRLF line ends; its body is base64 of random octets."""
    head = f"From: <sender@example.net>\r\nSubject: {subject}\r\nMessage-ID: <{seed}.{size}@example.net>\r\n\r\n"
    left = size - len(head) - 2
    assert left >= 0, f"{size} octets are too few for the header"
    body = base64.encodebytes(random.Random(seed).randbytes(left)).replace(b"\n", b"\r\n")[:left]
    # The cut may have gone through a line end.
    if body.endswith(b"\r"):
        body = body[:-1] + b"x"
    return head.encode() + body + b"\r\n"


def stuffed(text):
    """As it goes over the wire, the final dot included."""
    text = text.replace(b"\r\n.", b"\r\n..")
    return (b"." if text.startswith(b".") else b"") + text + b".\r\n"


class Reply:
    """Code and enhanced code of a reply, and its lines."""

    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[0][:3])
        self.text = lines[-1][4:]
        word = self.text.split(" ")[0]
        self.enhanced = word if word.count(".") == 2 and word.replace(".", "").isdigit() else ""

    def __repr__(self):
        return f"{self.code} {self.enhanced}".strip()

    def __eq__(self, other):
        """`reply == "452 4.2.2"`, or `reply == 354`."""
        return self.code == other if isinstance(other, int) else repr(self) == other


class Lost(Exception):
    """The connection ended where a reply was due."""


class Smtp:
    def __init__(self, address, source="127.0.0.1", helo="client.example.net", lmtp=False, timeout=120):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.greeting = self.reply()
        self.hello = self.command(("LHLO " if lmtp else "EHLO ") + helo) if helo else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError as error:
            raise Lost(str(error)) from error

    def reply(self):
        lines = []
        while True:
            while b"\r\n" not in self.buffer:
                try:
                    more = self.socket.recv(65536)
                except ConnectionError as error:
                    raise Lost(str(error)) from error
                if not more:
                    raise Lost(f"closed after {lines}")
                self.buffer += more
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            assert len(line) <= 510 and line[:3].isdigit(), line
            lines.append(line.decode())
            assert lines[0][:3] == lines[-1][:3], lines
            if line[3:4] != b"-":
                return Reply(lines)

    def peek(self):
        """The code of the next reply, which is not read."""
        assert not self.buffer, self.buffer
        return self.socket.recv(3, socket.MSG_PEEK)

    def command(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def mail(self, sender="sender@example.net", size=None):
        return self.command(f"MAIL FROM:<{sender}>" + ("" if size is None else f" SIZE={size}"))

    def rcpt(self, address):
        return self.command(f"RCPT TO:<{address}>")

    def data(self):
        return self.command("DATA")

    def text(self, text):
        self.send(stuffed(text))
        return self.reply()

    def bdat(self, octets, last=False):
        self.send(b"BDAT %d%s\r\n" % (len(octets), b" LAST" if last else b"") + octets)
        return self.reply()

    def deliver(self, recipient, text, sender="sender@example.net", size=None):
        """One transaction: the reply that ended it, 250 or the first refusal."""
        for step in (lambda: self.mail(sender, size), lambda: self.rcpt(recipient), self.data):
            reply = step()
            if reply.code >= 400:
                if reply.code != 421:
                    self.command("RSET")
                return reply
        return self.text(text)

    def ended(self):
        """Whether the server has closed; reads what is left."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
