"""Restante: both programs, as they are without any option but addresses."""

import subprocess

import api
import harness


class Restante:
    name = "restante"
    needs_root = False

    def __init__(self, directory, addresses, *front_options, filled=None):
        """`filled`: so many small messages in so many mailboxes, m0@example.org and so on, before it starts."""
        if filled:
            subprocess.run([harness.BUILD_DIR / "tests/soak/fill_store", directory / "data", *map(str, filled)],
                           check=True)
        self.store = harness.Store(directory)
        self.front = harness.Front(directory, self.store.address, *front_options)
        self.api = api.Api(self.store.address)
        self.api.ready()
        if not filled:
            self.api.create_domain()
        for address in addresses:
            self.api.create_mailbox(address)
        self.smtp, self.lmtp, self.policy = self.front.smtp, self.front.lmtp, self.front.policy

    def pids(self):
        return [self.store.program.pid, self.front.program.pid]

    def stored(self):
        return self.api.domain_usage().messages

    def stop(self):
        self.api.close()
        for program in (self.front.program, self.store.program):
            if program.running():
                program.stop()
