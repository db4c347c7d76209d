"""Measurements in interleaved rounds, so that whatever else the machine does meets every server."""

import dataclasses
import statistics
import time

from bench import processes


@dataclasses.dataclass
class Sample:
    """One round of one server."""
    count: int              # Messages, answers: what was done.
    seconds: float
    cpu_seconds: float      # Of the server's processes.
    written_bytes: int      # By them.
    load_cpu_seconds: float  # Of the load generator.
    p50_us: float = None
    p99_us: float = None

    @property
    def rate(self):
        return self.count / self.seconds


def measure(pids, load):
    """Runs `load`, which returns a generator's report, and looks at what those processes used for it."""
    cpu, written = processes.cpu_seconds(pids), processes.written_bytes(pids)
    begin = time.monotonic()
    report = load()
    seconds = report.get("seconds", time.monotonic() - begin)
    return Sample(report["count"], seconds, processes.cpu_seconds(pids) - cpu,
                  processes.written_bytes(pids) - written, report["cpu_seconds"],
                  report.get("p50_us"), report.get("p99_us"))


def interleave(samplers, rounds, progress):
    """{name: [Sample]} of {name: function that takes one}; each round begins with another one.

    A round before the first warms caches and connections, and is not counted.
    """
    names = list(samplers)
    samples = {name: [] for name in names}
    for number in range(rounds + 1):
        for i in range(len(names)):
            name = names[(number + i) % len(names)]
            progress.step(f"{name}, " + (f"round {number} of {rounds}" if number else "warming up"))
            found = samplers[name]()
            if number:
                samples[name].append(found)
    return samples


def median(samples, figure):
    """Of a figure of each sample, by name or function."""
    get = figure if callable(figure) else lambda s: getattr(s, figure)
    return statistics.median(get(s) for s in samples)


def ratio(samples, others):
    """How many times the rate of `others`: the median over the rounds, as both met the same."""
    return statistics.median(a.rate / b.rate for a, b in zip(samples, others))


def cpu_ratio(samples, others):
    """Processor time for each that was done, in that of `others`; hardly moved by what else the machine does."""
    def each(of):
        return sum(s.cpu_seconds for s in of) / sum(s.count for s in of)

    return each(samples) / each(others)
