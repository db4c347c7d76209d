"""Promise 5 against RFC 1047: a 250 that is lost on its way makes no second copy, and nothing else is swallowed."""

import collections
import random
import threading
import urllib.request

import pytest

import harness
from api import Stream, delivery, deliver
from lost_reply import keep, lose, mail, send
from smtp_client import Smtp

LOSSES = 1_000
SENDERS = 8


@pytest.fixture(autouse=True)
def mailboxes(api):
    api.create_domain()
    for name in ("alice", "bob"):
        api.create_mailbox(f"{name}@example.org")


def count(api, address="alice@example.org"):
    api.assert_exact(address)
    return api.usage(address).messages


def metric(store, name):
    with urllib.request.urlopen(f"http://{store.program.addresses['ops']}/metrics", timeout=harness.PATIENCE) as page:
        return sum(float(line.split()[-1]) for line in page.read().decode().splitlines() if line.startswith(name))


def await_store(front):
    def finds_it():
        with Smtp(front.smtp) as smtp:
            return smtp.mail() == "250 2.1.0"

    harness.poll(finds_it, "the front end to find its store")


def outcomes(front):
    # All front ends of a test write the same log.
    lines = [line for line in front.program.log_text().splitlines() if " transaction " in line]
    return collections.Counter(word for line in lines for word in line.split() if word.startswith("outcome="))


def test_a_thousand_lost_replies_and_their_retries_make_a_thousand_messages(api, start, store, front):
    fronts = [front, start(harness.Front, store.address)]
    seed = random.randrange(1 << 32)
    print("seed", seed)
    attempts, failures = [0] * SENDERS, []

    def sender(which):
        dice = random.Random(seed + which)
        try:
            for number in range(which, LOSSES, SENDERS):
                # The answer to a retry may be lost as well; any front end may get the next.
                for _ in range(dice.choice([1, 1, 1, 2, 3])):
                    lose(dice.choice(fronts).smtp, mail(number))
                    attempts[which] += 1
                keep(dice.choice(fronts).smtp, mail(number))
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=sender, args=(which,)) for which in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    lost = sum(attempts)
    assert lost >= LOSSES
    assert count(api) == LOSSES
    texts = api.texts("alice@example.org")
    assert sorted(text.split(b"\r\nFrom: ", 1)[1] for text in texts) == \
        sorted(mail(n).split(b"From: ", 1)[1] for n in range(LOSSES))
    assert metric(store, "restante_suppressed_copies_total") == lost
    assert metric(store, 'restante_transactions_total{outcome="suppressed"}') == lost
    assert outcomes(front) == {"outcome=stored": LOSSES, "outcome=suppressed": lost}
    assert api.problems() == []


def test_a_retry_with_other_recipients_is_stored_where_it_lacks(api, front):
    lose(front.smtp, mail(1), ["alice@example.org"])
    keep(front.smtp, mail(1), ["bob@example.org", "alice@example.org"])
    assert (count(api), count(api, "bob@example.org")) == (1, 1)
    assert outcomes(front) == {"outcome=stored": 2}
    assert "suppressed=\"<alice@example.org> " in front.program.log_text()


def test_in_lmtp_each_recipient_is_recognised(api, front):
    both = ["alice@example.org", "bob@example.org"]
    lose(front.lmtp, mail(1), both, lmtp=True)
    keep(front.lmtp, mail(1), both, lmtp=True)
    assert (count(api), count(api, "bob@example.org")) == (1, 1)
    assert outcomes(front) == {"outcome=stored": 1, "outcome=suppressed": 1}


def test_equal_messages_without_a_message_id_are_two(api, front):
    lose(front.smtp, mail(1, message_id=False))
    keep(front.smtp, mail(1, message_id=False))
    assert count(api) == 2


def test_equal_messages_whose_answers_arrived_are_as_many_as_were_sent(api, front):
    for _ in range(20):
        keep(front.smtp, mail(1))
    with Smtp(front.smtp) as smtp:
        for _ in range(200):
            assert smtp.deliver("alice@example.org", mail(1)) == "250 2.0.0"
        assert smtp.command("QUIT") == "221 2.0.0"
    assert count(api) == 220


@pytest.mark.parametrize("killed", ["front", "store", "both"])
def test_a_kill_between_the_reply_and_its_proof_costs_neither_message_nor_a_second_copy(
        api, start, store, front, killed):
    smtp = send(front.smtp, mail(1))
    assert smtp.peek() == b"250"
    if killed in ("front", "both"):
        front.program.kill9()
        front = start(harness.Front, store.address)
    if killed in ("store", "both"):
        store.kill9()
        store.restart()
        api.ready()
    smtp.reset()
    await_store(front)
    keep(front.smtp, mail(1))
    assert count(api) == 1
    # The answer to the retry has arrived, so this is another message.
    keep(front.smtp, mail(1))
    assert count(api) == 2


def test_what_was_handed_over_stays_so_after_a_restart(api, store, front):
    keep(front.smtp, mail(1))
    store.restart()
    api.ready()
    await_store(front)
    keep(front.smtp, mail(1))
    assert count(api) == 2


def test_a_caller_that_never_asked_loses_nothing(api):
    stream = Stream(api)
    for _ in range(LOSSES):
        kind, receipts = deliver(stream, ["alice@example.org"], mail(1))
        assert kind == "receipts" and receipts.committed
        assert receipts.receipts[0].first_transaction_id == ""
    assert count(api) == LOSSES


def test_handed_over_is_taken_on_any_stream_and_without_an_answer(api):
    def commit(stream):
        number = stream.number()
        event = delivery.Event
        stream.send(
            event(transaction=number, begin=delivery.Begin(request_id=bytes([number] * 16), sender="a@example.net",
                                                           detect_retries=True)),
            event(transaction=number, recipient=delivery.Recipient(address="alice@example.org")),
            event(transaction=number, data=delivery.Data()), event(transaction=number, chunk=b"text"),
            event(transaction=number, commit=delivery.Commit(size=4, digest=bytes(32))))
        for _ in range(3):
            stream.answer(number)
        return stream.answer(number)[1]

    stream, other = Stream(api), Stream(api)
    first = commit(stream)
    again = commit(stream)
    assert again.receipts[0].first_transaction_id == first.transaction_id
    assert again.receipts[0].uid == first.receipts[0].uid == 1
    for transaction_id in ("nonsense", "0" * 32, first.transaction_id, again.transaction_id):
        other.send(delivery.Event(handed_over=delivery.HandedOver(transaction_id=transaction_id)))
    # A transaction on that stream is answered behind it.
    other.send(delivery.Event(transaction=7, abort=delivery.Abort()))
    assert other.answer(7)[0] == "aborted"
    assert commit(stream).receipts[0].first_transaction_id == ""
    assert count(api) == 2
