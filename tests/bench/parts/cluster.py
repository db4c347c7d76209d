"""Stores over a Ceph cluster on this machine, beside librados and `rados bench` on the same cluster."""

import functools
import re
import statistics
import time

from bench import load, processes, rounds
from bench.load import addresses
from bench.peers.ceph import BODY, INDEX, Ceph, Stores

KB, MB = 1024, 1 << 20
SIZE, MAILBOXES, IN_FLIGHT = 4 * KB, 1_000, 64
# What has to be written before the message is there for one recipient: room, text, mailbox.
WRITES = 3
READ = {"4 KB": 4 * KB, "64 KB": 64 * KB, "1 MB": MB}


class Load:
    """What is measured, each for so long, with the processor time of stores and OSDs together."""

    def __init__(self, bench, ceph, stores):
        self._bench, self._ceph, self._stores = bench, ceph, stores
        # By name, of each round: the share of the machine's processor time that nobody used.
        self.idle = {}

    def _measure(self, name, program, *arguments):
        before, began = processes.idle_seconds(), time.monotonic()
        sample = rounds.measure(self._stores.pids() + self._ceph.pids(), lambda: program(*arguments))
        share = (processes.idle_seconds() - before) / ((time.monotonic() - began) * self._bench.cores)
        self.idle.setdefault(name, []).append(share)
        return sample

    def raw(self, name, pool, what, size, in_flight):
        return functools.partial(self._measure, name, load.run, "rados_load", self._ceph.conf, pool, what, size,
                                 in_flight, self._bench.seconds)

    def deliver(self, name, count, file):
        """By so many stores."""
        return functools.partial(self._measure, name, load.run, "grpc_load", self._stores.target(count), "deliver",
                                 file, IN_FLIGHT, SIZE, self._bench.seconds)

    def read(self, name, address):
        return functools.partial(self._measure, name, load.run, "grpc_load", self._stores.target(1), "read", address,
                                 self._bench.seconds)

    def rados_bench(self, name):
        def run():
            seconds = max(1, round(self._bench.seconds))
            said = self._ceph.rados("bench", seconds, "write", "-p", BODY, "-b", SIZE, "-t", IN_FLIGHT)
            count, took = (re.search(f"{what}: *([0-9.]+)", said)[1] for what in ("Total writes made",
                                                                                  "Total time run"))
            # (Its own processor time, and percentiles, it does not tell.)
            return {"count": int(count), "seconds": float(took), "cpu_seconds": 0.0}

        return functools.partial(self._measure, name, run)


def milliseconds(samples, figure):
    """Of those that tell it."""
    return None if samples[0].p50_us is None else rounds.median(samples, figure) / 1000


def deliveries(bench, ceph, stores, boxes):
    at = Load(bench, ceph, stores)
    many = addresses.write(bench.directory, boxes)
    one = bench.directory / "hot"
    one.write_text(boxes[0] + "\n")
    guarded, bodies, tool = "guarded writes, 1,000 objects", "new objects of 4 KB", "rados bench, 4 KB"
    single, hot, double = "1,000 mailboxes", "one hot mailbox", "1,000 mailboxes, two stores"
    samplers = {
        guarded: at.raw(guarded, INDEX, "guarded", MAILBOXES, IN_FLIGHT),
        bodies: at.raw(bodies, BODY, "bodies", SIZE, IN_FLIGHT),
        tool: at.rados_bench(tool),
        single: at.deliver(single, 1, many),
        hot: at.deliver(hot, 1, one),
        double: at.deliver(double, 2, many),
    }
    progress = bench.progress(len(samplers) * (bench.rounds + 1))
    samples = rounds.interleave(samplers, bench.rounds, progress)
    progress.end()
    idle = {name: statistics.median(of) for name, of in at.idle.items()}
    bench.report.table(
        f"{Ceph.OSDS} OSDs on this machine, {IN_FLIGHT} in flight, 4 KB: {bench.rounds} rounds of "
        f"{bench.seconds:g} s, medians",
        ["", "a second", "p50 ms", "p99 ms", "CPU s per 1,000, stores and OSDs", "processors idle"],
        [[name, rounds.median(of, "rate"), *(milliseconds(of, figure) for figure in ("p50_us", "p99_us")),
          rounds.median(of, lambda s: s.cpu_seconds / s.count * 1000), f"{idle[name]:.0%}"]
         for name, of in samples.items()])
    bench.report.goal(f"deliveries, of what {WRITES} guarded writes each allow",
                      WRITES * rounds.ratio(samples[single], samples[guarded]), at_least=0.6)
    bench.report.goal("one hot mailbox, of the rate over 1,000", rounds.ratio(samples[hot], samples[single]),
                      at_least=0.8)
    twice = rounds.ratio(samples[double], samples[single])
    bench.report.goal("two stores, of the rate of one", twice, at_least=1)
    # What the OSDs could have done more, had one store asked for it.
    has_room = idle[single] >= 0.4
    bench.report.note(f"with one store {idle[single]:.0%} of the processors were idle")
    bench.report.goal("two stores, of the rate of one, where processors were idle", twice if has_room else None,
                      at_least=1.6)
    bench.report.keep("cluster deliveries", {name: [vars(s) for s in of] for name, of in samples.items()})
    bench.report.keep("cluster idle", idle)


def reading(bench, ceph, stores, readers):
    at = Load(bench, ceph, stores)
    for name, address in readers.items():
        file = bench.directory / "reader"
        file.write_text(address + "\n")
        load.run("grpc_load", stores.target(1), "deliver", file, 4, READ[name], 1)
    pairs = {name: (f"object of {name}", f"message of {name}") for name in READ}
    samplers = {}
    for name, (plain, message) in pairs.items():
        samplers[plain] = at.raw(plain, BODY, "read", READ[name], 1)
        samplers[message] = at.read(message, readers[name])
    progress = bench.progress(len(samplers) * (bench.rounds + 1))
    samples = rounds.interleave(samplers, bench.rounds, progress)
    progress.end()
    bench.report.table(f"Read, one at a time: {bench.rounds} rounds of {bench.seconds:g} s, medians",
                       ["", "a second", "p50 ms", "p99 ms"],
                       [[name, rounds.median(of, "rate"), *(milliseconds(of, figure) for figure in ("p50_us", "p99_us"))]
                        for name, of in samples.items()])
    for name, (plain, message) in pairs.items():
        bench.report.goal(f"a message of {name}, of a plain object's time", rounds.ratio(samples[plain],
                                                                                         samples[message]),
                          at_most=1.3)
    bench.report.keep("cluster reading", {name: [vars(s) for s in of] for name, of in samples.items()})


def run(bench):
    boxes = addresses.numbered(MAILBOXES)
    readers = {name: f"reader{i}@example.org" for i, name in enumerate(READ)}
    with bench.peer(Ceph, []) as ceph, bench.peer(Stores, [*boxes, *readers.values()], ceph, 2) as stores:
        deliveries(bench, ceph, stores, boxes)
        reading(bench, ceph, stores, readers)
