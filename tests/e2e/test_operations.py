"""What operators' machines ask by HTTP."""

import http.client
import re
import socket
import subprocess

import harness

TEXT = b"Subject: a\r\n\r\ntext\r\n"


def get(store, path, method="GET"):
    connection = http.client.HTTPConnection(store.program.addresses["ops"], timeout=harness.PATIENCE)
    connection.request(method, path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def metrics(store):
    response, text = get(store, "/metrics")
    assert response.status == 200
    assert response.getheader("Content-Type").startswith("text/plain; version=0.0.4")
    values = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, value = re.fullmatch(r"([a-z_]+(?:\{.*\})?) (\S+)", line).groups()
        values[name] = float(value)
    return values


def test_metrics_follow_mail_and_scrub(store, api, cli):
    cli("domain", "create", "example.org")
    cli("mailbox", "create", "alice@example.org", "--bytes", "1M")
    cli("deliver", "--from", "sender@example.net", "--to", "alice@example.org", stdin=TEXT)
    now = metrics(store)
    assert now["restante_logical_bytes"] == now["restante_used_bytes"] == len(TEXT)
    assert now["restante_messages"] == now["restante_mailboxes"] == now["restante_domains"] == 1
    assert now['restante_transactions_total{outcome="stored"}'] == 1
    assert now["restante_disk_used_bytes"] > len(TEXT)
    cli("store", "scrub")
    now = metrics(store)
    assert now["restante_last_scrub_damages"] == 0 and now["restante_last_scrub_bytes"] > len(TEXT)
    assert now["restante_index_damaged"] == now["restante_full"] == now["restante_read_only"] == 0
    assert dict(api.status().engine_figures)["logical_bytes"] == len(TEXT)


def test_it_says_that_it_lives_and_is_ready_and_nothing_else(store):
    assert [(r.status, text) for r, text in (get(store, "/livez"), get(store, "/readyz"))] == [
        (200, "alive\n"), (200, "ready\n")]
    assert get(store, "/")[0].status == 404
    assert get(store, "/metrics", "POST")[0].status == 404


def test_an_address_that_cannot_be_had_ends_the_start(directory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = subprocess.run(
            [harness.PROGRAMS["restante-store"], "--data-dir", directory / "data", "--create", "--listen",
             "127.0.0.1:0", "--ops-listen", address],
            env=harness.environment(), capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 1
    assert f"--ops-listen: {address}: the address cannot be had" in done.stderr.decode()


def test_off_loopback_it_wants_to_be_told(directory):
    done = subprocess.run(
        [harness.PROGRAMS["restante-store"], "--data-dir", directory / "data", "--create", "--listen",
         "127.0.0.1:0", "--ops-listen", "0.0.0.0:0"],
        env=harness.environment(), capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 2
    assert "--ops-listen 0.0.0.0:0: not a loopback address" in done.stderr.decode()
