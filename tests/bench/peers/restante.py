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
        self.store = self.front = self.api = None
        try:
            self.store = harness.Store(directory)
            self.front = harness.Front(directory, self.store.address, *front_options)
            self.api = api.Api(self.store.address)
            self.api.ready()
            if not filled:
                self.api.create_domain()
            for address in addresses:
                self.api.create_mailbox(address)
        except BaseException:
            self.stop()
            raise
        self.smtp, self.lmtp, self.policy = self.front.smtp, self.front.lmtp, self.front.policy

    def pids(self):
        return [self.store.program.pid, self.front.program.pid]

    def stored(self):
        """As counted, after the store has compared all that it counts with what is there."""
        problems = self.api.problems()
        if problems:
            raise RuntimeError(f"restante: verify has found {problems}")
        return self.api.domain_usage().messages

    def stop(self):
        if self.api:
            self.api.close()
        for server in (self.front, self.store):
            if server and server.program.running():
                server.program.stop()
