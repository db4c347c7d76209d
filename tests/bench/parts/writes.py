"""What the store writes to the disk for what it is given, until its compactions have ended."""

import time

from bench import load, processes
from bench.load import addresses
from bench.peers.restante import Restante

SIZE, SESSIONS = 4096, 256
# Compactions have ended when nothing was written for so long.
QUIET_SECONDS = 10


def settle(pids):
    """Waits until nothing more is written; the octets written so far."""
    written, since = processes.written_bytes(pids), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        time.sleep(1)
        now = processes.written_bytes(pids)
        if now != written:
            written, since = now, time.monotonic()
    return written


def run(bench):
    wanted = 5_000 if bench.quick else 200_000
    mailboxes = addresses.numbered(SESSIONS)
    file = addresses.write(bench.directory, mailboxes)
    with bench.peer(Restante, mailboxes) as server:
        pids = [server.store.program.pid]
        before, done, seconds = processes.written_bytes(pids), 0, 0
        progress = bench.progress(wanted)
        while done < wanted:
            report = load.run("smtp_load", server.smtp, "smtp", SESSIONS, bench.seconds, SIZE, 1, file)
            done, seconds = done + report["count"], seconds + report["seconds"]
            progress.done = done - 1
            progress.step(f"{done:,} of {wanted:,} messages")
        at_once = processes.written_bytes(pids) - before
        progress.step("waiting for compactions")
        in_all = settle(pids) - before
        progress.end()
        # What is charged has our own header, too; what came in is what counts.
        charged, given = server.api.domain_usage().bytes, done * SIZE
        memory = processes.resident_bytes(pids) / 1e6
    bench.report.table(f"{done:,} messages of 4 KB by {SESSIONS} sessions in {seconds:.0f} s",
                       ["when all is", "octets written per octet of mail"],
                       [["acknowledged", at_once / given], ["compacted", in_all / given]])
    bench.report.note(f"charged to the mailboxes: {charged / given:.2f} octets per octet; "
                      f"memory of the store {memory:.0f} MB")
    bench.report.goal("octets that the store writes per octet of mail, 4 KB, compactions ended", in_all / given,
                      below=1.5)
    bench.report.keep("writes", {"messages": done, "given_bytes": given, "written_bytes": in_all,
                                 "written_before_compactions": at_once, "charged_bytes": charged})
