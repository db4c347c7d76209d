"""Postfix's smtp-sink, which throws everything away: what the load generator and SMTP alone allow."""

import os
import subprocess

import harness


class Sink:
    name = "smtp-sink"
    needs_root = False

    def __init__(self, directory, addresses):
        self._processes = []
        self.smtp, self.lmtp = self._start(), self._start("-L")

    def _start(self, *options):
        """It speaks one of the two."""
        address = f"127.0.0.1:{harness.free_port()}"
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self._processes.append(subprocess.Popen(["/usr/sbin/smtp-sink", *user, *options, address, "1000"]))
        harness.poll(lambda: harness.listens(address), "smtp-sink to listen")
        return address

    def pids(self):
        return [process.pid for process in self._processes]

    def stored(self):
        return None

    def stop(self):
        for process in self._processes:
            process.terminate()
            process.wait()
