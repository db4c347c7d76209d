"""What operators' machines ask by HTTP."""

import http.client
import http.server
import os
import pathlib
import pwd
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import harness
from smtp_client import Smtp

TEXT = b"Subject: a\r\n\r\ntext\r\n"


def get(program, path, method="GET", headers={}):
    connection = http.client.HTTPConnection(program.program.addresses["ops"], timeout=harness.PATIENCE)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def metrics(program):
    response, text = get(program, "/metrics")
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
    assert get(store, "/nothing")[0].status == 404
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
    done = subprocess.run([harness.PROGRAMS["restante-smtp"], "--ops-listen", "0.0.0.0:0"],
                          env=harness.environment(), capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 2
    assert "--ops-listen 0.0.0.0:0: not a loopback address" in done.stderr.decode()


def test_off_loopback_the_metrics_want_a_token_and_health_does_not(start, directory):
    token, file = "the-token-of-prometheus", directory / "ops.token"
    file.write_text(token + "\n")
    options = ["--ops-listen", "0.0.0.0:0", "--ops-token-file", file]
    store = start(harness.Store, *options)
    front = start(harness.Front, store.address, *options)
    harness.poll(lambda: get(front, "/readyz")[0].status == 200, "the front end to know the store")
    for program in (store, front):
        assert get(program, "/livez")[0].status == get(program, "/readyz")[0].status == 200
        for headers in ({}, {"Authorization": "Bearer another-token-than-that"}, {"Authorization": token}):
            answer, text = get(program, "/metrics", headers=headers)
            assert (answer.status, answer.getheader("WWW-Authenticate")) == (401, 'Bearer realm="Restante"'), headers
            assert "restante_" not in text
        answer, text = get(program, "/metrics", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200 and "build_info" in text
        assert token not in program.program.log_text()


def test_the_front_end_counts_what_it_does_and_refuses(front, cli):
    cli("domain", "create", "example.org")
    cli("mailbox", "create", "alice@example.org")
    cli("mailbox", "create", "full@example.org", "--messages", "0")
    with Smtp(front.smtp) as smtp:
        assert smtp.command("FOO") == 500
        assert smtp.command("MAIL FROM:<a@example.net>") == 250
        assert smtp.command("RCPT TO:<alice@example.org>") == 250
        assert smtp.command("RCPT TO:<full@example.org>") == 452
        assert smtp.command("DATA") == 354
        assert smtp.command("Subject: a\r\n\r\ntext\r\n.") == 250
        now = metrics(front)
        assert now["restante_smtp_connections"] == 1
    assert now['restante_smtp_transactions_total{outcome="stored",protocol="ESMTP"}'] == 1
    assert now['restante_smtp_recipients_total{reply="452 4.2.2"}'] == 1
    assert now['restante_smtp_errors_total{reply="500 5.5.1"}'] == 1
    assert "500 5.5.1 Unknown command" in front.program.log_text()


def test_the_front_end_is_ready_while_its_store_is_there(front, store):
    harness.poll(lambda: get(front, "/readyz")[0].status == 200, "ready")
    assert get(front, "/livez")[0].status == 200
    store.kill9()
    harness.poll(lambda: get(front, "/readyz")[0].status == 503, "not ready")
    assert get(front, "/livez")[0].status == 200
    store.restart()
    harness.poll(lambda: get(front, "/readyz")[0].status == 200, "ready again")


def ids(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {line.split()[0]: set(line.split()[1:]) for line in status.splitlines() if line[:4] in ("Uid:", "Gid:")}


@pytest.mark.skipif(os.getuid() != 0, reason="only root has rights to give up")
def test_root_takes_a_low_port_and_becomes_somebody_else(store, directory):
    nobody = pwd.getpwnam("nobody")
    port = next(p for p in range(1023, 512, -1) if is_free(p))
    front = harness.Program(
        "restante-smtp",
        ["--store", store.address, "--smtp-listen", f"127.0.0.1:{port}", "--lmtp-listen", "127.0.0.1:0",
         "--policy-listen", "none", "--socketmap-listen", "none", "--user", "nobody"],
        directory / "low.log", ["smtp"])
    try:
        assert ids(front.pid) == {"Uid:": {str(nobody.pw_uid)}, "Gid:": {str(nobody.pw_gid)}}
        for task in pathlib.Path(f"/proc/{front.pid}/task").iterdir():
            assert ids(task.name)["Uid:"] == {str(nobody.pw_uid)}
        with Smtp(f"127.0.0.1:{port}") as smtp:
            assert smtp.command("NOOP") == 250
    finally:
        assert front.stop() == 0


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def test_whom_to_become_has_to_exist(store, directory):
    done = subprocess.run(
        [harness.PROGRAMS["restante-smtp"], "--store", store.address, "--smtp-listen", "127.0.0.1:0", "--lmtp-listen",
         "127.0.0.1:0", "--user", "nobody-of-that-name"],
        env=harness.environment() | {"RESTANTE_OPS_LISTEN": "none"}, capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 2
    assert "--user: `nobody-of-that-name`: no such user" in done.stderr.decode()


class TestStatusPage:
    @pytest.fixture
    def filled(self, store, front, cli):
        cli("domain", "create", "example.org", "--max-bytes", "1M")
        cli("mailbox", "create", "alice@example.org", "--bytes", "1K")
        with Smtp(front.smtp) as client:
            assert client.deliver("alice@example.org", TEXT) == "250 2.0.0"
            assert client.deliver("alice@example.org", TEXT, size=5000) == "452 4.2.2"
            assert client.deliver("nobody@example.org", TEXT) == "550 5.1.1"
        return store

    def test_it_shows_what_is_full_and_what_was_refused(self, filled):
        response, page = get(filled, "/")
        assert response.status == 200
        policy = response.getheader("Content-Security-Policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "alice@example.org" in page and "mailbox full" in page and "no such mailbox" in page
        assert "nobody@example.org" in page and "Nothing is wrong" in page
        for loaded in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert loaded == "data:," or get(filled, loaded)[0].status == 200, loaded

    @pytest.mark.parametrize("width,height", [(390, 844), (1024, 768), (1920, 1080)])
    def test_a_browser_shows_it_at_this_size(self, filled, directory, width, height):
        browser = shutil.which("chromium")
        assert browser, "./dev test installs it"
        picture = directory / "page.png"
        done = subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--enable-logging=stderr", f"--user-data-dir={directory}/profile", f"--screenshot={picture}",
             f"--window-size={width},{height}", f"http://{filled.program.addresses['ops']}/"],
            capture_output=True, text=True, timeout=harness.PATIENCE * 2)
        assert picture.exists() and picture.stat().st_size > 10_000, done
        # Width and height stand in a PNG's first chunk.
        assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, height)
        assert "CONSOLE" not in done.stderr, done.stderr

    def test_the_script_fetches_it_again_and_shows_what_is_new(self, filled, directory):
        # Stands between browser and store, and makes each answer another one.
        fetched = []

        class Between(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                response, text = get(filled, self.path)
                if self.path == "/":
                    fetched.append(self.path)
                    text = text.replace("Restante store", f"Restante store, page {len(fetched)}.")
                self.send_response(response.status)
                for header in ("Content-Type", "Content-Security-Policy"):
                    self.send_header(header, response.getheader(header))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between) as between:
            threading.Thread(target=between.serve_forever, daemon=True).start()
            done = subprocess.run(
                [shutil.which("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--enable-logging=stderr", f"--user-data-dir={directory}/profile", "--virtual-time-budget=12000",
                 "--dump-dom", f"http://127.0.0.1:{between.server_port}/"],
                capture_output=True, text=True, timeout=harness.PATIENCE * 2)
            between.shutdown()
        assert len(fetched) > 1 and "page 1." not in done.stdout, (fetched, done)
        assert "Restante store, page " in done.stdout and "alice@example.org" in done.stdout, done
        assert "CONSOLE" not in done.stderr, done.stderr


def test_a_probe_tells_by_its_exit_status(store, front, cli):
    operations = store.program.addresses["ops"]
    assert b"200" in cli("probe", f"{operations}/livez") and b"200" in cli("probe", f"{operations}/readyz")
    assert cli("probe", front.smtp).startswith(b"220 mx.example.org")
    assert cli("probe", front.lmtp).startswith(b"220 ")
    store.kill9()
    for gone, why in ((f"{operations}/livez", b"refused"), (f"{front.program.addresses['ops']}/readyz", b"503"),
                      (f"{front.program.addresses['ops']}/nothing", b"404")):
        done = cli.run("probe", gone)
        assert done.returncode == 1 and why in done.stderr, (gone, done)
    assert cli.run("probe", "nowhere").returncode == 2
    assert cli("probe", front.smtp).startswith(b"220 "), "the front end answers 451 meanwhile"
