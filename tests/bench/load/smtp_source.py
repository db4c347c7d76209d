"""Postfix's smtp-source: `processes` of it at once, each with sessions, and mailboxes, of its own.

One process is the fastest generator, and delivers everything to the same recipients; mail
stores that lock a mailbox do better with several. Sessions stay open from one message to the
next, as between MTAs that hold connections.
"""

import dataclasses
import os
import random
import subprocess
import time

# All that may stand in a line.
OCTETS = bytes(o for o in range(256) if o not in b"\0\r\n")


def letter(size):
    """A text of about so many octets on the wire that does not compress, with the line ends of smtp-source's -F.

    It is sent again and again, which looks like a retry, and to Cyrus like a duplicate: so it has neither
    of the fields, Message-ID and Date, that those are recognised by.
    """
    head = b"From: <sender@example.net>\nSubject: a message\n\n"
    line = 76
    octets = random.Random(1).choices(OCTETS, k=max(0, size - len(head) - 3) * line // (line + 2))
    lines = [bytes(octets[i:i + line]).replace(b".", b",") for i in range(0, len(octets), line)]
    return head + b"\n".join(lines) + b"\n"


def recipients(name, count):
    """Those that smtp-source makes of -t `name`@example.org -r `count`."""
    return [f"{name}@example.org", *(f"{i}{name}@example.org" for i in range(2, count + 1))]


@dataclasses.dataclass
class Source:
    letter: str
    sessions: int
    processes: int = 1
    recipients: int = 1
    lmtp: bool = False

    def mailboxes(self):
        """All that are delivered to."""
        return [a for i in range(self.processes) for a in recipients(f"s{i}", self.recipients)]

    def run(self, peer, messages):
        """Sends about so many; what was acknowledged, as the other generators report it."""
        each = max(1, messages // self.processes)
        command = ["/usr/sbin/smtp-source", "-d", "-s", str(self.sessions // self.processes), "-m", str(each), "-F",
                   self.letter, "-f", "sender@example.net", "-r", str(self.recipients)]
        address = peer.smtp
        if self.lmtp or address is None:
            command.append("-L")
            address = peer.lmtp
        begin = time.monotonic()
        sources = [subprocess.Popen([*command, "-t", f"s{i}@example.org", address]) for i in range(self.processes)]
        cpu = 0
        for source in sources:
            _, status, used = os.wait4(source.pid, 0)
            source.returncode = os.waitstatus_to_exitcode(status)
            cpu += used.ru_utime + used.ru_stime
        seconds = time.monotonic() - begin
        if any(source.returncode for source in sources):
            raise RuntimeError(f"smtp-source: {peer.name} did not take every message; see above")
        return {"count": each * self.processes, "seconds": seconds, "cpu_seconds": cpu}
