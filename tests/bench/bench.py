#!/usr/bin/env python3
"""Messages a second through both programs, beside Postfix's smtp-sink.

    ./dev bench [--rounds N] [--messages N] [--sessions N] [--size OCTETS]

Postfix's smtp-source drives restante-smtp (every 250 after fsync) and smtp-sink
(which throws everything away: the ceiling) in turn, round by round, with
messages that do not compress. What counts is the ratio: figures of different
runs or machines say little. Afterwards what was acknowledged must be stored,
and the store is killed and started again, which is timed.
"""

import argparse
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin-dir", default="build", help="the build folder")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--messages", type=int, default=10_000, help="a round")
parser.add_argument("--sessions", type=int, default=16)
parser.add_argument("--size", type=int, default=4096)
options = parser.parse_args()
os.environ["E2E_BUILD_DIR"] = str(pathlib.Path(options.bin_dir).resolve())
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
import api as api_module  # noqa: E402
import harness  # noqa: E402
from smtp_client import message  # noqa: E402


class Sink:
    """Postfix's smtp-sink."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self.process = subprocess.Popen(["/usr/sbin/smtp-sink", *user, self.address, "1000"])
        host, port = self.address.split(":")

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0

        harness.poll(listens, "smtp-sink to listen")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def rate(address, letter):
    """Messages a second of one round."""
    begin = time.monotonic()
    subprocess.run(["/usr/sbin/smtp-source", "-s", str(options.sessions), "-m", str(options.messages), "-F", letter,
                    "-f", "sender@example.net", "-t", "alice@example.org", address], check=True)
    return options.messages / (time.monotonic() - begin)


def cpu(program):
    """Seconds of processor time that a process has used."""
    fields = pathlib.Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(rates):
    return f"{statistics.median(rates):9,.0f}  ({min(rates):,.0f} to {max(rates):,.0f})"


def measure(directory):
    letter = directory / "letter"
    # smtp-source writes the line ends itself.
    letter.write_bytes(message(options.size).replace(b"\r\n", b"\n"))
    store = harness.Store(directory)
    front = harness.Front(directory, store.address)
    sink = Sink()
    try:
        api = api_module.Api(store.address)
        api.ready()
        api.create_domain()
        api.create_mailbox("alice@example.org")
        print(f"{options.sessions} sessions, {options.messages} messages of {options.size} octets a round, messages a second:")
        ours, ceiling, used = [], [], 0
        for number in range(options.rounds + 1):
            before = cpu(store.program) + cpu(front.program)
            mine, sinks = rate(front.smtp, letter), rate(sink.address, letter)
            if number == 0:
                continue  # warms caches and connections
            used += cpu(store.program) + cpu(front.program) - before
            ours.append(mine)
            ceiling.append(sinks)
            print(f"  round {number}: restante {mine:,.0f}, smtp-sink {sinks:,.0f}, ratio {mine / sinks:.2f}")
        print(f"  restante-smtp  {spread(ours)}")
        print(f"  smtp-sink      {spread(ceiling)}")
        print(f"  ratio          {statistics.median(a / b for a, b in zip(ours, ceiling)):9.2f}  (goal: 0.20)")
        print(f"  processor time {used / (options.rounds * options.messages) * 1e6:9.0f}  microseconds a message, both programs")

        acknowledged = options.messages * (options.rounds + 1)
        stored = api.usage("alice@example.org").messages
        assert stored == acknowledged, f"acknowledged {acknowledged}, stored {stored}"
        store.kill9()
        begin = time.monotonic()
        store.restart()
        print(f"recovery after kill -9: {(time.monotonic() - begin) * 1000:,.0f} ms with {stored:,} messages")
        api.ready()
        stored = api.usage("alice@example.org").messages
        assert stored == acknowledged, f"acknowledged {acknowledged}, after recovery {stored}"
        print(f"all {acknowledged:,} acknowledged messages are stored")
        api.close()
    finally:
        sink.stop()
        front.program.stop()
        if store.program.running():
            store.program.stop()


work = pathlib.Path(tempfile.mkdtemp(prefix="restante-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
try:
    measure(work)
finally:
    shutil.rmtree(work)
