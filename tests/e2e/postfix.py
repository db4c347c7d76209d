"""A stock Postfix beside the machine's own: its own configuration, queue and port."""

import json
import os
import pathlib
import signal
import subprocess

import harness

MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/lib
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
myhostname = relay.example.net
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
relay_domains = example.org
relay_transport = lmtp:inet:{lmtp}
"""
SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60  1 pickup
cleanup   unix n - n -   0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n -   - trivial-rewrite
bounce    unix - - n -   0 bounce
defer     unix - - n -   0 bounce
trace     unix - - n -   0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n -   - proxymap
lmtp      unix - - n -   - lmtp
smtp      unix - - n -   - smtp
error     unix - - n -   - error
retry     unix - - n -   - error
showq     unix n - n -   - showq
anvil     unix - - n -   1 anvil
scache    unix - - n -   1 scache
tlsmgr    unix - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Hands everything for example.org over by LMTP. Needs root, as Postfix does."""

    def __init__(self, directory, lmtp, settings=""):
        """`settings`: further lines of main.cf, which win."""
        self.directory = pathlib.Path(directory) / "postfix"
        for name in ("etc", "queue", "lib"):
            (self.directory / name).mkdir(parents=True)
        port = harness.free_port()
        self.address = f"127.0.0.1:{port}"
        main = MAIN.format(directory=self.directory, lmtp=lmtp) + settings
        (self.directory / "etc/main.cf").write_text(main)
        (self.directory / "etc/master.cf").write_text(SERVICES.format(port=port))
        subprocess.run(["chown", "postfix", self.directory / "lib"], check=True)
        self.command("postfix", "start")
        self.pid = int((self.directory / "queue/pid/master.pid").read_text())
        harness.poll(lambda: harness.listens(self.address), "Postfix to listen")

    def command(self, program, *args):
        done = subprocess.run([f"/usr/sbin/{program}", "-c", self.directory / "etc", *args], capture_output=True,
                              timeout=harness.PATIENCE)
        assert done.returncode == 0, f"{program} {args}: {done}\n{self.log()}"
        return done.stdout.decode()

    def log(self):
        log = self.directory / "postfix.log"
        return log.read_text() if log.exists() else ""

    def queue(self):
        """What waits, one dictionary a message."""
        return [json.loads(line) for line in self.command("postqueue", "-j").splitlines()]

    def queued(self):
        """How many messages wait. (One that moves from one queue to another is told twice.)"""
        return len({message["queue_id"] for message in self.queue()})

    def flush(self):
        self.command("postqueue", "-f")

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        harness.poll(lambda: not pathlib.Path(f"/proc/{self.pid}").exists(), "Postfix to end")
