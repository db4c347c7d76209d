"""Delivers a message as an MTA does, step by step: deliver.py STORE SENDER RECIPIENT... <MESSAGE

STORE is HOST:PORT, the message has CRLF line ends. RESTANTE_STORE_CA, a file, has the connection go by TLS;
RESTANTE_STORE_CERT and RESTANTE_STORE_KEY, or RESTANTE_STORE_TOKEN_FILE, say who we are. Exit status: 0 stored
for all, 75 try again for some, 69 no use to try again (sysexits.h).
"""

import os
import queue
import secrets
import sys
import time

import grpc
from restante.v1 import common_pb2, delivery_pb2, delivery_pb2_grpc

PATIENCE = 300  # Seconds for the whole, and for an outcome that was lost.
CHUNK = 64 * 1024
# A 5xx of SMTP. Everything else is temporary, what a later version may add among it.
PERMANENT = {common_pb2.Outcome.Value(f"OUTCOME_{name}") for name in (
    "MAILBOX_FULL_PERMANENTLY", "EXCEEDS_MAILBOX_LIMIT", "MESSAGE_TOO_LARGE", "NO_SUCH_MAILBOX", "FOREIGN_DOMAIN",
    "MAILBOX_DISABLED", "INVALID_ADDRESS")}


class Refused(Exception):
    """The whole message is refused."""

    def __init__(self, refused):
        super().__init__(refused.detail)
        self.outcome = refused.outcome


class Transaction:
    """A stream with one transaction. Its end, however it comes, releases what is reserved."""

    def __init__(self, stub):
        self._events = queue.SimpleQueue()
        self._stream = stub.Deliver(iter(self._events.get, None), timeout=PATIENCE)
        self._answers = (answer for response in self._stream for answer in response.answers)
        self.credit = 0

    def send(self, **event):
        self._events.put(delivery_pb2.DeliverRequest(events=[delivery_pb2.Event(transaction=1, **event)]))

    def take(self, wanted):
        """The next answer, which is of the kind `wanted`; `credit` may come at any time."""
        for answer in self._answers:
            kind = answer.WhichOneof("kind")
            if kind == "refused":
                raise Refused(answer.refused)
            if kind in ("begun", "credit"):
                self.credit += answer.begun.credit + answer.credit.bytes
            if kind == wanted:
                return getattr(answer, kind)
        raise ConnectionError("the store ended the stream")

    def end(self):
        self._events.put(None)
        self._stream.cancel()


def deliver(stub, request_id, sender, recipients, text):
    """The recipients' outcomes, in order. An MTA keeps `request_id` (16 random octets) with the message that it
    queues: with the same one a repetition stores nothing twice."""
    outcomes, mailboxes, receipts = [], [], []
    instead, committing = common_pb2.OUTCOME_UNAVAILABLE, False
    transaction = Transaction(stub)
    try:
        # MAIL.
        transaction.send(begin=delivery_pb2.Begin(request_id=request_id, sender=sender, declared_size=len(text)))
        transaction.take("begun")
        for address in recipients:  # RCPT: with OUTCOME_OK there is room, and it is ours.
            transaction.send(recipient=delivery_pb2.Recipient(address=address))
            decision = transaction.take("decision")
            outcomes.append(decision.outcome)
            mailboxes.append(decision.mailbox)
        if common_pb2.OUTCOME_OK not in outcomes:
            return outcomes
        # DATA: from here on a message of the declared size is refused neither for quota nor for disk.
        transaction.send(data=delivery_pb2.Data())
        transaction.take("ready")
        sent = 0
        while sent < len(text):
            if transaction.credit == 0:
                transaction.take("credit")
            chunk = text[sent:sent + min(CHUNK, transaction.credit)]
            transaction.send(chunk=chunk)
            transaction.credit -= len(chunk)
            sent += len(chunk)
        # The final dot: what the receipts call OUTCOME_OK is on disk.
        committing = True
        transaction.send(commit=delivery_pb2.Commit(size=len(text)))
        receipts = transaction.take("receipts").receipts
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        instead = refused.outcome
    except (grpc.RpcError, ConnectionError) as lost:
        print(f"lost: {lost}", file=sys.stderr)
        if committing:
            receipts = settle(stub, request_id, [mailbox for mailbox in mailboxes if mailbox])
    finally:
        transaction.end()
    # Who was accepted, or not asked about, has a receipt or shares what became of the whole.
    stored = (receipt.outcome for receipt in receipts)
    outcomes += [common_pb2.OUTCOME_OK] * (len(recipients) - len(outcomes))
    return [next(stored, instead) if outcome == common_pb2.OUTCOME_OK else outcome for outcome in outcomes]


def settle(stub, request_id, mailboxes):
    """The answer to Commit was lost: asks what became of it. What is not committed then never will be; what nobody
    can tell is tried again, with the same request id."""
    deadline = time.monotonic() + PATIENCE
    request = delivery_pb2.GetReceiptRequest(request_id=request_id, mailboxes=mailboxes)
    while True:
        try:
            return stub.GetReceipt(request, timeout=deadline - time.monotonic(), wait_for_ready=True).receipts.receipts
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                print(f"not known: {error.details()}", file=sys.stderr)
                return []
            time.sleep(0.2)


def connect(store):
    def read(name):
        file = os.environ.get(f"RESTANTE_STORE_{name}")
        return open(file, "rb").read() if file else None

    authority = read("CA")
    if authority is None:
        return grpc.insecure_channel(store)  # For a store on this machine that asks nobody who he is.
    credentials = grpc.ssl_channel_credentials(authority, read("KEY"), read("CERT"))
    if token := read("TOKEN_FILE"):
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.access_token_call_credentials(token.decode().strip()))
    return grpc.secure_channel(store, credentials)


def main(store, sender, *recipients):
    with connect(store) as channel:
        stub = delivery_pb2_grpc.DeliveryServiceStub(channel)
        outcomes = deliver(stub, secrets.token_bytes(16), sender, recipients, sys.stdin.buffer.read())
    for address, outcome in zip(recipients, outcomes):
        print(address, common_pb2.Outcome.Name(outcome) if outcome in common_pb2.Outcome.values() else outcome)
    failed = [outcome for outcome in outcomes if outcome != common_pb2.OUTCOME_OK]
    return 0 if not failed else 69 if PERMANENT.issuperset(failed) else 75


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
