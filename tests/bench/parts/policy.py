"""Postfix's policy protocol: answers a second, beside Dovecot's quota-status."""

import functools

from bench import load, processes, rounds
from bench.peers.dovecot import Dovecot
from bench.peers.restante import Restante

CONNECTIONS = 16
USER = "alice@example.org"


def run(bench):
    with bench.peers(Restante, Dovecot, addresses=[USER]) as peers:
        measure(bench, peers)


def measure(bench, peers):
    progress = bench.progress(len(peers) * (bench.rounds + 1))

    def sample(peer):
        return rounds.measure(peer.pids(), lambda: load.run(
            "policy_load", peer.policy, CONNECTIONS, bench.seconds, USER))

    samples = rounds.interleave({peer.name: functools.partial(sample, peer) for peer in peers}, bench.rounds,
                                progress)
    progress.end()
    ours = samples["restante"]
    ratios = {name: rounds.ratio(ours, of) for name, of in samples.items()}
    bench.report.table(
        f"Policy answers over {CONNECTIONS} connections, {bench.rounds} rounds of {bench.seconds:g} s, medians",
        ["server", "answers/s", "lowest", "highest", "restante is", "CPU s per 1,000", "p50 ms", "p99 ms", "memory MB"],
        [[peer.name, rounds.median(of := samples[peer.name], "rate"), min(s.rate for s in of),
          max(s.rate for s in of), f"{ratios[peer.name]:.1f} times",
          rounds.median(of, lambda s: s.cpu_seconds / s.count * 1000), rounds.median(of, "p50_us") / 1000,
          rounds.median(of, "p99_us") / 1000, processes.resident_bytes(peer.pids()) / 1e6] for peer in peers])
    used = rounds.median(ours, lambda s: s.load_cpu_seconds / s.seconds)
    bench.report.note(f"the load generator used {used:.2f} of the {bench.cores} cores while it drove restante")
    if "dovecot" in samples:
        saved = 1 / rounds.cpu_ratio(ours, samples["dovecot"])
        bench.report.note(f"dovecot takes {saved:.1f} times the processor time for an answer")
    bench.report.goal(f"policy answers at {CONNECTIONS} connections, of Dovecot's quota-status",
                      ratios.get("dovecot"), unit="times", at_least=10)
    bench.report.keep("policy", {name: [vars(s) for s in of] for name, of in samples.items()})
