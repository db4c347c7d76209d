"""One session alone: how long its 250 takes, beside what the disk and two round trips to the store take."""

from bench import load, rounds
from bench.load import addresses
from bench.peers.append_sync import AppendSync
from bench.peers.restante import Restante

SIZE = 4096
USER = "alice@example.org"


def run(bench):
    file = addresses.write(bench.directory, [USER])
    with bench.peer(Restante, [USER]) as server, bench.peer(AppendSync, []) as disk:
        dot, sync, trips = "SMTP, final dot to 250", "append and sync one", "gRPC, two empty round trips"
        progress = bench.progress(3 * (bench.rounds + 1))
        samples = rounds.interleave({
            dot: lambda: rounds.measure(server.pids(), lambda: load.run(
                "smtp_load", server.smtp, "smtp", 1, bench.seconds, SIZE, 1, file)),
            sync: lambda: disk.sample(SIZE, 1, bench.seconds),
            trips: lambda: rounds.measure(server.pids(), lambda: load.run(
                "grpc_load", server.store.address, "empty", bench.seconds)),
        }, bench.rounds, progress)
        progress.end()
    bench.report.table(f"One session alone, 4 KB: {bench.rounds} rounds of {bench.seconds:g} s, medians",
                       ["what", "a second", "p50 ms", "p99 ms"],
                       [[name, rounds.median(of, "rate"), rounds.median(of, "p50_us") / 1000,
                         rounds.median(of, "p99_us") / 1000] for name, of in samples.items()])
    p50 = {name: rounds.median(of, "p50_us") for name, of in samples.items()}
    bench.report.goal("one session alone: p50 from dot to 250, of the other two together",
                      p50[dot] / (p50[sync] + p50[trips]), unit="times", at_most=1)
    bench.report.keep("alone", {name: [vars(s) for s in of] for name, of in samples.items()})
