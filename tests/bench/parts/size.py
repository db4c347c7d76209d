"""A store that grows to 20 GB: its rate beside one that has nothing but what is measured."""

from bench import load, processes, rounds
from bench.load import addresses
from bench.peers.restante import Restante

GB = 1 << 30
SIZE, SESSIONS, MAILBOXES = 4096, 16, 16
# Filled with messages of this size, so many at a time.
FILLING, AT_ONCE = 1 << 20, 16


def run(bench):
    sizes = [0.1] if bench.quick else [1, 5, 20]
    mailboxes = addresses.numbered(MAILBOXES)
    file = addresses.write(bench.directory, mailboxes)
    rows, last = [], None
    progress = bench.progress(len(sizes) * (1 + 2 * (bench.rounds + 1)))
    with bench.peer(Restante, mailboxes) as full, bench.peer(Restante, mailboxes) as empty:
        def sample(server):
            return rounds.measure(server.pids(), lambda: load.run(
                "smtp_load", server.smtp, "smtp", SESSIONS, bench.seconds, SIZE, 1, file))

        for size in sizes:
            progress.step(f"filling to {size} GB")
            while full.api.domain_usage().bytes < size * GB:
                load.run("grpc_load", full.store.address, "deliver", file, AT_ONCE, FILLING, 2)
            samples = rounds.interleave({"full": lambda: sample(full), "empty": lambda: sample(empty)}, bench.rounds,
                                        progress)
            last = rounds.ratio(samples["full"], samples["empty"])
            p50, p99 = (rounds.median(samples["full"], figure) / 1000 for figure in ("p50_us", "p99_us"))
            rows.append([f"{size} GB", rounds.median(samples["full"], "rate"), last, p50, p99,
                         processes.resident_bytes([full.store.program.pid]) / 1e6])
            bench.report.keep(f"size {size} GB", {k: [vars(s) for s in v] for k, v in samples.items()})
    progress.end()
    bench.report.table(f"4 KB by SMTP, {SESSIONS} sessions: {bench.rounds} rounds of {bench.seconds:g} s, medians",
                       ["store", "messages/s", "of the empty store's", "p50 ms", "p99 ms", "store's memory MB"], rows)
    bench.report.goal(f"store of {sizes[-1]} GB: rate, of the empty store's", last, unit="times", at_least=0.9)
