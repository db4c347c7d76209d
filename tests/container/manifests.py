"""Kubernetes manifests without a cluster: rendered by kubectl, checked field by field.

What fields there are is read from Debian's python3-kubernetes (API 1.22). It has no
models of custom resources; of them `problems` says nothing.
"""

import os
import pathlib
import re
import shutil
import subprocess

import yaml
from kubernetes import client

SOURCE = pathlib.Path(__file__).parents[2]
KUBECTL = pathlib.Path(os.environ["E2E_BUILD_DIR"]) / "mta/kubernetes-client/usr/bin/kubectl"
SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float)}
# Maps whose values may be numbers or text.
QUANTITIES = ("limits", "requests", "capacity")


def copy(directory):
    """A copy of docker/kubernetes in `directory`, with the certificates that README has people make, and with what
    a cluster of Ceph would be known by."""
    kubernetes = directory / "kubernetes"
    shutil.copytree(SOURCE / "docker/kubernetes", kubernetes, ignore=shutil.ignore_patterns("certificates", "ceph"))
    ceph = kubernetes / "rook/ceph"
    ceph.mkdir()
    for file in ("ceph.conf", "keyring"):
        (ceph / file).write_text("\n")
    for folder in kubernetes.iterdir():
        text = (folder / "kustomization.yaml").read_text()
        command = re.search(r"^# {3}docker/certificates.sh docker/kubernetes/(\S+)((?: \\\n#)?.*)$", text, re.M)
        if command:
            names = command[2].replace("\\\n#", " ").split()
            subprocess.run([SOURCE / "docker/certificates.sh", kubernetes / command[1], *names], check=True,
                           capture_output=True)
    return kubernetes


def render(kustomization):
    """All objects of a folder with a kustomization.yaml."""
    done = subprocess.run([KUBECTL, "kustomize", kustomization], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def model_of(item):
    """The name of an object's model; None if there is none, as for custom resources."""
    version = item["apiVersion"].rsplit("/", 1)[-1]
    name = version[0].upper() + version[1:] + item["kind"]
    return name if hasattr(client, name) and "." not in item["apiVersion"].replace(".k8s.io/", "/") else None


def problems(value, kind, where):
    """What does not fit a model: unknown fields, other types, required fields that are missing."""
    if value is None:
        return []
    outer = re.fullmatch(r"list\[(.*)\]|dict\(str, (.*)\)", kind)
    if outer:
        if not isinstance(value, list if outer[1] else dict):
            return [f"{where}: is no {'list' if outer[1] else 'map'}"]
        pairs = enumerate(value) if outer[1] else value.items()
        return [p for key, item in pairs for p in problems(item, outer[1] or outer[2], f"{where}[{key}]")]
    if kind in SCALARS:
        good = isinstance(value, SCALARS[kind]) and (kind == "bool" or not isinstance(value, bool))
        return [] if good else [f"{where}: {value!r} is no {kind}"]
    model = getattr(client, kind, None)
    if model is None:
        return []
    if not isinstance(value, dict):
        return [f"{where}: is no map"]
    fields = {model.attribute_map[name]: (name, of) for name, of in model.openapi_types.items()}
    found = []
    for key, item in value.items():
        if key not in fields:
            found.append(f"{where}.{key}: {kind} has no such field")
        elif key not in QUANTITIES:
            found += problems(item, fields[key][1], f"{where}.{key}")
    try:
        model(**{name: value.get(key) for key, (name, _) in fields.items()})
    except ValueError as error:
        found.append(f"{where}: {error}")
    return found


def named(objects, kind, name):
    """The one object of that kind and name."""
    found = [item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
    return found[0]


def workloads(objects):
    """What makes pods, with the pod's template."""
    return [(item, item["spec"]["template"]) for item in objects if item["kind"] in ("Deployment", "StatefulSet")]


def arguments(container):
    """{flag: value} of a container's arguments."""
    return dict(word.split("=", 1) for word in container["args"])


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()
    return int(number) * {"s": 1, "m": 60}[unit]
