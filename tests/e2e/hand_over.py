"""What has to hold behind every MTA, whatever it is."""

import threading

import harness
from letters import Load, assert_arrived, letter, new_key, send
from peer import Peer

MAX_MESSAGE = 2_000_000  # What the tests give the store.
ALICE = "alice@example.org"
FULL = "full@example.org"
SMALL = "small@example.org"


def create_mailboxes(api):
    api.create_domain()
    api.create_mailbox(ALICE)
    api.create_mailbox(FULL, max_messages=0)
    api.create_mailbox(SMALL, max_bytes=100_000)


class Service:
    """A store and a front end at addresses that do not change, whatever befalls them."""

    def __init__(self, start, store, api, *options):
        self._start, self.store, self.api, self._options = start, store, api, options
        self.addresses = {kind: f"127.0.0.1:{harness.free_port()}" for kind in ("smtp", "lmtp", "policy", "socketmap")}
        self.start_front()

    def start_front(self):
        self.front = self._start(harness.Front, self.store.address, *self._options, **self.addresses)
        self.await_front()

    def await_front(self):
        """Until it has found its store."""
        with Peer(self.front.socketmap) as mta:
            harness.poll(lambda: mta.look_up("domain", "example.org").startswith("OK "),
                         "the front end to find the store")

    def kill(self, which):
        (self.store if which == "store" else self.front.program).kill9()

    def start_again(self, which):
        if which == "store":
            self.store.start()
            self.api.ready()
            self.await_front()
        else:
            self.start_front()

    def stored(self, address=ALICE):
        return self.api.usage(address).messages


def drain(mta, service, done):
    """Makes the MTA try until `done()` and nothing waits there any more."""
    def drained():
        if done() and mta.queued() == 0:
            return True
        mta.flush()
        return False

    harness.poll(drained, "the MTA's queue to be empty", harness.PATIENCE * 3, interval=0.2)


def check_refusals_at_rcpt(mta, service):
    """One full and one good recipient: the full one is refused at once, the good one gets one copy."""
    keys = []
    for order in ([FULL, ALICE], [ALICE, FULL]):
        keys.append(new_key())
        replies, stored = send(mta.address, order, letter(keys[-1]))
        replies = dict(zip(order, replies))
        assert replies[FULL].startswith("452 4.2.2 ") and "ailbox full" in replies[FULL], replies
        assert replies[ALICE].startswith("250 ") and stored.startswith("250 "), (replies, stored)
    drain(mta, service, lambda: service.stored() == len(keys))
    assert_arrived(service.api, ALICE, keys, once=True)
    assert service.stored(FULL) == 0


def check_waits_for_room(mta, service):
    """The good recipient gets one copy at once; the full one gets his when there is room."""
    keys = [new_key(), new_key()]
    for key, order in zip(keys, ([FULL, ALICE], [ALICE, FULL])):
        replies, stored = send(mta.address, order, letter(key))
        assert stored.startswith("250 "), (replies, stored)
    harness.poll(lambda: service.stored() == len(keys), "the good one's copies")
    mta.flush()
    harness.poll(lambda: mta.queued() == len(keys), "nothing but the full one's mail in the queue")
    harness.poll(lambda: f"<{FULL}> 452 4.2.2" in service.front.program.log_text(), "the hop's refusal")
    assert service.stored(FULL) == 0
    harness.Cli(service.store.address)("mailbox", "set", FULL, "--messages", "10")
    drain(mta, service, lambda: service.stored(FULL) == len(keys))
    for mailbox in (ALICE, FULL):
        assert_arrived(service.api, mailbox, keys, once=True)


def check_refusals_by_size(mta, service):
    """Declared or not: what cannot be stored is refused while the sender is there."""
    def answer(recipient, octets, declared):
        replies, stored = send(mta.address, [recipient], letter(new_key(), octets), octets if declared else None)
        return (stored or replies[-1])[:10]

    assert answer(SMALL, 400_000, declared=True) == "552 5.2.3 "
    assert answer(SMALL, 90_000, declared=True)[:4] == "250 "
    harness.poll(lambda: service.stored(SMALL) == 1, "the one that has room")
    assert answer(SMALL, 20_000, declared=True) == "452 4.2.2 "
    assert answer(SMALL, 20_000, declared=False) == "452 4.2.2 "
    assert answer(ALICE, MAX_MESSAGE + 1, declared=True) == "552 5.3.4 "
    assert answer(ALICE, MAX_MESSAGE + 1, declared=False) == "552 5.3.4 "
    drain(mta, service, lambda: service.stored(SMALL) == 1)
    assert service.stored() == 0


class Flusher(threading.Thread):
    """Makes the MTA try again and again, beside what the test does."""

    def __init__(self, mta):
        super().__init__(daemon=True)
        self._mta, self._ended = mta, threading.Event()
        self.start()

    def run(self):
        while not self._ended.wait(0.2):
            self._mta.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()


def check_kills_in_the_middle(mta, service, victims=("store", "front end"), count=500,
                              once=True):
    """kill -9 of one and then of the other while letters flow: all of them arrive."""
    load = Load(mta.address, ALICE, count)
    with Flusher(mta):
        for which, after in zip(victims, (count // 5, count // 2)):
            harness.poll(lambda: service.stored() >= after, f"{after} letters")
            before = service.stored()
            service.kill(which)
            assert before < count, f"all was over before the {which} was killed"
            service.start_again(which)
        load.join()
        harness.poll(lambda: service.stored() >= count and mta.queued() == 0, "the MTA's queue to be empty",
                     harness.PATIENCE * 3, interval=0.1)
    assert_arrived(service.api, ALICE, load.keys, once)
    service.api.assert_exact(ALICE)
    service.api.await_nothing_reserved(ALICE)


def check_away_and_back(mta, service, at_rcpt, victims=("store", "front end")):
    """While one is away the MTA keeps the mail, or with `at_rcpt` the sender does; then it arrives."""
    keys = []
    for which in victims:
        keys.append(new_key())
        service.kill(which)
        replies, stored = send(mta.address, [ALICE], letter(keys[-1]))
        if at_rcpt:
            assert (stored or replies[0])[0] == "4", (replies, stored)
            assert mta.queued() == 0
        else:
            assert stored and stored.startswith("250 "), (replies, stored)
            mta.flush()
            harness.poll(lambda: mta.queued() == 1, "the MTA to keep the mail")
        service.start_again(which)
        if at_rcpt:
            harness.poll(lambda: (send(mta.address, [ALICE], letter(keys[-1]))[1] or "").startswith("250 "),
                         "the sender's retry")
        drain(mta, service, lambda: service.stored() == len(keys))
    assert_arrived(service.api, ALICE, keys, once=True)
