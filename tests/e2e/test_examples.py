"""client/examples and README's, as an MTA's author would try them: each language stores, refuses, and settles what
was lost."""

import hashlib
import pathlib
import secrets
import select
import socket
import subprocess
import sys
import threading
import time

import pytest

import harness
import readme
from authority import Authority
from smtp_client import message

EXAMPLES = pathlib.Path(__file__).parents[2] / "client/examples"
MODULES = harness.BUILD_DIR / "mta/haraka/node_modules"
COMMANDS = {
    "cpp": [harness.BUILD_DIR / "tests/e2e/deliver_example"],
    "node": ["node", EXAMPLES / "node/deliver.js"],
    "python": [sys.executable, "-B", EXAMPLES / "python/deliver.py"],
}


@pytest.fixture(params=COMMANDS)
def run(request):
    """run(STORE, RECIPIENT...): exit status, and what was said of the recipients."""

    def deliver(store, *recipients, text, **settings):
        environment = {**harness.environment(), "NODE_PATH": str(MODULES),
                       "PYTHONPATH": str(harness.BUILD_DIR / "tests/e2e/stubs"),
                       **{f"RESTANTE_STORE_{key.upper()}": str(value) for key, value in settings.items()}}
        done = subprocess.run([*COMMANDS[request.param], store, "sender@example.net", *recipients], input=text,
                              capture_output=True, env=environment, timeout=2 * harness.PATIENCE)
        print(done.stderr.decode())
        return done.returncode, [tuple(line.split()) for line in done.stdout.decode().splitlines()]

    return deliver


@pytest.fixture
def mailboxes(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    api.create_mailbox("bob@example.org")
    api.create_mailbox("full@example.org", max_messages=0)


def test_a_message_beyond_the_first_credit_is_stored_for_all(run, store, api, mailboxes):
    text = message(3_000_000)
    assert run(store.address, "alice@example.org", "bob@example.org", text=text) == (
        0, [("alice@example.org", "OUTCOME_OK"), ("bob@example.org", "OUTCOME_OK")])
    for address in ("alice@example.org", "bob@example.org"):
        assert api.texts(address) == [text]
        api.assert_exact(address)


def test_an_empty_message_is_a_message(run, store, api, mailboxes):
    assert run(store.address, "alice@example.org", text=b"") == (0, [("alice@example.org", "OUTCOME_OK")])
    assert api.texts("alice@example.org") == [b""]


@pytest.mark.parametrize("recipients, status, outcomes", [
    (["full"], 75, ["MAILBOX_FULL"]),
    (["nobody"], 69, ["NO_SUCH_MAILBOX"]),
    (["nobody", "full"], 75, ["NO_SUCH_MAILBOX", "MAILBOX_FULL"]),
    (["alice", "nobody", "bob"], 69, ["OK", "NO_SUCH_MAILBOX", "OK"]),
], ids=lambda value: "-".join(value) if isinstance(value, list) else None)
def test_a_refusal_says_whether_to_try_again(run, store, api, mailboxes, recipients, status, outcomes):
    addresses = [f"{name}@example.org" for name in recipients]
    assert run(store.address, *addresses, text=message(500)) == (
        status, list(zip(addresses, (f"OUTCOME_{outcome}" for outcome in outcomes))))
    for address, outcome in zip(addresses, outcomes):
        if outcome == "OK":
            assert api.usage(address).messages == 1
    api.await_nothing_reserved("alice@example.org", "bob@example.org")


class TestAWholeMessage:

    @pytest.fixture
    def options(self):
        return {"store": ["--max-message", "1000"], "front": []}

    def test_that_is_refused_is_refused_for_all(self, run, store, api, mailboxes):
        assert run(store.address, "alice@example.org", "bob@example.org", text=message(2_000)) == (
            69, [("alice@example.org", "OUTCOME_MESSAGE_TOO_LARGE"), ("bob@example.org", "OUTCOME_MESSAGE_TOO_LARGE")])


def test_without_a_store_it_is_to_be_tried_again(run):
    address = f"127.0.0.1:{harness.free_port()}"
    assert run(address, "alice@example.org", text=message(500)) == (75, [("alice@example.org", "OUTCOME_UNAVAILABLE")])


class Cut:
    """A way to the store that loses the answer to Commit: when `mark` has passed nothing comes back any more, and
    when `passed()` says that it may, the connection breaks. What connects afterwards gets through. Without `forward`
    what has `mark` in it is lost, too, and what follows."""

    def __init__(self, address, mark, passed, forward=True):
        self.address, self.mark, self.passed, self.forward = address, mark, passed, forward
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.own = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client):
        host, port = self.address.split(":")
        with client, socket.create_connection((host, int(port))) as store:
            tail = b""
            while True:
                readable, _, _ = select.select([client, store], [], [])
                for side in readable:
                    try:
                        octets = side.recv(1 << 16)
                        if not octets:
                            return
                        tail = (tail + octets)[-2 * len(self.mark) - len(octets):]
                        if side is client and self.cuts == 0 and self.mark in tail:
                            if self.forward:
                                store.sendall(octets)
                                self._forward_the_rest(client, store)
                            self.cuts += 1
                            return
                        (store if side is client else client).sendall(octets)
                    except OSError:
                        return

    def _forward_the_rest(self, client, store):
        """What the client says until `passed()`; what the store says to it is lost."""
        client.settimeout(0.01)
        deadline = time.monotonic() + harness.PATIENCE
        while not self.passed():
            assert time.monotonic() < deadline
            try:
                store.sendall(client.recv(1 << 16))
            except TimeoutError:
                pass

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not stored"])
def test_an_answer_that_was_lost_is_asked_for(run, store, api, mailboxes, stored):
    text = message(500) + b"the very end\r\n"
    cut = Cut(store.address, b"the very end", lambda: api.usage("alice@example.org").messages == 1, forward=stored)
    try:
        done = run(cut.own, "alice@example.org", text=text)
    finally:
        cut.close()
    assert cut.cuts == 1
    assert done == ((0, [("alice@example.org", "OUTCOME_OK")]) if stored else
                    (75, [("alice@example.org", "OUTCOME_UNAVAILABLE")]))
    assert api.texts("alice@example.org") == ([text] if stored else [])


class TestAStoreThatKnowsItsCallers:

    @pytest.fixture
    def site(self, directory):
        servers, clients = Authority(directory, "servers"), Authority(directory, "clients")
        servers.sign("store", "IP:127.0.0.1")
        clients.sign("mx1")
        token = "restante_" + secrets.token_urlsafe(32)
        (directory / "mx2.token").write_text(token + "\n")
        (directory / "callers.toml").write_text(
            '[[caller]]\nname = "mx1"\nroles = ["mta"]\ncertificate = "mx1"\n'
            '[[caller]]\nname = "mx2"\nroles = ["mta"]\n'
            f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
            '[[caller]]\nname = "admin"\nroles = ["operator", "reader"]\ncertificate = "admin"\n')
        clients.sign("admin")
        return directory

    @pytest.fixture
    def options(self, site):
        return {"store": ["--tls-cert", site / "store.pem", "--tls-key", site / "store.key", "--tls-client-ca",
                          site / "clients.pem", "--callers", site / "callers.toml"], "front": []}

    @pytest.fixture
    def admin(self, site, store):
        """The command line as an operator, and a mailbox."""
        who = ["--store-ca", site / "servers.pem", "--store-cert", site / "admin.pem", "--store-key",
               site / "admin.key"]
        cli = harness.Cli(store.address)
        cli("domain", "create", "example.org", *who)
        cli("mailbox", "create", "alice@example.org", *who)
        return lambda *words: cli(*words, *who)

    @pytest.mark.parametrize("how", ["certificate", "token", "nothing"])
    def test_is_told_who_calls_in_tls(self, run, site, store, admin, how):
        settings = {"certificate": {"cert": site / "mx1.pem", "key": site / "mx1.key"},
                    "token": {"token_file": site / "mx2.token"}, "nothing": {}}[how]
        done = run(store.address, "alice@example.org", text=message(500), ca=site / "servers.pem", **settings)
        assert done == ((0, [("alice@example.org", "OUTCOME_OK")]) if how != "nothing" else
                        (75, [("alice@example.org", "OUTCOME_UNAVAILABLE")]))

    @pytest.mark.parametrize("language", ["cpp", "python"])
    def test_takes_the_ten_lines_of_the_readme(self, site, store, admin, language):
        (site / "ca.crt").write_bytes((site / "servers.pem").read_bytes())
        (site / "token").write_bytes((site / "mx2.token").read_bytes())
        source = readme.example("python").replace("127.0.0.1:8354", store.address)
        command = {"cpp": [harness.BUILD_DIR / "tests/e2e/readme_example", store.address],
                   "python": [sys.executable, "-B", "-c", source]}[language]
        done = subprocess.run(command, cwd=site, capture_output=True, timeout=harness.PATIENCE,
                              env={**harness.environment(), "PYTHONPATH": str(harness.BUILD_DIR / "tests/e2e/stubs")})
        assert done.returncode == 0 and b"OUTCOME_OK" in done.stdout, done
        assert b"sender" in admin("--output", "json", "message", "list", "alice@example.org")
