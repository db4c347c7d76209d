"""OpenSMTPD from Debian's package, with docker/recipes/opensmtpd/smtpd.conf."""

import os
import re
import subprocess

import harness
import recipe
from package_root import PackageRoot

PROGRAMS = ["usr/sbin/smtpd", "usr/sbin/smtpctl", "usr/libexec/opensmtpd/mail.lmtp"]


class OpenSmtpd:
    """Listens on a port of its own. Needs root."""

    def __init__(self, directory, addresses, store_address, max_message="48M"):
        self.root = PackageRoot(directory, ["opensmtpd"], PROGRAMS, ["opensmtpd", "opensmtpq"])
        smtpctl = self.root.path / "usr/sbin/smtpctl"
        os.chown(smtpctl, 0, self.root.ids["opensmtpq"])  # As the package's installation does.
        smtpctl.chmod(0o2755)
        self.address = f"127.0.0.1:{harness.free_port()}"
        text = recipe.replace(recipe.read("opensmtpd/smtpd.conf", addresses), "48M", max_message)
        self.root.write("etc/smtpd.conf",
                        recipe.replace(text, "0.0.0.0 port 25\n", self.address.replace(":", " port ") + "\n"))
        self.root.write("etc/mail/restante", "")
        self._list_mailboxes(text, store_address)
        self.root.start("/usr/sbin/smtpd", "-d")
        try:
            harness.poll(lambda: harness.listens(self.address), "OpenSMTPD to listen")
        except BaseException:
            self.stop()
            raise

    def _list_mailboxes(self, text, store_address):
        """Runs the recipe's line for cron."""
        line = re.search("#   (.*restante mailbox list.*)", text)[1]
        line = recipe.replace(line, "/etc/mail", f"{self.root.path}/etc/mail")
        script = f'restante() {{ "{harness.PROGRAMS["restante"]}" --store {store_address} "$@"; }}; {line}'
        subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], check=True, env=harness.environment())

    def log(self):
        return self.root.read("output.log")

    def queued(self):
        """How many envelopes wait."""
        return len(self.root.run("/usr/sbin/smtpctl", "show", "queue").splitlines())

    def flush(self):
        self.root.run("/usr/sbin/smtpctl", "schedule", "all")

    def stop(self):
        self.root.close()
