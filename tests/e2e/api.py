"""The gRPC API as the tests use it: set up, look, and deliver event by event."""

import queue
import secrets
import threading

import grpc

import harness  # noqa: F401  (puts the stubs on the path)
from restante.v1 import common_pb2 as common
from restante.v1 import delivery_pb2 as delivery
from restante.v1 import delivery_pb2_grpc
from restante.v1 import mailbox_pb2 as mailbox
from restante.v1 import mailbox_pb2_grpc
from restante.v1 import message_pb2 as message
from restante.v1 import message_pb2_grpc
from restante.v1 import store_pb2 as store
from restante.v1 import store_pb2_grpc


def limit(value):
    """None: inherit. "unlimited", or a number."""
    if value is None:
        return None
    if value == "unlimited":
        return common.Limit(kind=common.Limit.UNLIMITED)
    return common.Limit(kind=common.Limit.VALUE, value=value)


# A store that was restarted is found again at once.
AT_ONCE = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50),
           ("grpc.min_reconnect_backoff_ms", 50)]
# Calls wait for the store, however long a busy machine takes to let them in.
PATIENTLY = [("grpc.service_config", '{"methodConfig": [{"name": [{}], "waitForReady": true}]}')]


class Api:
    def __init__(self, address, options=AT_ONCE):
        self.channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), *options])
        self.delivery = delivery_pb2_grpc.DeliveryServiceStub(self.channel)
        self.mailbox = mailbox_pb2_grpc.MailboxServiceStub(self.channel)
        self.message = message_pb2_grpc.MessageServiceStub(self.channel)
        self.store = store_pb2_grpc.StoreServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def ready(self):
        """Waits for the store; for use after a restart."""
        def answers():
            try:
                return self.store.GetStatus(store.GetStatusRequest(), wait_for_ready=True, timeout=harness.PATIENCE)
            except grpc.RpcError as error:
                # The connection of before the restart.
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error

        harness.poll(answers, "the store to answer")

    def create_domain(self, name="example.org", max_bytes=None, over_quota=None):
        self.mailbox.CreateDomain(mailbox.CreateDomainRequest(
            domain=mailbox.Domain(name=f"domains/{name}", max_bytes=limit(max_bytes), over_quota=over_quota)))

    def create_mailbox(self, address, max_bytes=None, max_messages=None, state=None):
        self.mailbox.CreateMailbox(mailbox.CreateMailboxRequest(mailbox=mailbox.Mailbox(
            name=f"mailboxes/{address}", max_bytes=limit(max_bytes), max_messages=limit(max_messages), state=state)))

    def create_alias(self, alias, address):
        self.mailbox.CreateAlias(mailbox.CreateAliasRequest(
            alias=mailbox.Alias(name=f"aliases/{alias}", mailbox=f"mailboxes/{address}")))

    def usage(self, address):
        return self.mailbox.GetMailbox(mailbox.GetMailboxRequest(name=f"mailboxes/{address}")).usage

    def domain_usage(self, name="example.org"):
        return self.mailbox.GetDomain(mailbox.GetDomainRequest(name=f"domains/{name}")).usage

    def messages(self, address):
        found, token = [], ""
        while True:
            page = self.message.ListMessages(message.ListMessagesRequest(
                parent=f"mailboxes/{address}", page_size=1000, page_token=token))
            found += page.messages
            token = page.next_page_token
            if not token:
                return found

    def read(self, name):
        chunks = self.message.ReadMessage(message.ReadMessageRequest(name=name))
        return b"".join(part.chunk for part in chunks)

    def texts(self, address):
        return [self.read(m.name) for m in self.messages(address)]

    def status(self):
        return self.store.GetStatus(store.GetStatusRequest())

    def capacity(self):
        return self.delivery.GetCapacity(delivery.GetCapacityRequest())

    def problems(self):
        """What `verify` finds; nothing, if it may be believed."""
        found, done = [], False
        for part in self.store.Verify(store.VerifyRequest()):
            found += part.problems
            done = part.done
        assert done, "verify ended without its last response"
        return found

    def await_nothing_reserved(self, *addresses):
        harness.poll(
            lambda: all(self.usage(a).reserved_bytes == 0 == self.usage(a).reserved_messages for a in addresses)
            and self.status().open_transactions == 0 and self.capacity().reserved_bytes == 0,
            f"nothing reserved in {addresses}")

    def assert_exact(self, address):
        """Promise 3, from outside: the figure kept is the sum of what is there."""
        usage, messages = self.usage(address), self.messages(address)
        assert usage.bytes == sum(m.size_bytes for m in messages)
        assert usage.messages == len(messages)
        for m in messages:
            assert len(self.read(m.name)) == m.size_bytes

    def receipt(self, request_id):
        return self.delivery.GetReceipt(delivery.GetReceiptRequest(request_id=request_id), timeout=harness.PATIENCE)


class Stream:
    """One Deliver stream. Each transaction's answers are kept apart."""

    def __init__(self, api):
        self._requests = queue.Queue()
        self._answers = {}
        self._lock = threading.Lock()
        self._error = None
        self._call = api.delivery.Deliver(iter(self._requests.get, None))
        self._last = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _queue(self, transaction):
        with self._lock:
            return self._answers.setdefault(transaction, queue.Queue())

    def _read(self):
        try:
            for response in self._call:
                for answer in response.answers:
                    self._queue(answer.transaction).put(answer)
        except grpc.RpcError as error:
            self._error = error
        with self._lock:
            for waiting in self._answers.values():
                waiting.put(None)

    def number(self):
        self._last += 1
        return self._last

    def send(self, *events):
        self._requests.put(delivery.DeliverRequest(events=events))

    def answer(self, transaction, patience=harness.PATIENCE):
        """The next answer but Credit, as (kind, message); None if there is none in time."""
        while True:
            try:
                answer = self._queue(transaction).get(timeout=patience)
            except queue.Empty:
                return None
            if answer is None:
                raise AssertionError(f"the stream ended: {self._error}")
            kind = answer.WhichOneof("kind")
            if kind != "credit":
                return kind, getattr(answer, kind)

    def end(self):
        """Half-closes; the store releases what is open."""
        self._requests.put(None)

    def cancel(self):
        self._call.cancel()


def new_id():
    return secrets.token_bytes(16)


def events(transaction, request_id, recipients, text, mode=delivery.Begin.ALL_OR_NONE, sender="sender@example.net",
           declared=True, client="192.0.2.1"):
    """All events of one delivery of a text within the first credit, in order."""
    assert len(text) <= 256 * 1024
    begin = delivery.Begin(request_id=request_id, mode=mode, sender=sender,
                           declared_size=len(text) if declared else None, client=delivery.Client(address=client))
    event = delivery.Event
    return [event(transaction=transaction, begin=begin),
            *(event(transaction=transaction, recipient=delivery.Recipient(address=r)) for r in recipients),
            event(transaction=transaction, data=delivery.Data()),
            event(transaction=transaction, chunk=text),
            event(transaction=transaction, commit=delivery.Commit(size=len(text)))]


def deliver(stream, recipients, text, request_id=None, **more):
    """Sends one delivery in one message; its last answer as (kind, message)."""
    transaction = stream.number()
    stream.send(*events(transaction, request_id or new_id(), recipients, text, **more))
    while True:
        kind, answer = stream.answer(transaction)
        if kind in ("receipts", "refused"):
            return kind, answer
