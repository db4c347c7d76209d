"""Starts the real programs for a test, and ends them by their pids.

Every test gets programs, data directories and ports of its own. Readiness is
what the program says (`listening KIND ADDRESS` on standard output), and what a
test waits for is an event: `poll` looks for it again and again.
"""

import os
import pathlib
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

BUILD_DIR = pathlib.Path(os.environ.get("E2E_BUILD_DIR", pathlib.Path(__file__).parents[2] / "build"))
sys.path.insert(0, str(BUILD_DIR / "tests/e2e/stubs"))

PROGRAMS = {
    "restante-store": BUILD_DIR / "server/restante-store",
    "restante-smtp": BUILD_DIR / "client/smtp/restante-smtp",
    "restante": BUILD_DIR / "client/cli/restante",
}
# How long an event may take before a test gives up; no test passes by waiting.
PATIENCE = float(os.environ.get("E2E_PATIENCE", "60"))
# Instrumented programs take more memory for the same.
MEMORY_FACTOR = float(os.environ.get("E2E_MEMORY_FACTOR", "1"))


def environment():
    """Ours without settings of the programs, which would leak into the test."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("RESTANTE_")}
    return {**settings, "XDG_CONFIG_HOME": "/nonexistent"}


def poll(condition, what, patience=PATIENCE, interval=0.01):
    """Returns the first true value of `condition()`."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {patience} s for: {what}"
        time.sleep(interval)


_OWN_PORTS = []  # Names that keep the ports of this process from all other tests.


def free_port():
    """One that no outgoing connection takes in the meantime, and no other test while this process lives."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(first // 2, first)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0restante-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        _OWN_PORTS.append(name)
        return port


def listens(address):
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def fetch(address, path):
    """What there is at an operations port, as text."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as response:
        return response.read().decode()


class Program:
    """One process; its log is kept for the report of a failure."""

    def __init__(self, name, args, log, ready=()):
        """Starts it and waits for a `listening` line of every kind in `ready`."""
        self.name = name
        self.log = pathlib.Path(log)
        self.addresses = {}
        env = environment()
        env["RESTANTE_OPS_LISTEN"] = "127.0.0.1:0"  # Their default addresses are everybody's.
        with open(self.log, "ab") as stderr:
            self.process = subprocess.Popen(
                [PROGRAMS[name], *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                env=env)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + PATIENCE
        while set(ready) - set(self.addresses):
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.kill9()
                raise AssertionError(f"{name} did not start:\n{self.log_text()[-3000:]}")
            words = line.split()
            if len(words) == 3 and words[0] == "listening":
                self.addresses[words[1]] = words[2]

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.decode(errors="replace"))
        self._lines.put(None)

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.process.poll() is None

    def kill9(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def stop(self):
        """Asks it to end; returns its exit status."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"{self.name} did not end {PATIENCE} s after SIGTERM")

    def freeze(self):
        """SIGSTOP, and no thread of it runs any more. SIGCONT goes on."""
        os.kill(self.pid, signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        poll(lambda: all((t / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for t in tasks.iterdir()),
             "all threads to stand still")

    def memory(self, figure):
        """`VmRSS` or `VmHWM` in octets."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(figure + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {figure} of {self.name}")

    def forget_peak_memory(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")


class Volume:
    """A small file system of its own, in memory; everything in it is gone after close().

    It is mounted where we may, else in a mount namespace of our own user, into
    which the path leads through /proc.
    """

    def __init__(self, directory, megabytes, inodes):
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m,nr_inodes={inodes},mode=755", "restante-test"]
        self.path = self._mounted_at = pathlib.Path(directory) / "volume"
        self.path.mkdir()
        self._holder = None
        mounted = subprocess.run(["mount", *options, self.path], capture_output=True)
        if mounted.returncode == 0:
            return
        script = 'mount "$@" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *options, self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self._holder.stdout.readline() != b"mounted\n":
            _, why = self._holder.communicate()
            raise AssertionError(f"no way to a small file system here: {mounted.stderr.decode()} {why.decode()}")
        self.path = pathlib.Path(f"/proc/{self._holder.pid}/root{self.path}")

    def make_read_only(self):
        enter = []
        if self._holder is not None:
            enter = ["nsenter", "--target", str(self._holder.pid), "--user", "--mount", "--preserve-credentials"]
        subprocess.run([*enter, "mount", "-o", "remount,ro", self._mounted_at], check=True)

    def close(self):
        if self._holder is None:
            subprocess.run(["umount", self.path], check=True)
        else:
            self._holder.communicate()


class Store:
    """A store on a data directory, at one address over all restarts."""

    def __init__(self, directory, *options, data_dir=None):
        self.directory = pathlib.Path(directory)
        self.data_dir = pathlib.Path(data_dir or self.directory / "data")
        self.options = list(options)
        self.address = f"127.0.0.1:{free_port()}"
        self.program = None
        self.start("--create")

    def start(self, *more):
        assert self.program is None or not self.program.running()
        args = ["--data-dir", self.data_dir, "--listen", self.address, *self.options, *more]
        self.program = Program("restante-store", args, self.directory / "store.log", ["grpc", "ops"])
        self.address = self.program.addresses["grpc"]

    def kill9(self):
        self.program.kill9()

    def restart(self):
        """After kill9, or after a stop of its own."""
        if self.program.running():
            assert self.program.stop() == 0
        self.start()


class Front:
    """A front end of a store; what listens where may be told."""

    def __init__(self, directory, store_address, *options, smtp="127.0.0.1:0", lmtp="127.0.0.1:0",
                 policy="127.0.0.1:0", socketmap="127.0.0.1:0"):
        self.directory = pathlib.Path(directory)
        self.program = Program(
            "restante-smtp",
            ["--store", store_address, "--smtp-listen", smtp, "--lmtp-listen", lmtp,
             "--policy-listen", policy, "--socketmap-listen", socketmap, "--hostname", "mx.example.org", *options],
            self.directory / "smtp.log", ["smtp", "lmtp", "policy", "socketmap", "ops"])
        self.smtp = self.program.addresses["smtp"]
        self.lmtp = self.program.addresses["lmtp"]
        self.policy = self.program.addresses["policy"]
        self.socketmap = self.program.addresses["socketmap"]


class Cli:
    """The operator's command line against one store."""

    def __init__(self, store_address):
        self.store_address = store_address

    def run(self, *args, stdin=None):
        return subprocess.run(
            [PROGRAMS["restante"], "--store", self.store_address, *map(str, args)], input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), timeout=PATIENCE * 2)

    def __call__(self, *args, stdin=None):
        """Standard output of a command that has to succeed."""
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"restante {args}: status {done.returncode}\n{done.stderr.decode()}"
        return done.stdout
