"""What is stored already: messages in one mailbox, or mailboxes, beside an empty store in the same rounds."""

import functools
import statistics
import time

from bench import load, processes, rounds
from bench.load import addresses
from bench.peers.restante import Restante

SIZE, SESSIONS = 4096, 16
STARTS = 3
COLUMNS = ["messages", "mailboxes", "4 KB, messages/s", "of the empty store's", "list 1,000 ms", "read one ms",
           "start ms", "after kill -9 ms", "store's memory MB"]


def started(store, end):
    """Median seconds of a start after `end()` has ended it, to where it answers."""
    seconds = []
    for _ in range(STARTS):
        end()
        begin = time.monotonic()
        store.start()
        seconds.append(time.monotonic() - begin)
    return statistics.median(seconds)


def calls(bench, server):
    """Median p50 in ms of listing 1,000 and of reading one, in the mailbox m0."""
    found = {"list": [], "read": []}
    for _ in range(bench.rounds):
        for call, values in found.items():
            report = load.run("grpc_load", server.store.address, call, "m0@example.org", min(bench.seconds, 2))
            values.append(report["p50_us"] / 1000)
    return [statistics.median(values) for values in found.values()]


def point(bench, messages, mailboxes, spread):
    """One row, and the figures that goals judge: rate of the empty store's, list, read, start, memory.

    `spread`: how many mailboxes are delivered to, in either store.
    """
    progress = bench.progress(2 + 2 * (bench.rounds + 1))
    progress.step(f"filling {mailboxes:,} mailboxes with {messages:,} messages")
    with bench.peer(Restante, [], filled=(messages, mailboxes)) as full, \
            bench.peer(Restante, [], filled=(0, min(mailboxes, SESSIONS))) as empty:
        files = {full: addresses.write(bench.directory, addresses.numbered(spread)),
                 empty: addresses.write(bench.directory, addresses.numbered(min(spread, SESSIONS)))}

        def sample(server):
            return rounds.measure(server.pids(), lambda: load.run(
                "smtp_load", server.smtp, "smtp", SESSIONS, bench.seconds, SIZE, 1, files[server]))

        samples = rounds.interleave({"full": functools.partial(sample, full), "empty": functools.partial(sample, empty)},
                                    bench.rounds, progress)
        ratio = rounds.ratio(samples["full"], samples["empty"])
        progress.step("lists, reads, starts")
        memory = processes.resident_bytes([full.store.program.pid]) / 1e6
        listed, read = calls(bench, full) if mailboxes == 1 else (None, None)

        def kill():
            """While there is something to recover."""
            load.run("grpc_load", full.store.address, "deliver", files[full], SESSIONS, SIZE, 0.5)
            full.store.kill9()

        clean = started(full.store, lambda: full.store.program.stop()) * 1000
        killed = started(full.store, kill) * 1000
        progress.end()
    rate = rounds.median(samples["full"], "rate")
    return [messages, mailboxes, rate, ratio, listed, read, clean, killed, memory], samples


def measure(bench, name, points):
    """Rows for `points`, triples of point(); the last one is judged."""
    rows = []
    for of in points:
        row, samples = point(bench, *of)
        rows.append(row)
        bench.report.keep(f"{name} {of[0]} in {of[1]}", {k: [vars(s) for s in v] for k, v in samples.items()})
    bench.report.table(f"What is stored, {SESSIONS} sessions by SMTP: {bench.rounds} rounds of {bench.seconds:g} s, medians",
                       COLUMNS, rows)
    bench.report.keep(name, [dict(zip(COLUMNS, row)) for row in rows])
    return rows[-1]


def messages(bench):
    most = 10_000 if bench.quick else 1_000_000
    points = [(n, 1, 1) for n in (1_000, 10_000, 100_000, 1_000_000) if n <= most]
    _, _, _, ratio, listed, read, _, killed, _ = measure(bench, "messages", points)
    bench.report.goal(f"mailbox with {most:,} messages: rate, of the empty store's", ratio, unit="times", at_least=0.9)
    bench.report.goal(f"list 1,000 of {most:,} messages", listed, unit="ms", below=10)
    bench.report.goal("read one of 4 KB", read, unit="ms", below=1)
    bench.report.goal(f"start-up with {most:,} messages, after kill -9", killed, unit="ms", below=1000)


def mailboxes(bench):
    most = 1_000 if bench.quick else 100_000
    points = [(10 * n, n, n) for n in (1_000, 10_000, 100_000) if n <= most]
    _, _, _, ratio, _, _, _, killed, memory = measure(bench, "mailboxes", points)
    bench.report.goal(f"store with {most:,} mailboxes: rate, of the empty store's", ratio, unit="times", at_least=0.9)
    bench.report.goal(f"start-up with {10 * most:,} messages in {most:,} mailboxes, after kill -9", killed, unit="ms",
                      below=1000)
    bench.report.goal(f"memory of the store with {10 * most:,} messages, {most:,} mailboxes", memory, unit="MB", below=256)
