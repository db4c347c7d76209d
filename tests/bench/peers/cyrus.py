"""Cyrus: LMTP, as Debian configures it; it syncs every message by default."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import harness
from package_root import PackageRoot
from smtp_client import Smtp

PROGRAMS = [f"usr/lib/cyrus/bin/{name}" for name in ("master", "lmtpd", "ctl_cyrusdb")]
# Debian's settings that say anything about LMTP. A mailbox appears with its first
# message and has a quota, so that one is kept.
SETTINGS = """
configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
hashimapspool: true
lmtp_downcase_rcpt: yes
sieveusehomedir: false
sievedir: /var/spool/sieve
autocreate_quota: 104857600
autocreate_post: yes
"""
SERVICES = """
START {{
  recover cmd="ctl_cyrusdb -r"
}}
SERVICES {{
  lmtp cmd="lmtpd -a" listen="127.0.0.1:{lmtp}" prefork=0 maxchild=100
}}
EVENTS {{
  checkpoint cmd="ctl_cyrusdb -c" period=30
}}
"""
# As its own cyrus-makedirs does.
DIRECTORIES = ["var/lib/cyrus", *(f"var/lib/cyrus/{name}" for name in (
    "db", "proc", "socket", "log", "msg", "user", "quota", "lock")), "run/cyrus", "run/cyrus/proc", "run/cyrus/lock",
    "run/cyrus/socket", "var/spool/cyrus/mail", "var/spool/cyrus/mail/stage.", "var/spool/sieve"]
# At the same time, mailboxes of their own.
CREATORS = 16


class Cyrus:
    name = "cyrus"
    smtp = None
    needs_root = True

    def __init__(self, directory, addresses):
        self.root = PackageRoot(directory, ["cyrus-common", "cyrus-imapd"], PROGRAMS, ["cyrus"],
                                library_path=["usr/lib/x86_64-linux-gnu"])
        # It starts with a list of time zones only.
        shutil.copytree("/usr/share/zoneinfo", self.root.path / "usr/share/zoneinfo", symlinks=True)
        port = harness.free_port()
        self._created = len(addresses)
        self.lmtp = f"127.0.0.1:{port}"
        self.root.write("etc/imapd.conf", SETTINGS)
        self.root.write("etc/cyrus.conf", SERVICES.format(lmtp=port))
        for path in DIRECTORIES:
            self.root.make_directory(path, "cyrus")
        self.root.start("/usr/lib/cyrus/bin/master")
        try:
            harness.poll(lambda: harness.listens(self.lmtp), "Cyrus to listen")
            self._create(addresses)
        except BaseException:
            self.stop()
            raise

    def pids(self):
        return [self.root.pid]

    def _create(self, addresses):
        """Delivers the first message of each: two at once to a mailbox that is not there get in each other's way."""
        def create(some):
            with Smtp(self.lmtp, lmtp=True) as client:
                for address in some:
                    assert client.deliver(address, b"Subject: the first\r\n\r\n") == 250

        with ThreadPoolExecutor(CREATORS) as pool:
            list(pool.map(create, (addresses[i::CREATORS] for i in range(CREATORS))))

    def stored(self):
        """Its message files, one for each in each mailbox, but for those that have created them."""
        found = sum(1 for path in (self.root.path / "var/spool/cyrus/mail").rglob("*.") if path.name[:-1].isdigit())
        return found - self._created

    def stop(self):
        self.root.close()
