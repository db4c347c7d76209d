"""What runs beside the load, one after another, on what processor time it leaves."""

import itertools
import os
import re
import subprocess
import threading
import time

MODEL_STEPS_A_RUN = 100_000
KILL_ROUNDS = 100
# Of these go into a minute, about, beside the load.
MODEL_STEPS_A_MINUTE = 40_000
KILL_ROUNDS_A_MINUTE = 20


class Jobs(threading.Thread):
    """Rounds of kill -9; then random crashes and the model in turn, until the time is up."""

    def __init__(self, bin_dir, tests, directory, minutes, seeds):
        super().__init__(daemon=True)
        self.bin_dir, self.tests, self.log = bin_dir, tests, directory / "jobs.log"
        self.minutes, self.seeds = minutes, seeds
        self.end = time.monotonic() + minutes * 60
        self.doing = "nothing yet"
        self.model_steps = self.kill_rounds = self.crash_points = 0
        self.kill_figures = ""
        self.failures = []
        self.process = None
        self.stopping = False

    def run(self):
        try:
            self.kill()
            for job in itertools.cycle((self.crash, self.model)):
                if self.stopping or time.monotonic() >= self.end:
                    break
                job()
            self.doing = "nothing more"
        except Exception as failure:  # shown by the soak
            self.failures.append(f"{self.doing}: {failure}")

    def command(self, doing, args, **environment):
        """Output of a command that has to succeed."""
        if self.stopping:
            return ""
        self.doing = doing
        self.process = subprocess.Popen(["nice", "-n", "10", *map(str, args)], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, **{k: str(v) for k, v in environment.items()}})
        output, _ = self.process.communicate()
        with open(self.log, "a") as log:
            log.write(f"--- {doing} {environment}\n{output}")
        if self.process.returncode != 0 and not self.stopping:
            self.failures.append(f"{doing}: status {self.process.returncode}, {environment}\n{output[-3000:]}")
        return output

    def kill(self):
        rounds = max(2, min(KILL_ROUNDS, int(self.minutes * KILL_ROUNDS_A_MINUTE / 2)))
        output = self.command(
            f"{rounds} rounds of kill -9",
            ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider",
             self.tests / "e2e/test_crash.py", "-k", "kill9_again_and_again"],
            RESTANTE_KILL_ROUNDS=rounds, RESTANTE_KILL_SEED=next(self.seeds))
        if found := re.search(r"^(\d+) rounds, .*$", output, re.MULTILINE):
            self.kill_rounds, self.kill_figures = int(found[1]), found[0]

    def crash(self):
        # What is exhaustive is the same each time, and ./dev test's.
        output = self.command("random crashes", [self.bin_dir / "tests/embedded/crash_test",
                                                 "--gtest_filter=Crash.Anywhere*:CrashFault.Several*"],
                              RESTANTE_CRASH_SEED=next(self.seeds))
        points = sum(int(n) for n in re.findall(r"(\d+) cut points", output))
        if points == 0 and not self.stopping:
            self.failures.append("random crashes: no cut point was tried")
        self.crash_points += points

    def model(self):
        left = (self.end - time.monotonic()) / 60
        steps = max(5_000, min(MODEL_STEPS_A_RUN, int(left * MODEL_STEPS_A_MINUTE)))
        output = self.command("the model", [self.bin_dir / "tests/model/model_test", "--gtest_filter=Model.*"],
                              RESTANTE_MODEL_STEPS=steps, RESTANTE_MODEL_SEED=next(self.seeds))
        if found := re.search(r"^(\d+) steps in", output, re.MULTILINE):
            self.model_steps += int(found[1])

    def stop(self):
        """Ends what runs, if something failed elsewhere."""
        self.stopping = True
        if self.process and self.process.poll() is None:
            self.process.terminate()
        self.join()
