"""How fast Restante is, beside others that keep mail, measured in one run.

Each part starts private instances of the servers on loopback, drives them in turn,
round by round, and ends them. What counts is the ratio: figures of different runs or
machines say little. Restante runs with the options it has by default, and answers
after the sync; Dovecot and Cyrus sync every message, too. They are unpacked from
Debian's packages and run in root directories of their own, which needs root; without
it they are left out.
"""

import argparse
import contextlib
import importlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile

from bench import TESTS, plot, readme, report

# The module under parts/ that measures it, and what it is.
PARTS = {
    "smtp": ("smtp", "mail by SMTP and LMTP, beside Dovecot, Cyrus, smtp-sink and the bare disk"),
    "alone": ("alone", "one session: from the final dot to 250, beside one sync and two round trips"),
    "grpc": ("grpc", "the API without SMTP: Deliver beside the bare disk, CheckRecipient, list, read, delete"),
    "sessions": ("sessions", "growth: 1 to 256 sessions, and 1 to 100 recipients"),
    "messages": ("contents", "growth: 1,000 to 1,000,000 messages in a mailbox: rate, list, read, start, memory"),
    "mailboxes": ("contents", "growth: 1,000 to 100,000 mailboxes with ten messages each: the same"),
    "writes": ("writes", "what the store writes for 200,000 messages, compactions included"),
    "size": ("size", "growth: rate in a store of 1 to 20 GB"),
    "policy": ("policy", "Postfix policy answers at 16 connections, beside Dovecot's quota-status"),
    "idle": ("idle", "memory of the front end for 10,000 idle connections, plain and TLS; sessions resumed"),
}
CLUSTER_PARTS = {
    "cluster": ("cluster", "deliveries and reading over a Ceph cluster, beside librados and rados bench"),
}
GROUPS = {"growth": ["sessions", "messages", "mailboxes", "writes", "size"], "all": list(PARTS)}


def parse(arguments):
    def lines(parts):
        return "\n".join(f"  {name:<10} {what}" for name, (_, what) in parts.items())

    groups = "\n".join(f"  {name:<10} {', '.join(of)}" for name, of in GROUPS.items())
    parser = argparse.ArgumentParser(prog="./dev bench", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=f"{__doc__}\nparts:\n{lines(PARTS)}\nand several:\n{groups}\n"
                                                 f"of --engine rados:\n{lines(CLUSTER_PARTS)}")
    parser.add_argument("parts", nargs="*", metavar="PART", help="any of the above (default: smtp)")
    parser.add_argument("--engine", choices=["embedded", "rados"], default="embedded",
                        help="of the stores; rados: over a Ceph cluster that is started for it")
    parser.add_argument("--peers", type=lambda names: names.split(","), metavar="NAME,...",
                        help="beside restante only these, instead of all that the part compares")
    parser.add_argument("--rounds", type=int, help="that count, after one to warm up (3; quick: 1)")
    parser.add_argument("--seconds", type=float, help="that a round of one server takes, about (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="little of everything: whether it works, not how well")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="draw what the part smtp found (PNG)")
    parser.add_argument("--update-readme", action="store_true", help="write its table into README.md")
    options = parser.parse_args(arguments)
    parts, groups = (PARTS, GROUPS) if options.engine == "embedded" else (CLUSTER_PARTS, {})
    wanted = options.parts or [next(iter(parts))]
    for name in wanted:
        if name not in (*parts, *groups):
            parser.error(f"`{name}` is none of {', '.join([*parts, *groups])}")
    options.parts = [part for name in wanted for part in groups.get(name, [name])]
    if (options.plot or options.update_readme) and "smtp" not in options.parts:
        parser.error("--plot and --update-readme are of the part smtp")
    return options


class Bench:
    """What the parts share: how long to measure, where, and what was found."""

    def __init__(self, options, directory):
        self.quick = options.quick
        self.rounds = options.rounds or (1 if options.quick else 3)
        self.seconds = options.seconds or (1 if options.quick else 3)
        self.cores = os.cpu_count()
        self.chosen = options.peers
        self.directory = directory
        self.report = report.Report(options)
        self._numbers = iter(range(1_000_000))

    def progress(self, steps):
        return report.Progress(steps)

    @contextlib.contextmanager
    def peer(self, kind, addresses, *options, **more):
        """One server that has these mailboxes, for a while."""
        place = self.directory / f"{kind.__name__.lower()}-{next(self._numbers)}"
        place.mkdir()
        peer = kind(place, addresses, *options, **more)
        try:
            yield peer
        finally:
            peer.stop()
            shutil.rmtree(place)

    @contextlib.contextmanager
    def peers(self, *kinds, addresses):
        """Several, without those that are not wanted or cannot be had here."""
        with contextlib.ExitStack() as running:
            peers = []
            for kind in kinds:
                if kind.needs_root and os.getuid() != 0:
                    self.report.note(f"{kind.name} is left out: it needs root")
                elif not self.chosen or kind.name in ("restante", "append and sync", *self.chosen):
                    peers.append(running.enter_context(self.peer(kind, addresses)))
            yield peers

    def run(self, part):
        module = importlib.import_module(f"bench.parts.{(PARTS | CLUSTER_PARTS)[part][0]}")
        getattr(module, part if hasattr(module, part) else "run")(self)


def main():
    options = parse(sys.argv[1:])
    # What was started has to be ended then, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="restante-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        # The servers' own users have to get through.
        directory.chmod(0o711)
        bench = Bench(options, directory)
        for part in options.parts:
            bench.run(part)
        if len(options.parts) > 1:
            bench.report.recapitulate()
        if options.json:
            bench.report.write_json(options.json)
        if options.plot:
            plot.draw(bench.report.cases, options.plot)
        if options.update_readme:
            readme.update(TESTS.parent / "README.md", bench.report.summary.markdown())
    finally:
        shutil.rmtree(directory)


main()
