"""Promise 5 over gRPC: one request id, one message, whatever happens between."""

import grpc
import pytest

import api as api_module
from api import Stream, delivery, deliver, events, new_id
from smtp_client import message

TEXT = message(3_000)


@pytest.fixture
def stream(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    api.create_mailbox("bob@example.org")
    return Stream(api)


def test_a_repeated_commit_gets_the_first_receipt_and_stores_nothing(api, stream):
    request_id = new_id()
    first = deliver(stream, ["alice@example.org", "bob@example.org"], TEXT, request_id)
    assert first[0] == "receipts" and first[1].committed and len(first[1].receipts) == 2
    assert deliver(stream, ["alice@example.org", "bob@example.org"], TEXT, request_id) == first
    assert deliver(Stream(api), ["alice@example.org", "bob@example.org"], TEXT, request_id) == first
    assert api.receipt(request_id).receipts == first[1]
    for address in ("alice@example.org", "bob@example.org"):
        assert api.usage(address).messages == 1
        api.assert_exact(address)
    api.await_nothing_reserved("alice@example.org", "bob@example.org")


def test_it_does_so_after_a_crash_too(api, stream, store):
    request_id = new_id()
    first = deliver(stream, ["alice@example.org"], TEXT, request_id)
    store.kill9()
    store.restart()
    api.ready()
    assert deliver(Stream(api), ["alice@example.org"], TEXT, request_id) == first
    assert api.usage("alice@example.org").messages == 1


def test_a_repeated_id_is_answered_even_when_the_mailbox_is_full_by_now(api, stream):
    api.create_mailbox("small@example.org", max_messages=1)
    request_id = new_id()
    first = deliver(stream, ["small@example.org"], TEXT, request_id)
    assert first[0] == "receipts" and first[1].committed
    assert deliver(stream, ["small@example.org"], TEXT, request_id) == first


@pytest.mark.parametrize("change", [
    {"text": message(3_000, seed=1)}, {"text": message(3_001)}, {"recipients": ["bob@example.org"]},
    {"recipients": ["alice@example.org", "bob@example.org"]}, {"sender": "other@example.net"},
    {"mode": delivery.Begin.PER_RECIPIENT},
], ids=["content", "size", "recipient", "more recipients", "reverse path", "mode"])
def test_the_same_id_with_another_message_is_refused(api, stream, change):
    request_id = new_id()
    assert deliver(stream, ["alice@example.org"], TEXT, request_id)[1].committed
    arguments = {"recipients": ["alice@example.org"], "text": TEXT, **change}
    kind, refused = deliver(stream, request_id=request_id, **arguments)
    assert (kind, refused.outcome) == ("refused", api_module.common.OUTCOME_REQUEST_ID_IN_USE), refused
    assert api.usage("alice@example.org").messages == 1
    assert api.usage("bob@example.org").messages == 0
    api.await_nothing_reserved("alice@example.org", "bob@example.org")


def test_an_id_called_not_committed_never_commits(api, stream, store):
    request_id = new_id()
    late = events(stream.number(), request_id, ["alice@example.org"], TEXT)
    stream.send(*late[:3])
    assert stream.answer(1)[0] == "begun"
    assert stream.answer(1)[0] == "decision"
    assert stream.answer(1)[0] == "ready"
    assert not api.receipt(request_id).committed
    stream.send(*late[3:])
    kind, refused = stream.answer(1)
    assert (kind, refused.outcome) == ("refused", api_module.common.OUTCOME_REQUEST_ID_ABORTED)
    for restart in (False, True):
        if restart:
            store.kill9()
            store.restart()
            api.ready()
        kind, refused = deliver(Stream(api), ["alice@example.org"], TEXT, request_id)
        assert (kind, refused.outcome) == ("refused", api_module.common.OUTCOME_REQUEST_ID_ABORTED)
        assert not api.receipt(request_id).committed
    assert api.usage("alice@example.org").messages == 0
    api.await_nothing_reserved("alice@example.org")


def test_an_unknown_id_is_not_committed_and_stays_so(api, stream):
    request_id = new_id()
    assert not api.receipt(request_id).committed
    kind, refused = deliver(stream, ["alice@example.org"], TEXT, request_id)
    assert (kind, refused.outcome) == ("refused", api_module.common.OUTCOME_REQUEST_ID_ABORTED)


def test_a_stream_that_breaks_gives_the_room_back(api, stream):
    for end in (stream.cancel, Stream.end):
        broken = Stream(api)
        transaction = broken.number()
        broken.send(*events(transaction, new_id(), ["alice@example.org"], TEXT)[:3])
        for kind in ("begun", "decision", "ready"):
            assert broken.answer(transaction)[0] == kind
        assert api.usage("alice@example.org").reserved_bytes == len(TEXT)
        broken.end() if end is Stream.end else broken.cancel()
        api.await_nothing_reserved("alice@example.org")
    assert api.usage("alice@example.org").messages == 0


def test_two_hundred_transactions_do_not_wait_for_one_that_stalls(api, stream):
    stalled = stream.number()
    late = events(stalled, new_id(), ["bob@example.org"], TEXT)
    stream.send(*late[:3])
    waiting = {}
    for i in range(199):
        number = stream.number()
        waiting[number] = events(number, new_id(), ["alice@example.org"], message(1_000 + i, seed=i))
    # Interleaved: the first event of each, then the second of each, ...
    for step in range(5):
        stream.send(*(parts[step] for parts in waiting.values()))
    for number in waiting:
        for kind in ("begun", "decision", "ready", "receipts"):
            answer = stream.answer(number)
            assert answer[0] == kind, answer
        assert answer[1].committed
    assert api.usage("alice@example.org").messages == 199
    assert api.usage("bob@example.org").reserved_bytes == len(TEXT)
    stream.send(*late[3:])
    assert [stream.answer(stalled)[0] for _ in range(4)] == ["begun", "decision", "ready", "receipts"]
    api.assert_exact("alice@example.org")
    api.assert_exact("bob@example.org")


def malformed():
    event, begin = delivery.Event, delivery.Begin
    good = begin(request_id=b"r" * 16, sender="s@example.net")
    recipient = delivery.Recipient(address="alice@example.org")
    return {
        "an empty event": [event(transaction=1)],
        "a recipient before Begin": [event(transaction=1, recipient=recipient)],
        "data before Begin": [event(transaction=1, data=delivery.Data())],
        "a chunk before Begin": [event(transaction=1, chunk=b"x")],
        "a commit before Begin": [event(transaction=1, commit=delivery.Commit())],
        "no request id": [event(transaction=1, begin=begin(sender="s@example.net"))],
        "a short request id": [event(transaction=1, begin=begin(request_id=b"x"))],
        "a huge reverse path": [event(transaction=1, begin=begin(request_id=b"r" * 16, sender="s" * 5000))],
        "Data without a recipient": [event(transaction=1, begin=good), event(transaction=1, data=delivery.Data())],
        "a recipient after Data": [event(transaction=1, begin=good), event(transaction=1, recipient=recipient),
                                   event(transaction=1, data=delivery.Data()),
                                   event(transaction=1, recipient=recipient)],
        "more than the credit": [event(transaction=1, begin=good), event(transaction=1, recipient=recipient),
                                 event(transaction=1, data=delivery.Data()),
                                 event(transaction=1, chunk=b"x" * (256 * 1024 + 1))],
        "a wrong size": [event(transaction=1, begin=good), event(transaction=1, recipient=recipient),
                         event(transaction=1, data=delivery.Data()), event(transaction=1, chunk=b"x"),
                         event(transaction=1, commit=delivery.Commit(size=2))],
        "a wrong checksum": [event(transaction=1, begin=good), event(transaction=1, recipient=recipient),
                             event(transaction=1, data=delivery.Data()), event(transaction=1, chunk=b"x"),
                             event(transaction=1, commit=delivery.Commit(size=1, crc32c=1))],
    }


@pytest.mark.parametrize("name", malformed())
def test_a_malformed_event_fails_its_transaction_and_no_other(api, stream, name):
    stream.number()
    stream.send(*malformed()[name])
    kind = None
    while kind not in ("refused", "receipts"):
        kind, answer = stream.answer(1)
    assert kind == "refused" or not answer.committed, answer
    assert deliver(stream, ["alice@example.org"], TEXT)[1].committed
    assert api.usage("alice@example.org").messages == 1
    api.await_nothing_reserved("alice@example.org")


def test_a_number_used_again_ends_the_stream_with_invalid_argument(api, stream):
    assert deliver(stream, ["alice@example.org"], TEXT)[1].committed
    stream.send(*events(1, new_id(), ["alice@example.org"], TEXT))
    with pytest.raises(AssertionError, match="INVALID_ARGUMENT"):
        while True:
            stream.answer(1)
    assert api.usage("alice@example.org").messages == 1


def test_octets_that_are_no_message_end_that_call_and_no_other(api, stream):
    raw = api.channel.stream_stream("/restante.v1.DeliveryService/Deliver")
    try:
        # gRPC tells the server of such a message as of the stream's end.
        assert list(raw(iter([b"\xff" * 1000]))) == []
    except grpc.RpcError:
        pass
    huge = api.channel.stream_stream("/restante.v1.DeliveryService/Deliver")
    with pytest.raises(grpc.RpcError) as refused:
        list(huge(iter([b"\x00" * (2 << 20)])))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert deliver(stream, ["alice@example.org"], TEXT)[1].committed
