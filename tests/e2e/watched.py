"""Which metrics the dashboard and the alerts in docker/ look at."""

import json
import pathlib
import re

DOCKER = pathlib.Path(__file__).parents[2] / "docker"


def expressions():
    """Those of the dashboard, and those of the alerts."""
    dashboard = json.loads((DOCKER / "grafana/restante.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    shown += [variable["query"] for variable in dashboard["templating"]["list"]]
    rules = (DOCKER / "prometheus/restante.rules.yaml").read_text()
    return shown, re.findall(r"expr: (?:>-)?(.*?)\n {8}(?:for|labels):", rules, re.S)


def metrics_named(texts):
    """Ours."""
    return {name for text in texts for name in re.findall(r"\brestante_[a-z_]+", text)}


def metrics_told(text):
    """Those that a program tells."""
    return {re.match(r"[a-z_]+", line)[0] for line in text.splitlines() if line[0] != "#"}
