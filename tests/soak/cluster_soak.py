#!/usr/bin/env python3
"""Stores over a Ceph cluster, for hours, while everything under them dies in turn.

    ./dev soak-cluster [--minutes N] [--seed N]

A cluster of three OSDs, two stores, a front end that knows both, and senders that
send each letter until it has its 250 and expunge some of what arrived. Meanwhile OSDs
are killed, or hang, two of the three at once, too; stores are killed and stopped. At
the end all usage is added up, and every letter that was acknowledged has to be there,
whole, once.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin-dir", default="build", help="the build folder")
parser.add_argument("--minutes", type=float, default=60)
parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
options = parser.parse_args()
TESTS = pathlib.Path(__file__).resolve().parents[1]
os.environ["E2E_BUILD_DIR"] = str(pathlib.Path(options.bin_dir).resolve())
# Slow is not wrong: the machine may be busy with other things, for hours.
os.environ["E2E_PATIENCE"] = "300"
sys.path.insert(0, str(TESTS / "e2e"))
import grpc  # noqa: E402
import harness  # noqa: E402
from api import Api, message  # noqa: E402
from front_figures import await_up  # noqa: E402
from letters import Sender as Connection  # noqa: E402
from letters import letter, new_key  # noqa: E402
from rados_store import RadosStore, init_cluster  # noqa: E402

SENDERS = 6
OSDS = ("osd.0", "osd.1", "osd.2")
SHARED = "everybody@example.org"
SIZES = (0, 3_000, 20_000, 300_000, 2_500_000)
# Until an OSD that hangs is taken for dead.
GRACE = 8


def say(line):
    print(line, flush=True)


def key_of(text):
    return text.partition(b"\r\n\r\n")[2].split(b"\r\n")[0].decode()


class Ceph:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="restante-ceph-")
        self("start", "--mgr", "--owner", str(os.getpid()))

    def __call__(self, verb, *args):
        subprocess.run([TESTS / "cluster/ceph-cluster", verb, self.directory, *args], check=True,
                       stdout=subprocess.DEVNULL)


class Sender(threading.Thread):
    """Delivers and expunges, and knows what has to be there."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak = soak
        self.random = random.Random(options.seed * 1000 + number)
        self.own = [f"s{number}.{i}@example.org" for i in range(2)]
        self.apis = [Api(store.address) for store in soak.stores]
        self.there = {address: {} for address in (*self.own, SHARED)}  # Texts, by key.
        self.delivered = self.expunged = self.tries = 0
        self.connection = self.failure = None

    def run(self):
        try:
            while not self.soak.ending.is_set():
                if self.random.random() < 0.9:
                    self.deliver()
                else:
                    self.expunge(self.random.choice(self.own))
        except BaseException as failure:  # shown by the soak
            self.failure = failure

    def deliver(self):
        key = new_key()
        text = letter(key, self.random.choices(SIZES, (30, 30, 20, 10, 2))[0])
        waiting = self.random.sample(list(self.there), self.random.randint(1, 3))
        while waiting:
            self.tries += 1
            try:
                self.connection = self.connection or Connection(self.soak.front.smtp)
                # A retry is the same octets, to those who have no 250 yet.
                replies, stored = self.connection.send(waiting, text)
            except (smtplib.SMTPException, OSError):
                self.hang_up()
                continue
            for reply in (*replies, stored or "250"):
                assert reply[0] in "24", reply
            if stored is None or not stored.startswith("250"):
                self.hang_up()
                continue
            for address, reply in zip(list(waiting), replies):
                if reply.startswith("250"):
                    self.there[address][key] = text.encode()
                    waiting.remove(address)
        self.delivered += 1

    def hang_up(self):
        if self.connection:
            self.connection.smtp.close()
        self.connection = None
        time.sleep(0.05)  # Leaves the machine to those who have to get up again.

    def ask(self, question):
        """Asks any store until one answers."""
        while True:
            try:
                return question(self.random.choice(self.apis))
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                        grpc.StatusCode.DEADLINE_EXCEEDED), error
                time.sleep(0.1)

    def expunge(self, address):
        found = self.ask(lambda api: api.messages(address))
        chosen = self.random.sample(found, min(5, len(found)))
        keys = [key_of(self.ask(lambda api, name=m.name: api.read(name))) for m in chosen]
        request = message.BatchDeleteMessagesRequest(parent=f"mailboxes/{address}", uids=[m.uid for m in chosen])
        if chosen:
            self.ask(lambda api: api.message.BatchDeleteMessages(request, timeout=60))
        for key in keys:
            # (One without its 250 may have arrived: that there is none, since.)
            del self.there[address][key]
        self.expunged += len(keys)


class Soak:
    def __init__(self, directory):
        self.ceph = Ceph()
        cluster = init_cluster(f"{self.ceph.directory}/ceph.conf")
        self.stores = [RadosStore(directory, cluster) for _ in range(2)]
        self.front = harness.Front(directory, ",".join(store.address for store in self.stores))
        self.random = random.Random(options.seed)
        self.ending = threading.Event()
        api = Api(self.stores[0].address)
        api.ready()
        api.create_domain()
        for store in self.stores:
            await_up(self.front, store)
        self.senders = [Sender(self, i) for i in range(SENDERS)]
        for address in {address for sender in self.senders for address in sender.there}:
            api.create_mailbox(address)
        self.faults = collections.Counter()
        self.begin = time.monotonic()
        for sender in self.senders:
            sender.start()

    def sum(self, name):
        return sum(getattr(sender, name) for sender in self.senders)

    def failures(self):
        return [f"a sender: {type(s.failure).__name__}: {s.failure}" for s in self.senders if s.failure]

    def go_on(self, letters):
        """Until so many more letters have their 250."""
        goal = self.sum("delivered") + letters
        harness.poll(lambda: self.sum("delivered") >= goal or self.failures(), "the senders to go on", interval=0.05)

    # --- what happens ------------------------------------------------------------------

    def kill_osd(self):
        osd = self.random.choice(OSDS)
        self.ceph("kill", osd)
        self.go_on(2 * SENDERS)
        self.ceph("revive", osd)

    def hang_osd(self):
        osd = self.random.choice(OSDS)
        self.ceph("freeze", osd)
        time.sleep(self.random.choice((1, GRACE / 2, 2 * GRACE)))
        self.ceph("thaw", osd)

    def kill_two_osds(self):
        two = self.random.sample(OSDS, 2)
        for osd in two:
            self.ceph("kill", osd)
        time.sleep(self.random.uniform(1, 8))
        for osd in two:
            self.ceph("revive", osd)

    def kill_store(self):
        store = self.random.choice(self.stores)
        store.program.kill9()
        await_up(self.front, store, False)
        self.go_on(self.random.randrange(2 * SENDERS))
        store.start()
        await_up(self.front, store)

    def stop_store(self):
        store = self.random.choice(self.stores)
        store.program.freeze()
        await_up(self.front, store, False)
        self.go_on(self.random.randrange(2 * SENDERS))
        os.kill(store.program.pid, signal.SIGCONT)
        await_up(self.front, store)

    def trouble(self):
        """Each fault in turn, in ever new order, until the time is up or something fails."""
        end = self.begin + options.minutes * 60
        while not self.failures():
            faults = [self.kill_osd, self.hang_osd, self.kill_two_osds, self.kill_store, self.stop_store]
            for fault in self.random.sample(faults, len(faults)):
                # (What was begun is done once.)
                if self.failures() or (time.monotonic() >= end and len(self.faults) == len(faults)):
                    return
                before = self.sum("delivered")
                fault()
                self.faults[fault.__name__] += 1
                # An OSD that dies before another has caught up makes two of them.
                self.ceph("heal")
                self.go_on(2 * SENDERS)
                say(f"{(time.monotonic() - self.begin) / 60:6.1f} min  {fault.__name__}: "
                    f"{self.sum('delivered') - before} letters meanwhile, {self.sum('delivered'):,} in all")

    # --- the end -----------------------------------------------------------------------

    def problems(self):
        """What is there, against what was acknowledged and not expunged."""
        for store in self.stores:
            api = Api(store.address)
            api.ready()
            expected = collections.defaultdict(dict)
            for sender in self.senders:
                for address, texts in sender.there.items():
                    expected[address].update(texts)
            api.await_nothing_reserved(*expected)
            for address, texts in expected.items():
                found = collections.Counter()
                for stored in api.texts(address):
                    key = key_of(stored)
                    found[key] += 1
                    # Behind what the front end put before it; lines end as SMTP wants it.
                    if key in texts and not stored.endswith(texts[key]):
                        yield f"{address}: {key}: another text"
                for key in set(texts) ^ set(found):
                    yield f"{address}: {key} {'is lost' if key in texts else 'was not acknowledged, or is expunged'}"
                for key, copies in found.items():
                    if copies > 1:
                        yield f"{address}: {key} is there {copies} times"
                api.assert_exact(address)
            yield from api.problems()
        cli = harness.Cli(self.stores[0].address)
        for verb in ("settle", "sweep", "verify", "scrub"):
            done = cli.run("store", verb, *(("--rate", "0") if verb == "scrub" else ()))
            say(f"restante store {verb}: {' '.join(done.stdout.decode().split())}")
            if done.returncode != 0:
                yield f"restante store {verb}: {done.stderr.decode()}"

    def report(self):
        minutes = (time.monotonic() - self.begin) / 60
        self.ending.set()
        for sender in self.senders:
            sender.join(harness.PATIENCE)
        problems = self.failures() + ["a sender does not end" for s in self.senders if s.is_alive()]
        if not problems:
            say("the load has ended; comparing everything")
            problems = list(self.problems())
        for name, value in (("seed", options.seed), ("minutes", f"{minutes:.1f}"),
                            ("letters acknowledged", f"{self.sum('delivered'):,}"),
                            ("attempts", f"{self.sum('tries'):,}"), ("expunged", f"{self.sum('expunged'):,}"),
                            *sorted(self.faults.items())):
            say(f"  {name:<24} {value}")
        for problem in problems[:20]:
            say(f"PROBLEM: {problem}")
        return not problems

    def close(self):
        for program in (self.front.program, *(store.program for store in self.stores)):
            program.kill9()
        self.ceph("stop")


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="restante-soak-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    say(f"soak-cluster: {options.minutes:g} minutes, seed {options.seed}")
    soak, well = Soak(directory), False
    try:
        soak.trouble()
        well = soak.report()
    finally:
        soak.close()
        if well:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            say(f"kept for a look: {directory}")
    return well


sys.exit(0 if main() else 1)
