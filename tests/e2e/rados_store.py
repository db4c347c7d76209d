"""A real store over a Ceph cluster."""

import secrets
import subprocess

import harness


def init_cluster(conf):
    """Makes a store in a namespace of its own; returns the options of its programs."""
    cluster = ["--ceph-conf", conf, "--ceph-namespace", secrets.token_hex(8), "--allow-min-size-1"]
    subprocess.run([harness.PROGRAMS["restante-store"], "init-cluster", *cluster], check=True,
                   env=harness.environment(), timeout=harness.PATIENCE)
    return [*cluster, "--ceph-user", "admin"]


class RadosStore:
    """One of the stores, at one address over all restarts."""

    def __init__(self, directory, cluster):
        self._log = directory / f"store-{secrets.token_hex(4)}.log"
        self._options = ["--engine", "rados", *cluster]
        self.address = f"127.0.0.1:{harness.free_port()}"
        self.start()

    def start(self):
        self.program = harness.Program("restante-store", [*self._options, "--listen", self.address], self._log,
                                       ["grpc", "ops"])
