"""A Ceph cluster of three OSDs on this machine, and stores over it, as they are without any option but where it is."""

import os
import pathlib
import subprocess

import api
import harness
from bench import TESTS

INDEX, BODY = "restante-index", "restante-body"


class Ceph:
    OSDS = 3
    needs_root = False

    def __init__(self, directory, _addresses):
        self.directory = directory / "ceph"
        self.conf = self.directory / "ceph.conf"
        self._run("start", self.directory, "--mgr", "--osds", self.OSDS, "--pg-num", 32, "--owner", os.getpid())

    @staticmethod
    def _run(verb, *arguments):
        command = [TESTS / "cluster/ceph-cluster", verb, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"ceph-cluster {verb}: status {done.returncode}\n{done.stderr}")
        return done.stdout

    def pids(self):
        """Those of the OSDs."""
        return [int((self.directory / f"run/osd.{i}.pid").read_text()) for i in range(self.OSDS)]

    def rados(self, *arguments):
        return self._run("rados", self.directory, *arguments)

    def stop(self):
        self._run("stop", self.directory)


class RadosStore:
    """One store over the cluster, at an address of its own."""

    def __init__(self, directory, options, number):
        log = pathlib.Path(directory) / f"store-{number}.log"
        self.program = harness.Program("restante-store", [*options, "--listen", "127.0.0.1:0"], log, ["grpc", "ops"])
        self.address = self.program.addresses["grpc"]


class Stores:
    """So many of them, with the mail of one namespace. One after another they get to know its mailboxes."""

    name = "restante"
    needs_root = False

    def __init__(self, directory, addresses, ceph, count):
        self.api, self.stores = None, []
        cluster = ["--ceph-conf", ceph.conf, "--ceph-namespace", directory.name]
        try:
            subprocess.run([harness.PROGRAMS["restante-store"], "init-cluster", *cluster], check=True,
                           stdout=subprocess.DEVNULL, env=harness.environment())
            for number in range(count):
                options = ["--engine", "rados", *cluster, "--ceph-user", "admin"]
                self.stores.append(RadosStore(directory, options, number))
            self.api = api.Api(self.stores[0].address)
            self.api.ready()
            self.api.create_domain()
            for address in addresses:
                self.api.create_mailbox(address)
        except BaseException:
            self.stop()
            raise

    def target(self, count):
        """The first so many, as a front end is told of them."""
        return ",".join(store.address for store in self.stores[:count])

    def pids(self):
        return [store.program.pid for store in self.stores]

    def stop(self):
        if self.api:
            self.api.close()
        for store in self.stores:
            if store.program.running():
                store.program.stop()
