"""What programs hold over time, and whether it stays the same.

Criterion: the first third of the samples is warming up and does not count. Of
the rest, the median of the last half may exceed that of the first by

    VmRSS              5 % and 8 MiB; in less than ten minutes, while caches fill, 32 MiB
    descriptors        8, without files of the data directory
    threads            2

Files of the data directory are kept open by caches, which fill as receipts come
(they are kept for a day): at the end there may be no more than the caches hold.
"""

import os
import pathlib
import statistics
import threading
import time

MIB = 1 << 20
FIGURES = ("VmRSS", "descriptors", "threads", "data files")
# Fewer samples say nothing.
ENOUGH = 30
CACHES_FILL_SECONDS = 600
# LevelDB's 256, 64 for reading bodies, and those that are written.
MOST_DATA_FILES = 340


def allowed(figure, before, seconds):
    memory = before * 1.05 + 8 * MIB if seconds >= CACHES_FILL_SECONDS else before + 32 * MIB
    return {"VmRSS": memory, "descriptors": before + 8, "threads": before + 2,
            "data files": MOST_DATA_FILES}[figure]


def look(pid):
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    data = others = 0
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue  # Closed since.
        if any(folder in target for folder in ("/segments/", "/bodies/", "/index/")):
            data += 1
        else:
            others += 1
    return {"VmRSS": int(status["VmRSS"].split()[0]) * 1024, "descriptors": others,
            "threads": int(status["Threads"]), "data files": data}


def text(figure, value):
    return f"{value / MIB:.1f} MiB" if figure == "VmRSS" else f"{value:.0f}"


class Sampler:
    """Looks at programs every `interval` seconds until stop()."""

    def __init__(self, programs, interval):
        self.programs = programs
        self.interval = interval
        self.samples = {p.name: [] for p in programs}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        begin = time.monotonic()
        while not self._stopping.wait(self.interval):
            for program in self.programs:
                try:
                    self.samples[program.name].append({"at": time.monotonic() - begin, **look(program.pid)})
                except FileNotFoundError:
                    return  # It has ended; whoever needs it will say so.

    def stop(self):
        self._stopping.set()
        self._thread.join()

    def last(self, program):
        return self.samples[program.name][-1] if self.samples[program.name] else None

    def verdicts(self):
        """For each program and figure: (name, figure, before, after, growth an hour, whether flat)."""
        for name, samples in self.samples.items():
            counted = samples[len(samples) // 3:]
            first, second = counted[:len(counted) // 2], counted[len(counted) // 2:]
            if len(samples) < ENOUGH:
                continue
            for figure in FIGURES:
                before = statistics.median(s[figure] for s in first)
                after = statistics.median(s[figure] for s in second)
                fit = statistics.linear_regression([s["at"] for s in counted], [s[figure] for s in counted])
                yield name, figure, before, after, fit.slope * 3600, after <= allowed(figure, before, samples[-1]["at"])
