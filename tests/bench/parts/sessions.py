"""More sessions, and more recipients: 4 KB by SMTP, to a mailbox for each."""

import functools

from bench import load, rounds
from bench.load import addresses
from bench.peers.restante import Restante

SIZE = 4096
SESSIONS = [1, 4, 16, 64, 256]
RECIPIENTS = [1, 2, 5, 10, 20, 50, 100]
# While the recipients grow.
AT_ONCE = 16


def columns(what, unit):
    return [what, f"{unit}/s", "CPU s per 1,000", "KB written each", "p50 ms", "p99 ms"]


def row(name, samples):
    return [name, rounds.median(samples, "rate"), rounds.median(samples, lambda s: s.cpu_seconds / s.count * 1000),
            rounds.median(samples, lambda s: s.written_bytes / s.count / 1024),
            rounds.median(samples, "p50_us") / 1000, rounds.median(samples, "p99_us") / 1000]


def growing(bench, server, file, steps):
    """{name: samples} of {name: (sessions, recipients)}; counts deliveries."""
    def sample(sessions, recipients):
        def run():
            report = load.run("smtp_load", server.smtp, "smtp", sessions, bench.seconds, SIZE, recipients, file)
            report["count"] *= recipients
            return report

        return rounds.measure(server.pids(), run)

    progress = bench.progress(len(steps) * (bench.rounds + 1))
    samples = rounds.interleave({name: functools.partial(sample, *step) for name, step in steps.items()},
                                bench.rounds, progress)
    progress.end()
    return samples


def run(bench):
    mailboxes = addresses.numbered(max(SESSIONS))
    file = addresses.write(bench.directory, mailboxes)
    of = f"{bench.rounds} rounds of {bench.seconds:g} s, medians"
    with bench.peer(Restante, mailboxes) as server:
        found = growing(bench, server, file, {str(n): (n, 1) for n in SESSIONS})
        bench.report.table(f"4 KB by SMTP: {of}", columns("sessions", "messages"),
                           [row(name, samples) for name, samples in found.items()])
        many = found["256"]
        bench.report.goal("256 sessions instead of 16: rate", rounds.ratio(many, found["16"]), unit="times", at_least=1)
        bench.report.goal("256 sessions: p99 of dot to 250, of p50", rounds.median(many, lambda s: s.p99_us / s.p50_us),
                          unit="times", below=20)
        bench.report.keep("sessions", {name: [vars(s) for s in samples] for name, samples in found.items()})
        found = growing(bench, server, file, {str(n): (AT_ONCE, n) for n in RECIPIENTS})
        bench.report.table(f"4 KB by SMTP, {AT_ONCE} sessions: {of}", columns("recipients", "deliveries"),
                           [row(name, samples) for name, samples in found.items()])
        bench.report.keep("recipients", {name: [vars(s) for s in samples] for name, samples in found.items()})
