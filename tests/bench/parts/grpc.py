"""The API without SMTP: Deliver beside the bare disk, and what else MTAs and readers ask for."""

import functools

from bench import load, rounds
from bench.load import addresses
from bench.peers.append_sync import AppendSync
from bench.peers.restante import Restante

KB, MB = 1024, 1 << 20
SIZES = {"4 KB": 4 * KB, "64 KB": 64 * KB, "1 MB": MB, "50 MB": 50 * MB}
# Transactions in flight, as far as they make sense for the size.
DELIVERIES = [("4 KB", 1), ("4 KB", 16), ("4 KB", 256), ("64 KB", 1), ("64 KB", 16), ("64 KB", 256), ("1 MB", 1),
              ("1 MB", 16), ("50 MB", 1), ("50 MB", 4)]
# What is judged: 4 KB at this many.
IN_FLIGHT = 256
# Stored before messages are listed, read and deleted.
LISTED = 1_000
READER = "reader@example.org"
MAILBOXES = addresses.numbered(IN_FLIGHT)


def deliver(store, file, in_flight, size, seconds):
    return load.run("grpc_load", store, "deliver", file, in_flight, size, seconds)


def deliveries(bench, server, disk):
    file = addresses.write(bench.directory, MAILBOXES)
    store = [server.store.program.pid]
    pairs = [d for d in DELIVERIES if not bench.quick or d[0] == "4 KB"]
    progress = bench.progress(2 * len(pairs) * (bench.rounds + 1))
    rows, kept = [], {}
    for name, in_flight in pairs:
        size = SIZES[name]
        samples = rounds.interleave({
            f"Deliver, {name}, {in_flight} in flight": lambda: rounds.measure(
                store, lambda: deliver(server.store.address, file, in_flight, size, bench.seconds)),
            f"append and sync, {name} by {in_flight}": lambda: disk.sample(size, in_flight, bench.seconds),
        }, bench.rounds, progress)
        kept.update({what: [vars(s) for s in of] for what, of in samples.items()})
        ours, bare = samples.values()
        ratio = rounds.ratio(ours, bare)
        rows.append([name, in_flight, rounds.median(ours, "rate"), rounds.median(bare, "rate"), f"{ratio:.2f}",
                     rounds.median(ours, lambda s: s.cpu_seconds / s.count * 1000),
                     rounds.median(ours, lambda s: s.load_cpu_seconds / s.count * 1000),
                     rounds.median(ours, lambda s: s.written_bytes / s.count / size),
                     rounds.median(ours, "p50_us") / 1000, rounds.median(ours, "p99_us") / 1000])
        if (name, in_flight) == ("4 KB", IN_FLIGHT):
            judged = ratio
    progress.end()
    bench.report.table(
        f"Deliver by gRPC, append and sync in groups of as many: {bench.rounds} rounds of {bench.seconds:g} s, medians",
        ["size", "in flight", "messages/s", "append and sync", "ratio", "CPU s per 1,000", "client's",
         "octets written per octet", "p50 ms", "p99 ms"], rows)
    bench.report.goal(f"Deliver, {IN_FLIGHT} in flight, 4 KB: rate, of the bare program's", judged, unit="times",
                      at_least=0.5)
    bench.report.keep("grpc deliver", kept)


def calls(bench, server):
    """One kind of call after another: they do not compete with anybody else's."""
    address, seconds = server.store.address, bench.seconds
    store = [server.store.program.pid]
    reader, everybody = (addresses.write(bench.directory, of) for of in ([READER], MAILBOXES))

    def filled(sample):
        """There are LISTED messages at least, whatever was deleted before."""
        while server.api.usage(READER).messages < LISTED:
            deliver(address, reader, 64, 4 * KB, 0.2)
        return sample()

    def call(*arguments):
        return rounds.measure(store, lambda: load.run("grpc_load", address, *arguments, seconds))

    samplers = {"begin and abort, one after another": lambda: call("empty"),
                "CheckRecipient, 16 at a time": lambda: call("check", everybody, 16),
                f"list {LISTED:,}": lambda: call("list", READER), "read one of 4 KB": lambda: call("read", READER),
                "delete one": lambda: call("delete", READER)}
    progress = bench.progress(len(samplers) * (bench.rounds + 1))
    samples = rounds.interleave({name: functools.partial(filled, one) for name, one in samplers.items()},
                                bench.rounds, progress)
    progress.end()
    bench.report.table(f"Calls: {bench.rounds} rounds of {seconds:g} s, medians",
                       ["call", "calls/s", "CPU s per 1,000", "p50 ms", "p99 ms"],
                       [[name, rounds.median(of, "rate"), rounds.median(of, lambda s: s.cpu_seconds / s.count * 1000),
                         rounds.median(of, "p50_us") / 1000, rounds.median(of, "p99_us") / 1000]
                        for name, of in samples.items()])
    bench.report.keep("grpc calls", {name: [vars(s) for s in of] for name, of in samples.items()})


def run(bench):
    with bench.peer(Restante, [*MAILBOXES, READER]) as server, bench.peer(AppendSync, []) as disk:
        deliveries(bench, server, disk)
        calls(bench, server)
