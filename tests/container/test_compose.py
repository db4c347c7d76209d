"""docker/compose.yaml as it stands, under podman-compose: a store, two front ends and Prometheus, known to one
another by the certificates that it makes.

Grafana's image cannot be had here, and Prometheus's own stands for Debian's program on Debian's base. Nothing
is published on this machine, where other tests have those ports.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

import containers
from containers import BASE, SOURCE, Container, poll, run

PROJECT = "restante"
PROMETHEUS = pathlib.Path(os.environ["E2E_BUILD_DIR"]) / "mta/prometheus/usr/bin"


class Compose:
    """The project, in a folder of its own."""

    def __init__(self, images, directory):
        shutil.copytree(SOURCE / "docker", directory / "docker", ignore=shutil.ignore_patterns("kubernetes"))
        self.file = directory / "docker/compose.yaml"
        project = yaml.safe_load(self.file.read_text())
        del project["services"]["grafana"]
        for service in project["services"].values():
            service.pop("ports", None)
            if service["image"].startswith("restante-"):
                service.pop("build", None)
                service["image"] = images[service["image"].removeprefix("restante-")]
        prometheus = project["services"]["prometheus"]
        prometheus.update(image=BASE, entrypoint=["/programs/prometheus"])
        prometheus["volumes"].append(f"{PROMETHEUS}:/programs:ro")
        self.file.write_text(yaml.safe_dump(project))
        settings = directory / "docker/prometheus/compose.yaml"
        text = settings.read_text()
        assert "scrape_interval: 15s" in text
        settings.write_text(text.replace("scrape_interval: 15s", "scrape_interval: 1s"))

    def __call__(self, *arguments, **variables):
        done = subprocess.run(["podman-compose", "-p", PROJECT, "-f", self.file, *arguments], capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, env={**os.environ, **variables})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def container(self, service):
        return Container(f"{PROJECT}_{service}_1")

    def once(self, service, *words):
        """What one more container of a service says, with these words or its own; it has to end well."""
        output = self("run", "--rm", "-T", "--no-deps", service, *words)
        assert re.findall(r"^exit code: (\d+)$", output, re.M)[-1:] == ["0"], output
        return output


@pytest.fixture(scope="module")
def compose(images, tmp_path_factory):
    project = Compose(images, tmp_path_factory.mktemp("compose"))
    project("up", "-d", "--no-build", RESTANTE_CREATE="true")
    yield project
    containers.remove_all()


def test_it_comes_up_and_takes_mail_by_both_front_ends(compose):
    assert compose.container("certificates").exit_status() == 0, compose.container("certificates").log()
    for service in ("store", "smtp-1", "smtp-2"):
        compose.container(service).await_health()
    for words in (["domain", "create", "example.org"], ["mailbox", "create", "alice@example.org"]):
        compose.once("admin", *words)
    for service in ("smtp-1", "smtp-2"):
        compose.container(service).execute_beside(
            "swaks", "--server", "127.0.0.1:2525", "--from", "sender@example.net", "--to", "alice@example.org",
            "--body", f"by {service}")
    for uid, service in (("1", "smtp-1"), ("2", "smtp-2")):
        assert f"by {service}" in compose.once("admin", "message", "cat", "alice@example.org", uid)


def test_a_certificate_gives_its_own_rights_and_no_others(compose):
    front = compose.container("smtp-1")
    assert front.execute("restante", "domain", "create", "example.com", status=1) == ""
    assert "caller=front-ends" in compose.container("store").log()
    front.execute("restante", "--store-cert", "", "--store-key", "", "domain", "create", "example.com", status=1)
    assert "caller=unknown" in compose.container("store").log()


def test_prometheus_reads_all_three_by_the_token_that_was_made(compose):
    prometheus = compose.container("prometheus")

    def up():
        text = prometheus.execute_beside("python3", "-c", "import urllib.request as u; "
                                         "print(u.urlopen('http://127.0.0.1:9090/api/v1/query?query=up').read().decode())")
        found = {(r["metric"]["job"], r["metric"]["instance"]): r["value"][1] for r in json.loads(text)["data"]["result"]}
        return found if "0" not in found.values() and len(found) == 3 else None

    found = poll(up, "all to be read")
    assert set(found) == {("restante-store", "store:9354"), ("restante-smtp", "smtp-1:9355"),
                          ("restante-smtp", "smtp-2:9355")}


def test_from_another_container_figures_want_the_token_and_the_page_is_not_shown(compose):
    front = compose.container("smtp-1")
    for address in ("store:9354", "smtp-2:9355"):
        front.execute("restante", "probe", f"{address}/readyz")
        front.execute("restante", "probe", f"{address}/metrics", status=1)
    front.execute("restante", "probe", "store:9354/", status=1)
    code = ("import urllib.request as u, urllib.error as e\n"
            "try: print(u.urlopen('http://%s/').status)\n"
            "except e.HTTPError as error: print(error.code)\n")
    store = compose.container("store")
    assert front.execute_beside("python3", "-c", code % f"{store.address()}:9354") == "403"
    assert store.execute_beside("python3", "-c", code % "127.0.0.1:9354") == "401"


def test_certificates_are_made_once(compose):
    assert "made a certificate for store=store" in compose.container("certificates").log()
    assert "made" not in compose.once("certificates")


def test_a_new_certificate_is_taken_up_while_mail_flows(compose):
    store = compose.container("store")
    words = ("/certificates", ":10001", "store=store,mail.example.org", "smtp", "admin")
    assert "made a certificate for store=store,mail.example.org" in compose.once("certificates", *words)
    poll(lambda: store.log().count("TLS certificate loaded") == 2, "the store to read it again")
    assert "DNS:mail.example.org" in compose.container("smtp-1").execute_beside(
        "sh", "-c", f"openssl s_client -connect {store.address()}:8354 </dev/null 2>/dev/null | "
        "openssl x509 -noout -ext subjectAltName")
    compose.container("smtp-1").execute_beside("swaks", "--server", "127.0.0.1:2525", "--from", "sender@example.net",
                                               "--to", "alice@example.org", "--body", "afterwards")
    assert "afterwards" in compose.once("admin", "message", "cat", "alice@example.org", "3")


def test_keys_are_for_their_own_service_alone(compose):
    for service, volume in (("store", "store-certificates"), ("smtp-1", "smtp-certificates")):
        folder = pathlib.Path(run("podman", "volume", "inspect", f"{PROJECT}_{volume}", "--format", "{{.Mountpoint}}"))
        about = (folder / "tls.key").stat()
        assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (0, 10001, 0o440), service
        assert {path.name for path in folder.iterdir()} == {"ca.crt", "tls.crt", "tls.key"}
    mounted = [m["Name"] for name in ("store", "smtp-1", "prometheus")
               for m in json.loads(run("podman", "inspect", f"{PROJECT}_{name}_1"))[0]["Mounts"] if "Name" in m]
    assert f"{PROJECT}_authority" not in mounted


def test_they_stop_cleanly(compose):
    for service in ("smtp-1", "smtp-2", "store"):
        assert compose.container(service).stop() == 0, compose.container(service).log()
