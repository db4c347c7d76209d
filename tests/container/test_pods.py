"""The pods of docker/kubernetes, as kubectl renders them, really started by podman.

Podman (4.3) stands for the node. What it does otherwise is put right first: it knows no StatefulSet, publishes each
containerPort on this machine, writes a Secret's data as it stands, runs probes by a shell, and resolves no Services.
"""

import base64
import os
import pathlib
import subprocess

import pytest
import yaml

import containers
import manifests
from containers import Container, poll, run
from manifests import named

RESTANTE = pathlib.Path(os.environ["E2E_BUILD_DIR"]) / "client/cli/restante"
NETWORK = "pods"


class Node:
    """Starts pods of `objects`, with certificates below `kubernetes`."""

    def __init__(self, images, kubernetes, directory):
        self.images, self.kubernetes, self.directory = images, kubernetes, directory
        self.objects = manifests.render(kubernetes / "plain")
        run("podman", "network", "create", "--internal", NETWORK)
        for secret in (item for item in self.objects if item["kind"] == "Secret"):
            secret["data"] = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
            run("podman", "secret", "create", secret["metadata"]["name"], self._file(secret))

    def _file(self, item):
        file = self.directory / f"{item['kind']}-{item['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(item))
        return file

    def start(self, kind, name, aliases=(), first=False):
        """The one container of a workload's pod. `first`: with the ConfigMap of the first installation."""
        workload = named(self.objects, kind, name)
        spec = yaml.safe_load(yaml.safe_dump(workload["spec"]["template"]["spec"]))
        (container,) = spec["containers"]
        container["image"] = self.images[container["image"].removeprefix("restante-")]
        del container["ports"]
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            claimed = claim["metadata"]["name"]
            spec["volumes"].append({"name": claimed, "persistentVolumeClaim": {"claimName": f"{claimed}-{name}-0"}})
        for volume in spec["volumes"]:
            volume.get("secret", {}).setdefault("optional", False)
        spec["restartPolicy"] = "Never"  # What ends has ended.
        spec["hostAliases"] = [{"ip": ip, "hostnames": [host]} for host, ip in aliases]
        maps = [item for item in self.objects if item["kind"] == "ConfigMap"]
        maps += manifests.render(self.kubernetes / "first-installation") if first else []
        options = [option for item in maps for option in ("--configmap", self._file(item))]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-0"}, "spec": spec}
        run("podman", "play", "kube", "--network", NETWORK, *options, self._file(pod))
        probes = [container[p]["exec"]["command"] for p in ("livenessProbe", "readinessProbe")]
        return Pod(f"{name}-0", container["name"], probes)


class Pod(Container):
    """Its one container."""

    def __init__(self, name, container, probes):
        super().__init__(f"{name}-{container}")
        self.name, self._probes = name, probes

    def await_ready(self):
        """Until its probes pass."""
        for probe in self._probes:
            command = ["podman", "exec", self.id, *probe]
            poll(lambda: subprocess.run(command, capture_output=True).returncode == 0, f"{probe}\n{self.log()}")

    def address(self):
        infra = run("podman", "pod", "inspect", self.name, "--format", "{{.InfraContainerID}}")
        return Container(infra).address()

    def remove(self):
        run("podman", "pod", "rm", "--force", "--time", "30", self.name)


@pytest.fixture(scope="module")
def node(images, tmp_path_factory):
    yield Node(images, manifests.copy(tmp_path_factory.mktemp("manifests")), tmp_path_factory.mktemp("pods"))
    containers.remove_all()


def as_admin(node, store, *words):
    """The command line as by `kubectl port-forward`: it comes from the store's own loopback."""
    certificates = node.kubernetes / "secrets/certificates/admin"
    return store.execute_beside(RESTANTE, "--store", "localhost:8354", "--store-ca", certificates / "ca.crt",
                                "--store-cert", certificates / "tls.crt", "--store-key", certificates / "tls.key", *words)


def test_the_pods_of_a_first_installation_take_mail_stop_and_start_again(node):
    lost = node.start("StatefulSet", "restante-store")
    assert lost.exit_status() == 1 and "--create" in lost.log(), "no new store without being told"
    lost.remove()

    store = node.start("StatefulSet", "restante-store", first=True)
    store.await_ready()
    as_admin(node, store, "domain", "create", "example.org")
    as_admin(node, store, "mailbox", "create", "alice@example.org")
    front = node.start("Deployment", "restante-smtp", aliases=[("restante-store", store.address())])
    front.await_ready()
    front.execute_beside("swaks", "--server", "127.0.0.1:2525", "--from", "sender@example.net", "--to",
                         "alice@example.org", "--body", "kept in a claim")
    for pod in (front, store):
        assert pod.stop() == 0, pod.log()
    assert '"outcome":"stored"' in front.log(), front.log()
    store.remove()

    again = node.start("StatefulSet", "restante-store")
    again.await_ready()
    assert "kept in a claim" in as_admin(node, again, "message", "cat", "alice@example.org", "1")
    assert again.stop() == 0, again.log()
