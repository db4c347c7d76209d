"""Mail by SMTP and LMTP: messages a second, and what they cost, beside other servers."""

import dataclasses
import functools

from bench import load, processes, rounds
from bench.load import addresses
from bench.load.smtp_source import Source, letter
from bench.peers.append_sync import AppendSync
from bench.peers.cyrus import Cyrus
from bench.peers.dovecot import Dovecot
from bench.peers.restante import Restante
from bench.peers.sink import Sink

SESSIONS = 16


@dataclasses.dataclass(frozen=True)
class Case:
    title: str
    size: int
    recipients: int = 1

    @property
    def lmtp(self):
        return self.recipients > 1


CASES = [Case("4 KB", 4096), Case("64 KB", 65536), Case("1 MB", 1 << 20),
         Case("4 KB, 20 recipients each, LMTP", 4096, recipients=20)]
# Ratios that are to be reached, at least.
GOALS = {("4 KB", "smtp-sink"): 0.5, ("4 KB", "dovecot"): 10, ("4 KB", "cyrus"): 8,
         ("64 KB", "smtp-sink"): 0.5, ("64 KB", "dovecot"): 3,
         ("1 MB", "smtp-sink"): 0.5, ("1 MB", "dovecot"): 1,
         ("4 KB, 20 recipients each, LMTP", "dovecot"): 20, ("4 KB, 20 recipients each, LMTP", "cyrus"): 12}
# Server CPU for a 4 KB message, of Dovecot's.
CPU_GOAL = 0.2
COLUMNS = ["server", "mailboxes", "{}/s", "lowest", "highest", "restante is", "CPU s per 1,000", "KB written each",
           "p50 ms", "p99 ms", "memory MB"]


def sources(bench, case):
    """One smtp-source, which sends to the same mailboxes, and one for each session with mailboxes of its own."""
    text = bench.directory / f"letter-{case.size}"
    text.write_bytes(letter(case.size))
    return [Source(text, SESSIONS, count, case.recipients, case.lmtp) for count in (1, SESSIONS)]


def mailboxes(source):
    count = len(source.mailboxes())
    return f"{count} mailboxes" if count > 1 else "1 mailbox"


class Run:
    """One case with servers of its own."""

    def __init__(self, bench, case, peers, one, many):
        self.bench, self.case = bench, case
        self.one, self.many = one, many
        self.disk, self.peers = peers[-1], peers[:-1]
        self.addresses = addresses.write(bench.directory, many.mailboxes())
        self.acknowledged = dict.fromkeys((peer.name for peer in self.peers), 0)

    def counted(self, peer, report):
        """The report, in deliveries."""
        report["count"] *= self.case.recipients
        self.acknowledged[peer.name] += report["count"]
        return report

    def interleave(self, peers, sample, progress):
        return rounds.interleave({p.name: functools.partial(sample, p) for p in peers}, self.bench.rounds, progress)

    def rates(self, peers, source, progress):
        """Rounds of smtp-source that take about as long for each peer, however fast it is."""
        sizes = {}  # Messages of the next round.

        def sample(peer):
            if peer is self.disk:
                found = peer.sample(self.case.size, SESSIONS, self.bench.seconds)
                found.count *= self.case.recipients
                return found
            messages = sizes.get(peer.name, 4 * SESSIONS)
            found = rounds.measure(peer.pids(), lambda: self.counted(peer, source.run(peer, messages)))
            wanted = found.rate / self.case.recipients * self.bench.seconds
            sizes[peer.name] = max(SESSIONS, round(wanted / SESSIONS) * SESSIONS)
            return found

        return self.interleave(peers, sample, progress)

    def latencies(self, progress):
        """Rounds of smtp_load, which looks at every message, as smtp-source does not."""
        def sample(peer):
            lmtp = self.case.lmtp or peer.smtp is None
            return rounds.measure(peer.pids(), lambda: self.counted(peer, load.run(
                "smtp_load", peer.lmtp if lmtp else peer.smtp, "lmtp" if lmtp else "smtp", SESSIONS,
                self.bench.seconds, self.case.size, self.case.recipients, self.addresses)))

        return self.interleave(self.peers, sample, progress)

    def check(self):
        """What was acknowledged has to be there."""
        stored = {peer.name: count for peer in self.peers if (count := peer.stored()) is not None}
        for name, count in stored.items():
            if count != self.acknowledged[name]:
                raise RuntimeError(f"{name}: acknowledged {self.acknowledged[name]}, stored {count}")
        kept = ", ".join(f"{name} {count:,}" for name, count in stored.items())
        self.bench.report.note(f"all that was acknowledged is stored: {kept}")

    def row(self, name, count, samples, ours, late, memory):
        """`count`: mailboxes; `late`: the samples whose latencies count."""
        each = rounds.median(samples, lambda s: s.written_bytes / s.count) / 1024
        return [name, count, rounds.median(samples, "rate"), min(s.rate for s in samples),
                max(s.rate for s in samples), f"{rounds.ratio(ours, samples):.2f} times",
                rounds.median(samples, lambda s: s.cpu_seconds / s.count * 1000), each,
                rounds.median(late, "p50_us") / 1000, rounds.median(late, "p99_us") / 1000, memory]

    def measure(self):
        alone = [] if self.case.lmtp else [p for p in self.peers if p.name in ("restante", "smtp-sink")]
        stores = [p for p in [*self.peers, self.disk] if self.case.lmtp or p.name != "smtp-sink"]
        turns = len(alone) + len(stores) + len(self.peers)
        progress = self.bench.progress(turns * (self.bench.rounds + 1))
        driven = [(self.one, self.rates(alone, self.one, progress))] if alone else []
        driven.append((self.many, self.rates(stores, self.many, progress)))
        late = self.latencies(progress)
        progress.end()
        self.report(driven, late)

    def report(self, driven, late):
        case, report = self.case, self.bench.report
        memory = {peer.name: processes.resident_bytes(peer.pids()) / 1e6 for peer in self.peers}
        rows, ratios, shares = [], {}, []
        for source, samples in driven:
            ours = samples["restante"]
            for name, of in samples.items():
                count = len(source.mailboxes()) if name in memory else None
                rows.append(self.row(name, count, of, ours, late.get(name, of), memory.get(name)))
                ratios[name] = rounds.ratio(ours, of)
                if name in memory:
                    share = rounds.median(of, lambda s: s.load_cpu_seconds / s.seconds)
                    shares.append(f"{share:.2f} for {name} ({mailboxes(source)})")
        unit = "deliveries" if case.recipients > 1 else "messages"
        report.table(
            f"{case.title}: {SESSIONS} sessions, {self.bench.rounds} rounds of {self.bench.seconds:g} s, medians",
            [column.format(unit) for column in COLUMNS], rows)
        report.note(f"processor seconds a second of smtp-source, of {self.bench.cores} cores: {', '.join(shares)}")
        self.check()
        for (title, name), least in GOALS.items():
            if title == case.title:
                report.goal(f"{title}: rate of restante, of {name}'s", ratios.get(name), unit="times", at_least=least)
        cpu = rounds.cpu_ratio(ours, samples["dovecot"]) if "dovecot" in samples else None
        if case is CASES[0]:
            report.goal(f"{case.title}: processor time of the servers for a message, of Dovecot's", cpu,
                        unit="times", below=CPU_GOAL)
        report.summarize([f"{case.title}: {unit}/s", round(rounds.median(ours, "rate")),
                          *(ratios.get(name) for name in ("dovecot", "cyrus", "smtp-sink", "append and sync")), cpu,
                          rounds.median(late["restante"], "p50_us") / 1000,
                          rounds.median(late["restante"], "p99_us") / 1000])
        report.cases[f"{case.title}, {unit}"] = {
            f"{name}, {mailboxes(source)}" if len(driven) > 1 and name in memory else name: of
            for source, of_all in driven for name, of in of_all.items()}
        report.keep(f"smtp {case.title}", {
            "smtp-source": {f"{name}, {mailboxes(source)}": [vars(s) for s in of]
                            for source, samples in driven for name, of in samples.items()},
            "smtp_load": {name: [vars(s) for s in of] for name, of in late.items()}})


def run(bench):
    for case in CASES:
        one, many = sources(bench, case)
        with bench.peers(Restante, Dovecot, Cyrus, Sink, AppendSync, addresses=many.mailboxes()) as peers:
            Run(bench, case, peers, one, many).measure()
    bench.report.note("p50 and p99, of the time from the final dot to its reply, are of a pass of their own by "
                      "smtp_load, whose messages have a Message-ID and a Date each; smtp-source, which sends one text "
                      "again and again, leaves them out")
