"""How fast Restante is, beside others that keep mail, measured in one run.

Each part starts private instances of the servers on loopback, drives them in turn,
round by round, and ends them. What counts is the ratio: figures of different runs or
machines say little. Restante runs with the options it has by default, and answers
after the sync; so do its peers, whose every message is synced, too. Dovecot is
unpacked from Debian's packages and run in a root directory of its own, which needs
root; without it, it is left out.
"""

import argparse
import contextlib
import importlib
import os
import pathlib
import shutil
import sys
import tempfile

from bench import report

PARTS = {
    "policy": "Postfix policy answers at 16 connections, beside Dovecot's quota-status",
    "idle": "memory of the front end for 10,000 idle connections, plain and TLS; sessions resumed",
}


def parse(arguments):
    parts = "\n".join(f"  {name:<8} {what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(prog="./dev bench", description=f"{__doc__}\nparts:\n{parts}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="one of the above, or all (default: all)")
    parser.add_argument("--peers", type=lambda names: names.split(","), metavar="NAME,...",
                        help="only these, instead of all that the part compares")
    parser.add_argument("--rounds", type=int, help="that count, after one to warm up (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="that a round of one server takes, about (4; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="little of everything: whether it works, not how well")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in (*PARTS, "all"):
            parser.error(f"`{part}` is none of {', '.join(PARTS)}, all")
    if not options.parts or "all" in options.parts:
        options.parts = list(PARTS)
    return options


class Bench:
    """What the parts share: how long to measure, where, and what was found."""

    def __init__(self, options, directory):
        self.quick = options.quick
        self.rounds = options.rounds or (1 if options.quick else 5)
        self.seconds = options.seconds or (1 if options.quick else 4)
        self.cores = os.cpu_count()
        self.chosen = options.peers
        self.directory = directory
        self.report = report.Report(options)
        self._peers = contextlib.ExitStack()
        self._numbers = iter(range(1_000_000))

    def progress(self, steps):
        return report.Progress(steps)

    def _start(self, kind, addresses, *options):
        place = self.directory / f"{kind.__name__.lower()}-{next(self._numbers)}"
        place.mkdir()
        return kind(place, addresses, *options)

    def start(self, *kinds, addresses):
        """Servers with these mailboxes, until the part ends; those that cannot be had here are left out."""
        peers = []
        for kind in kinds:
            if self.chosen and kind.name not in self.chosen:
                continue
            if kind.needs_root and os.getuid() != 0:
                self.report.note(f"{kind.name} is left out: it needs root")
                continue
            peers.append(self._start(kind, addresses))
            self._peers.callback(peers[-1].stop)
        return peers

    @contextlib.contextmanager
    def started(self, kind, addresses, *options):
        """One server for a while."""
        peer = self._start(kind, addresses, *options)
        try:
            yield peer
        finally:
            peer.stop()

    def run(self, part):
        with self._peers:
            importlib.import_module(f"bench.parts.{part}").run(self)


def main():
    options = parse(sys.argv[1:])
    directory = pathlib.Path(tempfile.mkdtemp(prefix="restante-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        # The servers' own users have to get through.
        directory.chmod(0o711)
        bench = Bench(options, directory)
        for part in options.parts:
            bench.run(part)
        if options.json:
            bench.report.write_json(options.json)
    finally:
        shutil.rmtree(directory)


main()
