"""Exim from Debian's package, with docker/recipes/exim/exim.conf."""

import harness
import recipe
from package_root import PackageRoot


class Exim:
    """Listens on a port of its own. Needs root."""

    def __init__(self, directory, addresses, cutthrough=False):
        self.root = PackageRoot(directory, ["exim4-daemon-light"], ["usr/sbin/exim4"], ["Debian-exim"])
        text = recipe.read("exim/exim.conf", addresses)
        if cutthrough:
            text = recipe.replace(text, "# CUTTHROUGH = yes", "CUTTHROUGH = yes")
        self.root.write("etc/exim4/exim4.conf", text)
        for path in ("var/spool/exim4", "var/log/exim4"):
            self.root.make_directory(path, "Debian-exim")
        self.address = f"127.0.0.1:{harness.free_port()}"
        self.root.start("/usr/sbin/exim4", "-bdf", "-oX", self.address.replace("127.0.0.1", "[127.0.0.1]"))
        try:
            harness.poll(lambda: harness.listens(self.address), "Exim to listen")
        except BaseException:
            self.stop()
            raise

    def log(self):
        return self.root.read("var/log/exim4/mainlog") + self.root.read("var/log/exim4/paniclog")

    def queued(self):
        """How many messages wait."""
        return int(self.root.run("/usr/sbin/exim4", "-bpc"))

    def flush(self):
        self.root.run("/usr/sbin/exim4", "-qff")

    def stop(self):
        self.root.close()
