"""Metrics by Prometheus's own tool; alerts and dashboard name only what there is."""

import pathlib
import re
import subprocess

import pytest

import harness
import watched
from smtp_client import Smtp

DOCKER = pathlib.Path(__file__).parents[2] / "docker"
PROMTOOL = harness.BUILD_DIR / "mta/prometheus/usr/bin/promtool"
TEXT = b"Subject: a\r\n\r\ntext\r\n"


def promtool(*args, stdin=None):
    done = subprocess.run([PROMTOOL, *args], input=stdin, capture_output=True, text=True, cwd=DOCKER / "prometheus")
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def options():
    return {"store": [], "front": ["--max-connections", "1"]}


@pytest.fixture
def metrics(store, front, cli):
    """Of both programs, as text, after some of everything."""
    cli("domain", "create", "example.org")
    cli("mailbox", "create", "alice@example.org", "--bytes", "1K")
    with Smtp(front.smtp) as client:
        assert client.deliver("alice@example.org", TEXT).code == 250
        assert client.deliver("alice@example.org", TEXT, size=5000) == "452 4.2.2"
        assert client.command("NONSENSE").code == 500
        with Smtp(front.smtp, helo=None) as too_many:
            assert too_many.greeting.code == 421
    cli("store", "scrub")
    return [harness.fetch(program.program.addresses["ops"], "/metrics") for program in (store, front)]


def test_promtool_finds_nothing_to_say(metrics):
    for text in metrics:
        assert promtool("check", "metrics", stdin=text) == ""


def test_no_label_has_an_address(metrics):
    for text in metrics:
        # (Its stores are the operator's own, and few.)
        text = re.sub(r'{store="[^"]*"}', "", text)
        assert "@" not in text and "127.0.0.1" not in text


def test_what_alerts_and_dashboard_name_exists(metrics):
    shown, alerts = watched.expressions()
    assert len(shown) > 20 and len(alerts) > 10
    named = {name for name in watched.metrics_named(shown + alerts) if not name.startswith("restante_cluster_")}
    there = {name for text in metrics for name in watched.metrics_told(text)}
    assert len(named) > 20 and not named - there, sorted(named - there)


def test_the_alerts_are_raised_when_they_should_be():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yaml")
    # The token's file is there in the containers only.
    for compose in ("compose.yaml", "compose.rados.yaml"):
        assert "SUCCESS" in promtool("check", "config", "--syntax-only", compose)
    assert "SUCCESS" in promtool("test", "rules", "restante.rules_test.yaml")
