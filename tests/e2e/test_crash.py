"""kill -9 of the store under load: what was acknowledged is there, whole, once.

RESTANTE_KILL_ROUNDS in the environment: how many (./dev soak asks for 100);
RESTANTE_KILL_SEED: the seed of a run that failed.
"""

import collections
import os
import random
import threading

import harness
import pytest
from api import Api, Stream, deliver, mailbox, new_id
from smtp_client import Lost, Smtp, message, stuffed

ROUNDS = int(os.environ.get("RESTANTE_KILL_ROUNDS", "10"))
SENDERS = 8


class Sender(threading.Thread):
    """Delivers one text after another and notes every reply to a dot."""

    def __init__(self, front, number, seed):
        super().__init__(daemon=True)
        self.front, self.number, self.random = front, number, random.Random(seed * 100 + number)
        self.acknowledged, self.refused, self.unknown = {}, set(), set()
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                try:
                    with Smtp(self.front.smtp, timeout=harness.PATIENCE * 2) as smtp:
                        while not self.stopping.is_set():
                            self.deliver(smtp)
                except (Lost, OSError):
                    continue
        except Exception as failure:  # shown by the test
            self.failure = failure

    def deliver(self, smtp):
        key = f"{self.number}-{len(self.acknowledged)}-{len(self.refused)}-{len(self.unknown)}"
        text = message(self.random.choice((400, 4_000, 40_000)), subject=key, seed=self.random.getrandbits(32))
        size = len(text) if self.random.random() < 0.5 else None
        if smtp.mail(size=size).code != 250 or smtp.rcpt("alice@example.org").code != 250 or smtp.data().code != 354:
            smtp.command("RSET")
            return
        self.unknown.add(key)
        reply = smtp.text(text)
        self.unknown.discard(key)
        if reply.code == 250:
            self.acknowledged[key] = text
        else:
            assert 400 <= reply.code < 500, reply
            self.refused.add(key)


def subject(text):
    return text.split(b"\r\nSubject: ", 1)[1].split(b"\r\n", 1)[0].decode()


def test_kill9_again_and_again_loses_nothing_and_doubles_nothing(store, front, api, cli):
    seed = int(os.environ.get("RESTANTE_KILL_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RESTANTE_KILL_SEED={seed}")
    api.create_domain()
    api.create_mailbox("alice@example.org")
    choose = random.Random(seed)
    senders = [Sender(front, i, seed) for i in range(SENDERS)]
    for sender in senders:
        sender.start()

    def count():
        assert not [s.failure for s in senders if s.failure]
        return sum(len(s.acknowledged) for s in senders)

    recovered = groups = 0
    for _ in range(ROUNDS):
        goal = count() + choose.randrange(20, 120)
        harness.poll(lambda: count() >= goal, "the senders to be acknowledged")
        store.kill9()
        store.restart()
        api.ready()
        figures = api.status().engine_figures
        recovered += figures["recovery_log_bytes"]
        groups += figures["recovery_groups"]
        assert api.problems() == []
    goal = count() + 20
    harness.poll(lambda: count() >= goal, "mail after the last restart")
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(harness.PATIENCE * 2)
        assert not sender.is_alive()
    api.await_nothing_reserved("alice@example.org")

    stored = collections.defaultdict(list)
    for text in api.texts("alice@example.org"):
        stored[subject(text)].append(text)
    acknowledged = {k: v for s in senders for k, v in s.acknowledged.items()}
    refused = set().union(*(s.refused for s in senders))
    unknown = set().union(*(s.unknown for s in senders))
    print(f"{ROUNDS} rounds, {SENDERS} senders: {len(acknowledged)} acknowledged, {len(refused)} refused at the dot, "
          f"{len(unknown)} without a reply; recovered {recovered} octets of log, {groups} groups")
    assert len(acknowledged) >= ROUNDS * 20
    assert groups > 0, "no kill met the store at work"
    for key, text in acknowledged.items():
        assert len(stored[key]) == 1, f"{key}: acknowledged, stored {len(stored[key])} times"
        assert stored[key][0].endswith(text), f"{key}: another text"
    for key in refused:
        assert key not in stored, f"{key}: refused, stored"
    assert unknown == set(), "the front end settles what it did not see"
    api.assert_exact("alice@example.org")
    assert cli.run("store", "verify").returncode == 0


def test_a_commit_whose_answer_was_lost_is_settled(store, front, api):
    """The text's end and the kill meet; the reply is true, whichever it is."""
    api.create_domain()
    api.create_mailbox("alice@example.org")
    replies = []
    for i in range(10):
        with Smtp(front.smtp) as smtp:
            text = message(3_000, subject=f"round {i}", seed=i)
            harness.poll(lambda: smtp.mail() == 250 or smtp.command("RSET") is None, "the store to be back")
            assert smtp.rcpt("alice@example.org") == 250
            assert smtp.data() == 354
            smtp.send(stuffed(text))
            store.kill9()
            store.restart()
            reply = smtp.reply()
            assert reply.code in (250, 451), reply
            replies.append((f"round {i}", reply.code == 250))
    api.ready()
    stored = [subject(t) for t in api.texts("alice@example.org")]
    assert stored == [s for s, committed in replies if committed]
    assert api.problems() == []


def test_recovery_reads_no_more_log_than_lies_after_the_checkpoint(store, front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    with Smtp(front.smtp) as smtp:
        for i in range(20):
            assert smtp.deliver("alice@example.org", message(200_000, seed=i)) == "250 2.0.0"
    written = api.usage("alice@example.org").bytes
    store.restart()
    api.ready()
    figures = dict(api.status().engine_figures)
    assert figures["recovery_log_bytes"] < written / 10, figures
    with Smtp(front.smtp) as smtp:
        harness.poll(lambda: smtp.deliver("alice@example.org", message(200_000, seed=99)) == 250, "the store to be back")
    store.kill9()
    store.restart()
    api.ready()
    figures = dict(api.status().engine_figures)
    assert 0 < figures["recovery_log_bytes"] < 1_000_000, figures


def test_the_front_end_says_451_while_the_store_is_away_and_recovers_by_itself(store, front, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(1_000)) == "250 2.0.0"
        assert smtp.mail() == 250
        assert smtp.rcpt("alice@example.org") == 250
        store.kill9()
        assert harness.poll(smtp.data, "an answer") == "451 4.3.0"
        smtp.command("RSET")
        assert smtp.deliver("alice@example.org", message(1_000)) == "451 4.3.0"
        store.restart()
        harness.poll(lambda: smtp.deliver("alice@example.org", message(1_000)) == "250 2.0.0", "the store to be found again")
    api.ready()
    assert api.usage("alice@example.org").messages == 2


def test_a_front_end_that_starts_before_the_store_is_there_serves_it_later(start, store, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    store.kill9()
    front = start(harness.Front, store.address)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(1_000)) == "451 4.3.0"
        store.restart()
        harness.poll(lambda: smtp.deliver("alice@example.org", message(1_000)) == "250 2.0.0", "the store to be found")


@pytest.mark.parametrize("ended_by", ["kill9", "stop"])
def test_limits_and_receipts_survive(store, api, ended_by):
    api.create_domain(max_bytes=1_000_000)
    api.create_mailbox("alice@example.org", max_bytes=5_000, max_messages=7)
    api.create_alias("info@example.org", "alice@example.org")
    request_id = new_id()
    first = deliver(Stream(api), ["info@example.org"], b"Subject: x\r\n\r\ny\r\n", request_id)
    assert first[0] == "receipts" and first[1].committed
    getattr(store.program, ended_by)()
    store.restart()
    again = Api(store.address)
    again.ready()
    box = again.mailbox.GetMailbox(mailbox.GetMailboxRequest(name="mailboxes/alice@example.org"))
    assert (box.max_bytes.value, box.max_messages.value, box.usage.messages) == (5_000, 7, 1)
    found = again.receipt(request_id)
    assert found.committed and found.receipts == first[1]
    again.close()
