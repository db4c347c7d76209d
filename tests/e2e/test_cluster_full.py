"""A Ceph cluster without room, seen by who sends mail: 452 4.3.1 before the text, never a hang.

It starts a cluster of its own, with small disks, and ends it.
"""

import os
import pathlib
import subprocess
import tempfile
import time

import pytest

import harness
from rados_store import RadosStore, init_cluster
from restante.v1 import message_pb2
from smtp_client import Smtp, message

ALICE = "alice@example.org"
SIZE = 2_000_000
QUOTA = 40_000_000
# A question to the cluster is given up after 5 s; no reply may take much longer.
PATIENCE = 15
CEPH_CLUSTER = pathlib.Path(__file__).parents[1] / "cluster/ceph-cluster"


class Ceph:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="restante-ceph-")
        self.conf = self("start", "--osds", "3", "--osd-gib", "1", "--mgr", "--owner", str(os.getpid())).strip()

    def __call__(self, verb, *args):
        return subprocess.run([CEPH_CLUSTER, verb, self.directory, *args], check=True, stdout=subprocess.PIPE,
                              text=True).stdout

    def command(self, line):
        return self("ceph", *line.split())

    def set_full(self, ratio):
        for name, above in (("nearfull", 0), ("backfillfull", 0.01), ("full", 0.02)):
            self.command(f"osd set-{name}-ratio {ratio + above}")


@pytest.fixture
def ceph():
    cluster = Ceph()
    yield cluster
    cluster("stop")


@pytest.fixture
def store(ceph, start):
    return start(RadosStore, init_cluster(ceph.conf))


@pytest.fixture
def letters():
    """Texts of SIZE octets; the n-th by its number."""
    return lambda number: message(SIZE, seed=number)


def timed(step):
    began = time.monotonic()
    reply = step()
    assert time.monotonic() - began < PATIENCE, reply
    return reply


def fill(smtp, api, letters, first):
    """Delivers until it is refused; the replies before were 250. The first number that was not taken."""
    for number in range(first, first + 100):
        reply = timed(lambda: smtp.deliver(ALICE, letters(number), size=SIZE))
        if reply != 250:
            assert reply == "452 4.3.1", reply
            return number
        assert api.usage(ALICE).messages > 0
    raise AssertionError("it never becomes full")


def expunge_all(api):
    uids = [m.uid for m in api.messages(ALICE)]
    api.message.BatchDeleteMessages(message_pb2.BatchDeleteMessagesRequest(parent=f"mailboxes/{ALICE}", uids=uids))


def assert_kept(api, letters, numbers):
    texts = api.texts(ALICE)
    assert len(texts) == len(numbers)
    for text, number in zip(texts, numbers):
        # Behind the front end's trace header.
        assert text.endswith(letters(number)), number
    api.await_nothing_reserved(ALICE)
    api.assert_exact(ALICE)
    assert api.problems() == []


def awaits(smtp, letters, number, wanted):
    harness.poll(lambda: timed(lambda: smtp.deliver(ALICE, letters(number), size=SIZE)) == wanted, f"the reply {wanted}")


def test_a_full_pool_and_full_osds_are_refused_before_the_text(ceph, store, front, api, letters):
    harness.poll(lambda: not api.capacity().read_only and api.capacity().limit_bytes > 0, "the store to know its room")
    api.create_domain()
    api.create_mailbox(ALICE)
    with Smtp(front.smtp) as smtp, Smtp(front.smtp) as promised:
        # The quota of the pool.
        ceph.command(f"osd pool set-quota restante-body max_bytes {QUOTA}")
        harness.poll(lambda: api.capacity().limit_bytes < QUOTA, "the store to see the quota")
        full = fill(smtp, api, letters, 0)
        assert QUOTA // 2 < full * SIZE < QUOTA
        assert timed(lambda: smtp.mail(size=SIZE)) == "452 4.3.1"
        assert_kept(api, letters, range(full))
        expunge_all(api)
        awaits(smtp, letters, 100, 250)
        ceph.command("osd pool set-quota restante-body max_bytes 0")

        # Disks that are full to Ceph's own mark, while one has his 354 and another not yet.
        assert promised.mail(size=SIZE) == 250 and promised.rcpt(ALICE) == 250
        assert promised.data() == 354
        ceph.set_full(0)
        harness.poll(lambda: api.capacity().full, "the store to see that the disks are full")
        assert timed(lambda: smtp.mail(size=SIZE)) == "452 4.3.1"
        assert timed(lambda: smtp.mail()) == "452 4.3.1"
        assert timed(lambda: promised.text(letters(101))) == 250
        assert_kept(api, letters, [100, 101])
        # Room can be made, and is given back.
        expunge_all(api)
        assert api.usage(ALICE).messages == 0
        ceph.set_full(0.9)
        awaits(smtp, letters, 102, 250)
        assert_kept(api, letters, [102])
