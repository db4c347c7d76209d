#!/usr/bin/env python3
"""Everything at once, for hours: does it keep its promises, and does it stay as it is?

    ./dev soak [--minutes N] [--seed N]
    ./dev soak --startup [--messages N] [--starts N]

Store and front end run at full load for so many minutes (60): senders by SMTP,
reads, deletes, expunges of what is old, limits that rise and fall. Memory, file
descriptors and threads of both are sampled and have to stay flat; at the end
everything acknowledged is compared with what is there, and verify has to find
nothing. Beside that run, one after another, rounds of kill -9 on a store of their
own; then, with ever new seeds, random crashes and the model-based test in turn.

--startup measures instead how much longer a store with 1,000,000 messages takes to
start than an empty one.
"""

import argparse
import itertools
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin-dir", default="build", help="the build folder")
parser.add_argument("--minutes", type=float, default=60)
parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
parser.add_argument("--startup", action="store_true", help="measure the start of a full store instead")
parser.add_argument("--messages", type=int, default=1_000_000, help="of the full store")
parser.add_argument("--starts", type=int, default=7, help="of each kind")
options = parser.parse_args()
BIN_DIR = pathlib.Path(options.bin_dir).resolve()
TESTS = pathlib.Path(__file__).resolve().parents[1]
os.environ["E2E_BUILD_DIR"] = str(BIN_DIR)
# Slow is not wrong: the machine may be busy with other things, for hours.
os.environ["E2E_PATIENCE"] = "600"
sys.path.insert(0, str(TESTS / "e2e"))
import harness  # noqa: E402
import jobs  # noqa: E402
import load  # noqa: E402
import sampling  # noqa: E402
import startup  # noqa: E402


def say(line):
    print(line, flush=True)


def directory_bytes(path):
    return sum(f.stat().st_blocks * 512 for f in path.rglob("*") if f.is_file())


class Soak:
    def __init__(self, directory):
        self.store = harness.Store(directory)
        self.front = harness.Front(directory, self.store.address)
        self.programs = [self.store.program, self.front.program]
        seconds = options.minutes * 60
        self.load = load.Load(self.store, self.front, directory, options.seed)
        self.jobs = jobs.Jobs(BIN_DIR, TESTS, directory, options.minutes, itertools.count(options.seed))
        self.sampler = sampling.Sampler(self.programs, max(0.5, seconds / 360))
        self.begin = time.monotonic()
        self.end = self.begin + seconds
        self.jobs.start()

    def failures(self):
        gone = [f"{p.name} ended with {p.process.returncode}:\n{p.log_text()[-3000:]}"
                for p in self.programs if not p.running()]
        return gone + self.load.failures() + self.jobs.failures

    def watch(self):
        """Until the time is up or something fails, with a line now and then."""
        interval = min(60, max(5, options.minutes * 60 / 30))
        before, then = 0, time.monotonic()
        while time.monotonic() < self.end and not self.failures():
            time.sleep(min(interval, max(0.1, self.end - time.monotonic())))
            now, count = time.monotonic(), self.load.acknowledged
            held = []
            for program in self.programs:
                if last := self.sampler.last(program):
                    held.append(f"{program.name} {last['VmRSS'] / sampling.MIB:.0f} MiB "
                                f"{last['descriptors'] + last['data files']} fd {last['threads']} threads")
            say(f"{(now - self.begin) / 60:6.1f} min  {count:,} acknowledged, {(count - before) / (now - then):,.0f}/s; "
                f"{'; '.join(held)}; model {self.jobs.model_steps:,} steps, now {self.jobs.doing}; "
                f"machine's load {os.getloadavg()[0]:.0f}")
            before, then = count, now
        self.sampler.stop()
        self.load.stop()

    def report(self):
        """Prints the figures; returns whether all is well."""
        problems = self.failures()
        if problems:
            self.jobs.stop()
        else:
            say("the load has ended; comparing everything")
            problems += self.load.problems()
            if harness.Cli(self.store.address).run("store", "verify").returncode != 0:
                problems.append("restante store verify: found something")
            self.jobs.join()
            problems += self.jobs.failures
        rows = [("seed", options.seed), ("minutes", f"{(time.monotonic() - self.begin) / 60:.1f}"),
                ("messages acknowledged", f"{self.load.acknowledged:,}"),
                ("refused for quota", f"{self.load.sum('refused'):,}"),
                ("deleted", f"{self.load.sum('deleted') + self.load.janitor.deleted:,}"),
                ("read and compared", f"{self.load.sum('read'):,}"),
                ("limits changed", f"{self.load.sum('limits'):,}"),
                ("data directory", f"{directory_bytes(self.store.data_dir) / sampling.MIB:,.0f} MiB"),
                ("model", f"{self.jobs.model_steps:,} steps"),
                ("crash exploration", f"{self.jobs.crash_points:,} cut points"),
                ("kill -9", self.jobs.kill_figures or f"{self.jobs.kill_rounds} rounds")]
        for name, figure, before, after, slope, flat in self.sampler.verdicts():
            rows.append((f"{name} {figure}", f"{sampling.text(figure, before)}, then {sampling.text(figure, after)} "
                         f"({sampling.text(figure, slope)} an hour): {'flat' if flat else 'NOT FLAT'}"))
            if not flat:
                problems.append(f"{name}: {figure} grows")
        if len(self.sampler.samples[self.programs[0].name]) < sampling.ENOUGH:
            rows.append(("memory, descriptors, threads", "too short to judge"))
        say("")
        for name, value in rows:
            say(f"  {name:<34} {value}")
        for problem in problems[:20]:
            say(f"PROBLEM: {problem}")
        return not problems

    def close(self):
        for program in reversed(self.programs):
            if program.running():
                program.stop()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="restante-soak-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    well = False
    try:
        if options.startup:
            well = startup.measure(directory, BIN_DIR, options.messages, options.starts)
            return well
        say(f"soak: {options.minutes:g} minutes, seed {options.seed}")
        soak = Soak(directory)
        try:
            soak.watch()
            well = soak.report()
        finally:
            soak.close()
        return well
    finally:
        if well or options.startup:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            say(f"kept for a look: {directory}")


sys.exit(0 if main() else 1)
