"""A front end of several stores with the same mail, of which one after another is lost.

RESTANTE_KILL_SEED in the environment: the seed of a run that failed.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import urllib.error

import pytest

import harness
from front_figures import await_up, metric
from hand_over import ALICE, FULL, create_mailboxes
from letters import Load, assert_arrived
from peer import Peer
from smtp_client import Smtp, message, stuffed

LETTERS = 1_000


class Way:
    """A process on the way to the store: to a front end a store of its own, that can be killed and stopped."""

    def __init__(self, store_address):
        self.address = f"127.0.0.1:{harness.free_port()}"
        self._store_address = store_address
        self.start()

    def start(self):
        program = pathlib.Path(__file__).with_name("way.py")
        self._process = subprocess.Popen([sys.executable, program, self.address, self._store_address],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def freeze(self):
        """Its connections stand, and new ones are taken, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)
        state = pathlib.Path(f"/proc/{self._process.pid}/stat")
        harness.poll(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "the way to stand still")

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def ways(store, api):
    create_mailboxes(api)
    ways = [Way(store.address), Way(store.address)]
    yield ways
    for way in ways:
        way.thaw()
        way.kill()


@pytest.fixture
def front(start, ways):
    front = start(harness.Front, ",".join(way.address for way in ways))
    for way in ways:
        await_up(front, way)
    return front


def ready(front):
    try:
        return harness.fetch(front.program.addresses["ops"], "/readyz") == "ready\n"
    except urllib.error.HTTPError:
        return False


def pipelined(front, recipient, text):
    """One transaction as a client sends it that waits for nothing but 354 and 250."""
    with Smtp(front.smtp) as smtp:
        smtp.send(f"MAIL FROM:<sender@example.net>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        assert [smtp.reply().code for _ in range(3)] == [250, 250, 354]
        smtp.send(stuffed(text))
        return smtp.reply()


def test_kills_under_load_lose_nothing_and_double_nothing(front, ways, store, api, cli):
    seed = int(os.environ.get("RESTANTE_KILL_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RESTANTE_KILL_SEED={seed}")
    choose = random.Random(seed)
    load = Load(front.smtp, ALICE, LETTERS, senders=8)
    kills = hits = 0
    while load.running():
        way = choose.choice(ways)
        goal = api.usage(ALICE).messages + choose.randrange(20, 100)
        harness.poll(lambda: api.usage(ALICE).messages >= goal or not load.running(), "letters to arrive")
        kills += 1
        hits += metric(front, "open_transactions", way) > 0
        way.kill()
        await_up(front, way, False)
        way.start()
        await_up(front, way)
    load.join()
    print(f"{kills} kills, {hits} of them with transactions open")
    assert hits > 0
    assert all(metric(front, "transactions_total", way) > 0 for way in ways)
    assert_arrived(api, ALICE, load.keys, once=True)
    api.await_nothing_reserved(ALICE)
    assert cli.run("store", "verify").returncode == 0


def test_a_mailbox_stays_with_its_store_while_that_is_there(front, ways, api):
    def take(count):
        """How many of so many each store takes; on a busy machine one may seem to hang and miss some."""
        before = {way: metric(front, "transactions_total", way) for way in ways}
        for i in range(count):
            assert pipelined(front, ALICE, message(500, seed=i)) == "250 2.0.0"
        return {way: metric(front, "transactions_total", way) - before[way] for way in ways}

    taken = take(20)
    preferred, other = sorted(ways, key=taken.get, reverse=True)
    assert taken[preferred] >= 16, taken
    preferred.kill()
    await_up(front, preferred, False)
    assert take(1) == {preferred: 0, other: 1}
    preferred.start()
    await_up(front, preferred)
    taken = take(20)
    assert taken[preferred] >= 16, taken
    assert api.usage(ALICE).messages == 41


def test_a_store_that_hangs_is_passed_by(front, ways, api):
    pipelined(front, ALICE, message(500))
    preferred = max(ways, key=lambda way: metric(front, "transactions_total", way))
    preferred.freeze()
    began = time.monotonic()
    with Peer(front.policy) as mta:
        assert mta.policy(recipient=FULL) == "452 4.2.2 Mailbox full", "whoever is asked first"
    await_up(front, preferred, False)
    print(f"passed by {time.monotonic() - began:.2f} s after it was stopped")
    for i in range(5):
        assert pipelined(front, ALICE, message(500, seed=i)) == "250 2.0.0"
    assert ready(front)
    preferred.thaw()
    await_up(front, preferred)
    assert api.usage(ALICE).messages == 6


def test_one_store_is_enough_and_none_is_451(front, ways):
    for way in ways:
        assert ready(front)
        way.kill()
        await_up(front, way, False)
    harness.poll(lambda: not ready(front), "the front end to say that no store is there")
    with Smtp(front.smtp) as smtp:
        assert smtp.mail() == "451 4.3.0"
    page = harness.fetch(front.program.addresses["ops"], "/")
    for way in ways:
        assert any(line.startswith("no ") and line.endswith(way.address) for line in page.splitlines()), page
        way.start()
        await_up(front, way)


def test_the_command_line_asks_the_first_that_is_there(ways):
    cli = harness.Cli(",".join(way.address for way in ways))
    for way in ways:
        way.kill()
        assert ALICE in cli("mailbox", "list").decode()
        way.start()
    ways[0].freeze()
    assert ALICE in cli("mailbox", "list").decode()
    for way in ways:
        way.thaw()
        way.kill()
    assert cli.run("mailbox", "list").returncode == 3
    for way in ways:
        way.start()
