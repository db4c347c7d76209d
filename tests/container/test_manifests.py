"""docker/kubernetes without a cluster: every field exists, every name leads to something, and what has to
be longer is longer."""

import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

import manifests
from manifests import arguments, named, render, workloads

BUILD_DIR = pathlib.Path(os.environ["E2E_BUILD_DIR"])
STORE = BUILD_DIR / "server/restante-store"
PROGRAMS = {"restante-store": STORE, "restante-store-rados": STORE, "restante-smtp": BUILD_DIR / "client/smtp/restante-smtp"}
ROOK = {"CephBlockPool", "CephClient"}
CUSTOM = {"Issuer", "Certificate", "ServiceMonitor"} | ROOK
# What a cluster is given, and what it makes of it by itself.
OVERLAYS = ("plain", "operators", "rook")


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory):
    return manifests.copy(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(params=OVERLAYS)
def objects(kubernetes, request):
    return render(kubernetes / request.param)


def secrets(objects):
    """{name: keys}, those that cert-manager will make among them."""
    found = {item["metadata"]["name"]: set(item["data"]) for item in objects if item["kind"] == "Secret"}
    for item in objects:
        if item["kind"] == "Certificate":
            found[item["spec"]["secretName"]] = {"ca.crt", "tls.crt", "tls.key"}
    return found


def test_no_field_is_unknown_of_another_type_or_missing(kubernetes):
    for overlay in (*OVERLAYS, "first-installation", "rook-first-installation"):
        for item in render(kubernetes / overlay):
            model = manifests.model_of(item)
            assert (model is None) == (item["kind"] in CUSTOM), item["kind"]
            where = f"{overlay}: {item['kind']} {item['metadata']['name']}"
            assert model is None or manifests.problems(item, model, where) == []
            namespace = "rook-ceph" if item["kind"] in ROOK else "restante"
            assert item["kind"] == "Namespace" or item["metadata"]["namespace"] == namespace, where


def test_the_check_finds_what_is_wrong(kubernetes):
    store = named(render(kubernetes / "plain"), "StatefulSet", "restante-store")
    pod = store["spec"]["template"]["spec"]
    pod["securityContext"]["runAsNonRoto"] = True
    pod["terminationGracePeriodSeconds"] = "60"
    del pod["containers"][0]["name"]
    found = manifests.problems(store, "V1StatefulSet", "store")
    assert len(found) == 3 and "runAsNonRoto" in found[0] + found[1] + found[2], found


def test_what_is_named_is_there(objects):
    there = {(item["kind"], item["metadata"]["name"]) for item in objects}
    for item, template in workloads(objects):
        pod = template["spec"]
        labels = template["metadata"]["labels"]
        assert item["spec"]["selector"]["matchLabels"].items() <= labels.items()
        claims = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets(objects)
            else:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes | claims
        if "serviceName" in item["spec"]:
            assert ("Service", item["spec"]["serviceName"]) in there
    scaler = named(objects, "HorizontalPodAutoscaler", "restante-smtp")
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in there
    # It reckons by what is requested.
    scaled = named(objects, target["kind"], target["name"])["spec"]
    assert "replicas" not in scaled and "cpu" in scaled["template"]["spec"]["containers"][0]["resources"]["requests"]


def pods_of(objects, labels):
    """The templates that a selector of pods finds."""
    return [t for _, t in workloads(objects) if labels.items() <= t["metadata"]["labels"].items()]


def port_names(template):
    return {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}


def test_selectors_find_pods_and_ports_that_there_are(objects):
    services = [item for item in objects if item["kind"] == "Service"]
    for service in services:
        (template,) = pods_of(objects, service["spec"]["selector"])
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= port_names(template)
    for policy in (item for item in objects if item["kind"] == "NetworkPolicy"):
        (template,) = pods_of(objects, policy["spec"]["podSelector"]["matchLabels"])
        opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert opened == port_names(template), "all that it listens at, and nothing else"
        for rule in policy["spec"]["egress"]:
            for peer in rule.get("to", []):
                if set(peer) == {"namespaceSelector"}:  # Of others, whose ports are not ours to know.
                    continue
                (other,) = pods_of(objects, peer["podSelector"]["matchLabels"])
                assert {port["port"] for port in rule["ports"]} <= port_names(other)
    for budget in (item for item in objects if item["kind"] == "PodDisruptionBudget"):
        assert len(pods_of(objects, budget["spec"]["selector"]["matchLabels"])) == 1
    for monitor in (item for item in objects if item["kind"] == "ServiceMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"]
        ports = {port["name"] for s in services if labels.items() <= s["metadata"]["labels"].items()
                 for port in s["spec"]["ports"]}
        for endpoint in monitor["spec"]["endpoints"]:
            token = endpoint["authorization"]["credentials"]
            assert endpoint["port"] in ports and token["key"] in secrets(objects)[token["name"]]


def test_every_pod_has_a_policy_and_the_store_is_for_its_clients_only(objects):
    policies = [item["spec"] for item in objects if item["kind"] == "NetworkPolicy"]
    for _, template in workloads(objects):
        (policy,) = [p for p in policies
                     if p["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        for rule in policy["ingress"]:
            ports = {port["port"] for port in rule["ports"]}
            assert "from" in rule or ports == {"smtp"}, "SMTP alone is for everybody"
    store = named(objects, "NetworkPolicy", "restante-store")["spec"]
    (grpc,) = [rule for rule in store["ingress"] if {"port": "grpc", "protocol": "TCP"} in rule["ports"]]
    assert [peer["podSelector"]["matchLabels"] for peer in grpc["from"]] == [
        {"app.kubernetes.io/name": "restante", "app.kubernetes.io/component": "smtp"}, {"restante/client": "yes"}]


def test_pods_are_as_strict_as_the_namespace_asks(objects):
    assert named(objects, "Namespace", "restante")["metadata"]["labels"][
        "pod-security.kubernetes.io/enforce"] == "restricted"
    for _, template in workloads(objects):
        pod = template["spec"]
        context = pod["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] == context["fsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"} and not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                    "capabilities": {"drop": ["ALL"]}}
            assert {"livenessProbe", "readinessProbe"} <= container.keys()


def test_arguments_are_options_of_the_program_and_point_into_the_pod(objects):
    for _, template in workloads(objects):
        (container,) = template["spec"]["containers"]
        program = PROGRAMS[container["image"]]
        given = arguments(container)
        known = set(re.findall(r"--[a-z-]+", subprocess.run([program, "--help"], check=True, capture_output=True,
                                                            text=True).stdout))
        assert set(given) <= known, set(given) - known
        assert "--insecure" not in given and "--create" not in given
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        ports = {port["containerPort"] for port in container["ports"]}
        for flag, value in given.items():
            if value.startswith("/") and flag != "--data-dir":
                folder, file = value.rsplit("/", 1)
                volume = volumes[mounts[folder]]
                keys = (secrets(objects)[volume["secret"]["secretName"]] if "secret" in volume
                        else named(objects, "ConfigMap", volume["configMap"]["name"])["data"])
                assert file in keys, value
            if flag.endswith("listen"):
                assert int(value.rsplit(":", 1)[1]) in ports, flag
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            command = container.get(probe, {}).get("exec", {}).get("command")
            if command:
                assert command[:2] == ["restante", "probe"]
                assert int(command[2].split("/")[0].rsplit(":", 1)[1]) in ports


def test_front_ends_call_the_store_by_its_service_and_its_certificate(objects, kubernetes):
    front = named(objects, "Deployment", "restante-smtp")["spec"]["template"]["spec"]["containers"][0]
    host, port = arguments(front)["--store"].removeprefix("dns:///").split(":")
    service = named(objects, "Service", host)
    assert int(port) in {p["port"] for p in service["spec"]["ports"]}
    issued = [item["spec"] for item in objects if item["kind"] == "Certificate"]
    if issued:
        (store,) = [c for c in issued if c["secretName"] == "restante-store-tls"]
        assert {host, "localhost"} <= set(store["dnsNames"])
        names = {c["secretName"]: c["commonName"] for c in issued}
    else:
        certificates = kubernetes / "secrets/certificates"
        for name in (host, "localhost"):
            subprocess.run(["openssl", "verify", "-CAfile", certificates / "smtp/ca.crt", "-purpose", "sslserver",
                            "-verify_hostname", name, certificates / "store/tls.crt"], check=True, capture_output=True)
        names = {"restante-smtp-tls": "smtp", "restante-admin-tls": "admin"}
    callers = named(objects, "ConfigMap", "restante-callers")["data"]["callers.toml"]
    assert {names["restante-smtp-tls"], names["restante-admin-tls"]} == set(
        re.findall(r'^certificate = "(.*)"', callers, re.M))


def test_who_stops_a_pod_is_more_patient_than_its_drain(objects):
    for _, template in workloads(objects):
        (container,) = template["spec"]["containers"]
        drain = manifests.seconds(arguments(container)["--drain-timeout"])
        assert template["spec"]["terminationGracePeriodSeconds"] >= drain + 15


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "rook"])
def test_a_store_is_made_only_while_a_config_map_says_so(kubernetes, overlay):
    objects = render(kubernetes / overlay)
    (container,) = named(objects, "StatefulSet", "restante-store")["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    wanted = variable["valueFrom"]["configMapKeyRef"]
    assert variable["name"] == "RESTANTE_CREATE" and wanted["optional"]
    assert ("ConfigMap", wanted["name"]) not in {(i["kind"], i["metadata"]["name"]) for i in objects}
    (first,) = render(kubernetes / "first-installation")
    assert (first["kind"], first["metadata"]["name"]) == ("ConfigMap", wanted["name"])
    assert first["data"] == {wanted["key"]: "true"}


def test_stores_over_rook_keep_nothing_and_are_the_addresses_of_their_name(kubernetes):
    objects = render(kubernetes / "rook")
    assert "StatefulSet" not in {item["kind"] for item in objects}
    stores = named(objects, "Deployment", "restante-store")["spec"]
    assert stores["replicas"] > 1
    assert all({"secret", "configMap"} & set(volume) for volume in stores["template"]["spec"]["volumes"])
    front = named(objects, "Deployment", "restante-smtp")["spec"]["template"]["spec"]["containers"][0]
    target = arguments(front)["--store"]
    assert target.startswith("dns:///"), "resolved again when stores come and go"
    service = named(objects, "Service", target.removeprefix("dns:///").split(":")[0])
    assert service["spec"]["clusterIP"] == "None"
    assert pods_of(objects, service["spec"]["selector"]) == [stores["template"]]


def test_rook_makes_the_pools_and_the_user_that_stores_and_their_setup_are_told(kubernetes):
    objects = render(kubernetes / "rook")
    job, policy = render(kubernetes / "rook-first-installation")
    pod = job["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    service = named(objects, "Service", "restante-store")["spec"]["selector"]
    assert not service.items() <= pod["metadata"]["labels"].items(), "it is no store to call"
    store = named(objects, "Deployment", "restante-store")["spec"]["template"]["spec"]
    given, setup = arguments(store["containers"][0]), pod["spec"]["containers"][0]["args"]
    assert setup[0] == "init-cluster" and pod["spec"]["containers"][0]["image"] == store["containers"][0]["image"]
    setup = dict(word.split("=", 1) for word in setup[1:])
    help_ = subprocess.run([STORE, "init-cluster", "--help"], check=True, capture_output=True, text=True).stdout
    assert set(setup) <= set(re.findall(r"--[a-z-]+", help_))
    same = {"--ceph-conf": "--ceph-conf", "--ceph-user": "--admin-user", "--ceph-keyring": "--admin-keyring",
            "--pool-index": "--pool-index", "--pool-body": "--pool-body"}
    assert {given[store_flag] for store_flag in same} == {setup[flag] for flag in same.values()}
    assert {v["secret"]["secretName"] for v in pod["spec"]["volumes"]} <= set(secrets(objects))

    pools = [given["--pool-index"], given["--pool-body"]]
    caps = named(objects, "CephClient", given["--ceph-user"])["spec"]["caps"]
    assert caps == {"mon": "allow r", "osd": ", ".join(f"allow rw pool={pool}" for pool in pools)}
    for pool in pools:
        spec = named(objects, "CephBlockPool", pool)["spec"]
        assert spec["application"] == "restante" and spec["replicated"]["size"] == 3


def test_what_stores_know_of_rook_is_read_from_its_secrets(tmp_path):
    """credentials.sh, with something in place of kubectl."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("""#!/bin/sh
    case "$*" in
    "-n rook-ceph get secret rook-ceph-config -o jsonpath={.data.mon_host}") echo '[v2:10.0.0.1:3300]' | base64 ;;
    "-n rook-ceph get secret rook-ceph-client-restante -o jsonpath={.data.restante}") echo "$KEY" | base64 ;;
    esac
    """)
    kubectl.chmod(0o755)

    def credentials(key):
        return subprocess.run([manifests.SOURCE / "docker/kubernetes/rook/credentials.sh", tmp_path / "ceph"], text=True,
                              env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KEY": key}, capture_output=True)

    done = credentials("")
    assert done.returncode == 1 and "rook-ceph-client-restante" in done.stderr, done
    assert not (tmp_path / "ceph/keyring").exists()
    done = credentials("AQAR5whrA3KXHxAAs4C0CGYEsTSDafHmaAWxWg==")
    assert done.returncode == 0, done
    assert (tmp_path / "ceph/ceph.conf").read_text() == "[global]\nmon_host = [v2:10.0.0.1:3300]\n"
    keyring = tmp_path / "ceph/keyring"
    assert keyring.read_text() == "[client.restante]\n\tkey = AQAR5whrA3KXHxAAs4C0CGYEsTSDafHmaAWxWg==\n"
    assert keyring.stat().st_mode & 0o077 == 0


def test_compose_is_what_docker_reads():
    """By Docker's own program, which needs no engine for that."""
    done = subprocess.run(["docker-compose", "--file", manifests.SOURCE / "docker/compose.yaml", "--profile", "tools",
                           "config"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert set(read) == {"certificates", "store", "smtp-1", "smtp-2", "admin", "prometheus", "grafana"}
    for name in ("store", "smtp-1", "smtp-2", "admin", "prometheus"):
        assert read[name]["depends_on"] == {"certificates": {"condition": "service_completed_successfully"}}, name


def test_compose_for_ceph_is_beside_it_what_docker_reads():
    files = [word for name in ("compose.yaml", "compose.rados.yaml") for word in ("--file", manifests.SOURCE / "docker" / name)]
    command = ["docker-compose", *files, "--profile", "tools", "config"]
    without = {name: value for name, value in os.environ.items() if name != "CEPH"}
    done = subprocess.run(command, env=without, capture_output=True, text=True)
    assert done.returncode != 0 and "ceph.conf and keyring" in done.stderr, done
    done = subprocess.run(command, env={**without, "CEPH": "/credentials"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    store = read["store"]
    assert store["image"] == f"restante-{store['build']['target']}" == "restante-store-rados"
    assert "container_name" not in store and "ports" not in store, "there may be several"
    assert "/credentials:/ceph:ro" in store["volumes"]
    help_ = subprocess.run([STORE, "--help"], check=True, capture_output=True, text=True).stdout
    assert set(store["environment"]) <= set(re.findall(r"RESTANTE_[A-Z_0-9]+", help_))
    for name in ("smtp-1", "smtp-2", "admin"):
        assert read[name]["environment"]["RESTANTE_STORE"] == "dns:///store:8354"
    (config,) = [word for word in read["prometheus"]["command"] if word.startswith("--config.file=")]
    assert (manifests.SOURCE / "docker/prometheus" / pathlib.Path(config).name).exists()


def test_compose_is_as_strict_and_as_patient():
    services = yaml.safe_load((manifests.SOURCE / "docker/compose.yaml").read_text())["services"]
    ours = {name: s for name, s in services.items() if s["image"].startswith("restante-")}
    assert set(ours) == {"certificates", "store", "smtp-1", "smtp-2", "admin"}
    for name, service in services.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    for name, service in ours.items():
        if name.startswith(("store", "smtp")):
            help_ = subprocess.run([PROGRAMS[service["image"]], "--help"], check=True, capture_output=True, text=True)
            drain = re.search(r"--drain-timeout .*?default: (\d+[ms])", help_.stdout, re.S)
            known = {"RESTANTE_" + flag.upper().replace("-", "_") for flag in re.findall(r"--([a-z-]+)", help_.stdout)}
            assert set(service["environment"]) <= known, set(service["environment"]) - known
            assert manifests.seconds(service["stop_grace_period"]) >= manifests.seconds(drain[1]) + 15


def test_grafana_finds_what_compose_mounts():
    grafana = yaml.safe_load((manifests.SOURCE / "docker/compose.yaml").read_text())["services"]["grafana"]
    mounted = {target: manifests.SOURCE / "docker" / source for source, target, *_ in
               (volume.split(":") for volume in grafana["volumes"] if volume.startswith("."))}
    provisioning = mounted["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/restante.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    dashboard = pathlib.Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert provider["options"]["path"] == str(dashboard.parent)
    shown = json.loads((mounted[provider["options"]["path"]] / dashboard.name).read_text())
    (choice,) = [v for v in shown["templating"]["list"] if v["type"] == "datasource"]
    assert choice["query"] == source["type"] and source["isDefault"]
    assert grafana["depends_on"] == ["prometheus"] and source["url"] == "http://prometheus:9090"


def test_no_example_is_insecure():
    readme = (manifests.SOURCE / "README.md").read_text()
    examples = re.findall(r"^```.*?^```$", readme, re.M | re.S)
    for path in (manifests.SOURCE / "docker").rglob("*"):
        if path.is_file():
            examples.append("\n".join(line.split("#")[0] for line in path.read_text().splitlines()))
    assert len(examples) > 20
    assert not [text for text in examples if "insecure" in text.lower()]
