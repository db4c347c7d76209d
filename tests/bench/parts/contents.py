"""What is stored already: messages in one mailbox, or mailboxes, beside an empty store in the same rounds."""

import statistics
import time

from bench import load, processes, rounds
from bench.load import addresses
from bench.peers.restante import Restante

SIZE, SESSIONS = 4096, 16
STARTS = 3
# What a point's figures are called.
RATE, RATIO, LIST, READ = "4 KB, messages/s", "of the empty store's", "list 1,000 ms", "read one ms"
START, RECOVERY, MEMORY = "start ms", "after kill -9 ms", "store's memory MB"


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
    """The figures of a store with so much in it, by name, and the samples behind its rate.

    `spread`: how many mailboxes are delivered to; in the empty store no more than there are sessions.
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

        samplers = {"full": lambda: sample(full), "empty": lambda: sample(empty)}
        samples = rounds.interleave(samplers, bench.rounds, progress)
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
    return {"messages": messages, "mailboxes": mailboxes, RATE: rounds.median(samples["full"], "rate"), RATIO: ratio,
            LIST: listed, READ: read, START: clean, RECOVERY: killed, MEMORY: memory}, samples


def measure(bench, name, points):
    """Measures `points`, triples of point(), and returns the figures of the last."""
    found = []
    for of in points:
        figures, samples = point(bench, *of)
        found.append(figures)
        bench.report.keep(f"{name}: {of[0]} in {of[1]}",
                          {**figures, "samples": {k: [vars(s) for s in v] for k, v in samples.items()}})
    bench.report.table(
        f"What is stored, {SESSIONS} sessions by SMTP: {bench.rounds} rounds of {bench.seconds:g} s, medians",
        list(found[0]), [list(figures.values()) for figures in found])
    return found[-1]


def messages(bench):
    most = 10_000 if bench.quick else 1_000_000
    last = measure(bench, "messages", [(n, 1, 1) for n in (1_000, 10_000, 100_000, 1_000_000) if n <= most])
    goal = bench.report.goal
    goal(f"mailbox with {most:,} messages: rate, of the empty store's", last[RATIO], unit="times", at_least=0.9)
    goal(f"list 1,000 of {most:,} messages", last[LIST], unit="ms", below=10)
    goal("read one of 4 KB", last[READ], unit="ms", below=1)
    goal(f"start-up with {most:,} messages, after kill -9", last[RECOVERY], unit="ms", below=1000)


def mailboxes(bench):
    most = 1_000 if bench.quick else 100_000
    last = measure(bench, "mailboxes", [(10 * n, n, n) for n in (1_000, 10_000, 100_000) if n <= most])
    goal, what = bench.report.goal, f"{10 * most:,} messages in {most:,} mailboxes"
    goal(f"store with {what}: rate, of the empty store's", last[RATIO], unit="times", at_least=0.9)
    goal(f"start-up with {what}, after kill -9", last[RECOVERY], unit="ms", below=1000)
    goal(f"memory of the store with {what}", last[MEMORY], unit="MB", below=256)
