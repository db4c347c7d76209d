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
PROGRAMS = {"restante-store": BUILD_DIR / "server/restante-store", "restante-smtp": BUILD_DIR / "client/smtp/restante-smtp"}
CUSTOM = {"Issuer", "Certificate", "ServiceMonitor"}
# What a cluster is given, and what it makes of it by itself.
OVERLAYS = ("plain", "operators")


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
    for overlay in (*OVERLAYS, "first-installation"):
        for item in render(kubernetes / overlay):
            model = manifests.model_of(item)
            assert (model is None) == (item["kind"] in CUSTOM), item["kind"]
            where = f"{overlay}: {item['kind']} {item['metadata']['name']}"
            assert model is None or manifests.problems(item, model, where) == []
            assert item["kind"] == "Namespace" or item["metadata"]["namespace"] == "restante", where


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
    host, port = arguments(front)["--store"].split(":")
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


def test_a_store_is_made_only_while_a_config_map_says_so(objects, kubernetes):
    (container,) = named(objects, "StatefulSet", "restante-store")["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    wanted = variable["valueFrom"]["configMapKeyRef"]
    assert variable["name"] == "RESTANTE_CREATE" and wanted["optional"]
    assert ("ConfigMap", wanted["name"]) not in {(i["kind"], i["metadata"]["name"]) for i in objects}
    (first,) = render(kubernetes / "first-installation")
    assert (first["kind"], first["metadata"]["name"]) == ("ConfigMap", wanted["name"])
    assert first["data"] == {wanted["key"]: "true"}


def test_compose_is_what_docker_reads():
    """By Docker's own program, which needs no engine for that."""
    done = subprocess.run(["docker-compose", "--file", manifests.SOURCE / "docker/compose.yaml", "--profile", "tools",
                           "config"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert set(read) == {"certificates", "store", "smtp-1", "smtp-2", "admin", "prometheus", "grafana"}
    for name in ("store", "smtp-1", "smtp-2", "admin", "prometheus"):
        assert read[name]["depends_on"] == {"certificates": {"condition": "service_completed_successfully"}}, name


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
