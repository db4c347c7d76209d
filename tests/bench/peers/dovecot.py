"""Dovecot: LMTP into mdbox with quota `count`, every message fsynced, and its quota-status."""

import os

import harness
from package_root import PackageRoot

LIBRARIES = "usr/lib/dovecot"
PROGRAMS = ["usr/sbin/dovecot", "usr/bin/doveadm",
            *(f"{LIBRARIES}/{name}" for name in ("anvil", "auth", "config", "lmtp", "log", "quota-status", "stats",
                                             "modules/lib10_quota_plugin.so", "modules/libssl_iostream_openssl.so"))]
# Defaults but for what says where things are, and what the name of the class promises.
SETTINGS = """
base_dir = /run/dovecot
state_dir = /var/lib/dovecot
log_path = /var/log/dovecot.log
listen = 127.0.0.1
protocols = lmtp
ssl = no
mail_location = mdbox:~/mdbox
mail_fsync = always
mail_plugins = quota
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=100G
  quota_status_success = DUNNO
  quota_status_nouser = DUNNO
  quota_status_overquota = "452 4.2.2 Mailbox is full"
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
# As Dovecot's documentation has it.
service quota-status {{
  executable = quota-status -p postfix
  inet_listener {{
    port = {policy}
  }}
  client_limit = 1
}}
"""


class Dovecot:
    name = "dovecot"
    smtp = None
    needs_root = True

    def __init__(self, directory, addresses):
        self.root = PackageRoot(directory, ["dovecot-core", "dovecot-lmtpd"], PROGRAMS,
                                ["vmail", "dovecot", "dovenull"],
                                library_path=[LIBRARIES, f"{LIBRARIES}/modules/old-stats"])
        lmtp, policy = harness.free_port(), harness.free_port()
        self.root.write("etc/dovecot/dovecot.conf", SETTINGS.format(lmtp=lmtp, policy=policy))
        vmail = self.root.ids["vmail"]
        self.root.write("etc/dovecot/users", "".join(
            f"{address}:{{PLAIN}}none:{vmail}:{vmail}::/mail/{address}::\n" for address in addresses))
        self.root.make_directory("mail", "vmail")
        os.makedirs(self.root.path / "var/lib/dovecot", exist_ok=True)
        self.root.start("/usr/sbin/dovecot", "-F")
        self.lmtp, self.policy = f"127.0.0.1:{lmtp}", f"127.0.0.1:{policy}"
        try:
            harness.poll(lambda: harness.listens(self.lmtp), "Dovecot to listen")
        except BaseException:
            self.stop()
            print(self.root.read("output.log") + self.root.read("var/log/dovecot.log"))
            raise

    def pids(self):
        return [self.root.pid]

    def stored(self):
        lines = self.root.run("/usr/bin/doveadm", "mailbox", "status", "-A", "messages", "INBOX").splitlines()
        return sum(int(line.rsplit("=", 1)[1]) for line in lines)

    def stop(self):
        self.root.close()
