"""Full load on a store and its front end, of which every acknowledgement is known.

Letters: each sender has mailboxes of its own with limits that rise and fall; it
delivers, reads and deletes, and knows what has to be there. Bulk: Postfix's
smtp-source sends as fast as it can, and a janitor expunges what is old.
"""

import hashlib
import random
import subprocess
import threading

import harness
from api import PATIENTLY, Api, limit, mailbox
from api import message as messages_api
from google.protobuf import field_mask_pb2
from smtp_client import Smtp, message

SENDERS = 4
BULK = "bulk@example.org"
BULK_ROUND = 2_000
BULK_SESSIONS = 16
BULK_KEPT = 10_000
# Where a text of ours begins, behind what the front end put before it.
BEGINS = b"From: <sender@example.net>\r\n"


def digest(stored):
    return hashlib.sha256(stored[stored.index(BEGINS):]).digest()


class Worker(threading.Thread):
    """Does `step` again and again; a failure ends it and is kept."""

    def __init__(self, store_address):
        super().__init__(daemon=True)
        self.api = Api(store_address, PATIENTLY)
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step()
        except Exception as failure:  # shown by the soak
            self.failure = failure
        self.end()

    def end(self):
        pass


class Sender(Worker):
    def __init__(self, store_address, smtp_address, number, seed):
        super().__init__(store_address)
        self.random = random.Random(seed * 1000 + number)
        self.smtp = Smtp(smtp_address, timeout=harness.PATIENCE)
        self.mailboxes = [f"s{number}.{i}@example.org" for i in range(3)]
        self.there = {address: {} for address in self.mailboxes}  # Transaction id to digest.
        self.stored = self.refused = self.deleted = self.read = self.limits = 0
        for address in self.mailboxes:
            self.api.create_mailbox(address, max_bytes=1_000_000)

    def step(self):
        self.random.choices((self.deliver, self.delete, self.look, self.set_limit), (80, 10, 8, 2))[0]()

    def deliver(self):
        text = message(self.random.choice((300, 2_000, 10_000, 60_000)), seed=self.random.getrandbits(48))
        size = len(text) if self.random.random() < 0.7 else None
        recipients = self.random.sample(self.mailboxes, self.random.randint(1, 3))
        reply = self.smtp.mail(size=size)
        assert reply.code == 250, reply
        accepted = []
        for address in recipients:
            reply = self.smtp.rcpt(address)
            assert reply.code in (250, 452, 552), reply
            if reply.code == 250:
                accepted.append(address)
        if not accepted:
            self.refused += 1
            self.smtp.command("RSET")
            return
        reply = self.smtp.data()
        assert reply.code == 354, f"nobody else wants this room: {reply}"
        reply = self.smtp.text(text)
        if reply.code != 250:
            # Undeclared, it may outgrow what is left.
            assert reply.code in (452, 552) and size is None, reply
            self.refused += 1
            return
        for address in accepted:
            self.there[address][reply.text.split()[-1]] = hashlib.sha256(text).digest()
        self.stored += 1

    def delete(self):
        address = self.random.choice(self.mailboxes)
        if not self.there[address]:
            return
        chosen = self.random.sample(self.api.messages(address), k=min(8, len(self.there[address])))
        done = self.api.message.BatchDeleteMessages(messages_api.BatchDeleteMessagesRequest(
            parent=f"mailboxes/{address}", uids=[m.uid for m in chosen]))
        assert done.deleted_messages == len(chosen), done
        for m in chosen:
            del self.there[address][m.transaction_id]
        self.deleted += len(chosen)

    def look(self):
        address = self.random.choice(self.mailboxes)
        found = self.api.messages(address)
        assert len(found) == len(self.there[address]), f"{address}: {len(found)} of {len(self.there[address])} messages"
        if found:
            m = self.random.choice(found)
            assert digest(self.api.read(m.name)) == self.there[address][m.transaction_id], f"{m.name}: another text"
            self.read += 1

    def set_limit(self):
        address = self.random.choice(self.mailboxes)
        self.api.mailbox.UpdateMailbox(mailbox.UpdateMailboxRequest(
            mailbox=mailbox.Mailbox(name=f"mailboxes/{address}",
                                    max_bytes=limit(self.random.choice((0, 100_000, 1_000_000, 2_000_000)))),
            update_mask=field_mask_pb2.FieldMask(paths=["max_bytes"])))
        self.limits += 1

    def end(self):
        self.smtp.close()

    def problems(self):
        """What is there, against what was acknowledged and not deleted."""
        for address in self.mailboxes:
            left = dict(self.there[address])
            for m in self.api.messages(address):
                expected = left.pop(m.transaction_id, None)
                if expected is None:
                    yield f"{m.name}: was not acknowledged, or was deleted"
                elif digest(self.api.read(m.name)) != expected:
                    yield f"{m.name}: another text"
            for transaction in left:
                yield f"{address}: {transaction} was acknowledged and is lost"
            usage, found = self.api.usage(address), self.api.messages(address)
            if usage.bytes != sum(m.size_bytes for m in found) or usage.messages != len(found):
                yield f"{address}: {usage} is not the sum of its messages"


class Bulk(Worker):
    def __init__(self, store_address, smtp_address, letter):
        super().__init__(store_address)
        self.smtp_address, self.letter = smtp_address, letter
        self.stored = 0
        self.api.create_mailbox(BULK)

    def step(self):
        # -d: one connection for many messages. One for each would use up the machine's
        # ports, which stay taken for a minute, and others have none to listen at.
        subprocess.run(["/usr/sbin/smtp-source", "-d", "-s", str(BULK_SESSIONS), "-m", str(BULK_ROUND), "-F", self.letter,
                        "-f", "sender@example.net", "-t", BULK, self.smtp_address], check=True)
        self.stored += BULK_ROUND


class Janitor(Worker):
    """Expunges the oldest of the bulk, as archive does."""

    def __init__(self, store_address):
        super().__init__(store_address)
        self.deleted = 0

    def step(self):
        if self.api.usage(BULK).messages <= BULK_KEPT:
            self.stopping.wait(0.2)
            return
        page = self.api.message.ListMessages(messages_api.ListMessagesRequest(parent=f"mailboxes/{BULK}", page_size=1000))
        done = self.api.message.BatchDeleteMessages(messages_api.BatchDeleteMessagesRequest(
            parent=f"mailboxes/{BULK}", uids=[m.uid for m in page.messages]))
        self.deleted += done.deleted_messages


class Load:
    def __init__(self, store, front, directory, seed):
        self.api = Api(store.address, PATIENTLY)
        self.api.ready()
        self.api.create_domain()
        letter = directory / "bulk-letter"
        letter.write_bytes(message(4_096).replace(b"\r\n", b"\n"))  # smtp-source writes the line ends itself.
        self.senders = [Sender(store.address, front.smtp, i, seed) for i in range(SENDERS)]
        self.bulk = Bulk(store.address, front.smtp, letter)
        self.janitor = Janitor(store.address)
        self.workers = [*self.senders, self.bulk, self.janitor]
        for worker in self.workers:
            worker.start()

    def sum(self, name):
        return sum(getattr(sender, name) for sender in self.senders)

    @property
    def acknowledged(self):
        return self.bulk.stored + self.sum("stored")

    def failures(self):
        return [f"{type(w).__name__}: {type(w.failure).__name__}: {w.failure}" for w in self.workers if w.failure]

    def stop(self):
        for worker in self.workers:
            worker.stopping.set()
        for worker in self.workers:
            worker.join(harness.PATIENCE)
            if worker.is_alive() and not worker.failure:
                worker.failure = AssertionError("does not end")

    def problems(self):
        """Everything acknowledged, compared with everything there. After stop()."""
        self.api.await_nothing_reserved(BULK, *(a for s in self.senders for a in s.mailboxes))
        for sender in self.senders:
            yield from sender.problems()
        usage = self.api.usage(BULK)
        if usage.messages != self.bulk.stored - self.janitor.deleted:
            yield f"{BULK}: {self.bulk.stored} acknowledged, {self.janitor.deleted} deleted, {usage.messages} there"
        yield from self.api.problems()
