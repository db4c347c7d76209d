"""Haraka from npm with our plugin, client/haraka."""

import pathlib
import shutil
import subprocess

import harness
import recipe

PLUGIN = pathlib.Path(__file__).parents[2] / "client/haraka"


class Haraka:
    """Listens on a port of its own; hands over while the sender waits."""

    def __init__(self, directory, store_address, patience=12, settings=""):
        """`settings`: further lines of restante.ini."""
        self.directory = pathlib.Path(directory) / "haraka"
        modules = harness.BUILD_DIR / "mta/haraka/node_modules"
        assert modules.is_dir(), f"{modules} is missing; ./dev test puts it there"
        self._haraka = ["node", modules / "Haraka/bin/haraka"]
        subprocess.run([*self._haraka, "-i", self.directory], check=True, capture_output=True)
        (self.directory / "node_modules").symlink_to(modules)
        shutil.copytree(PLUGIN, self.directory / "plugins/restante", ignore=shutil.ignore_patterns("node_modules"))
        config = self.directory / "config"
        shutil.copy(PLUGIN / "config/plugins", config)
        ini = recipe.replace((PLUGIN / "config/restante.ini").read_text(), "127.0.0.1:8354", store_address)
        ini = recipe.replace(ini, "../../proto", str((PLUGIN / "../../proto").resolve()))
        ini = recipe.replace(ini, "patience = 12", f"patience = {patience}")
        (config / "restante.ini").write_text(f"{ini}\n{settings}\n")
        self.address = f"127.0.0.1:{harness.free_port()}"
        (config / "smtp.ini").write_text(f"listen={self.address}\n")
        # Short texts stay in its memory, long ones go through a file.
        spool = f"[main]\nspool_after=200000\nspool_dir={self.directory}\n"
        connection = (config / "connection.ini").read_text()
        (config / "connection.ini").write_text(recipe.replace(connection, "[main]\n", spool))
        self.start()

    def offer_tls(self, certificate, key):
        """From the next start on."""
        config = self.directory / "config"
        shutil.copy(certificate, config / "tls_cert.pem")
        shutil.copy(key, config / "tls_key.pem")
        (config / "plugins").write_text("tls\n" + (config / "plugins").read_text())

    def start(self):
        with open(self.directory / "haraka.log", "ab") as log:
            self.process = subprocess.Popen([*self._haraka, "-c", self.directory], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        try:
            harness.poll(lambda: harness.listens(self.address), "Haraka to listen")
        except BaseException:
            self.kill9()
            raise

    def log(self):
        return (self.directory / "haraka.log").read_text(errors="replace")

    def queued(self):
        return 0

    def flush(self):
        pass

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        # It keeps nothing, and asked to end it may wait half a minute for its peers.
        self.kill9()
