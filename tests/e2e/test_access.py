"""Who may do what: TLS, certificates, tokens and roles, as the programs and any gRPC client meet them."""

import base64
import hashlib
import os
import queue
import re
import secrets
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import grpc
import pytest

import harness
from authority import Authority
from haraka import Haraka
from restante.v1 import delivery_pb2 as delivery
from restante.v1 import delivery_pb2_grpc
from restante.v1 import mailbox_pb2 as mailbox
from restante.v1 import mailbox_pb2_grpc
from smtp_client import Smtp, message

TEXT = b"Subject: in TLS\r\n\r\ntext\r\n"


def replace(path, text):
    """In one step."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.rename(new, path)


class Site:
    """A store's certificate, callers with a certificate or a token each, and their files."""

    def __init__(self, directory):
        self.directory = directory
        self.servers, self.clients = Authority(directory, "servers"), Authority(directory, "clients")
        self.callers = directory / "callers.toml"
        self.servers.sign("store", "IP:127.0.0.1")
        self.clients.sign("mx1")
        self.tokens = {}
        for name in ("admin", "webmail", "stranger"):
            self.tokens[name] = "restante_" + secrets.token_urlsafe(32)
            (directory / f"{name}.token").write_text(self.tokens[name] + "\n")
        self.know(mx1=["mta"], admin=["operator", "reader"], webmail=["reader"])

    def know(self, **callers):
        """These callers and no others have these roles from the next look at the file on."""
        text = ""
        for name, roles in callers.items():
            how = (f'token_sha256 = "{hashlib.sha256(self.tokens[name].encode()).hexdigest()}"'
                   if name in self.tokens else f'certificate = "{name}"')
            text += f'[[caller]]\nname = "{name}"\nroles = {roles}\n{how}\n'.replace("'", '"')
        replace(self.callers, text)

    def options(self):
        return ["--tls-cert", self.directory / "store.pem", "--tls-key", self.directory / "store.key",
                "--tls-client-ca", self.clients.certificate, "--callers", self.callers]

    def front_options(self):
        return ["--store-ca", self.servers.certificate, "--store-cert", self.directory / "mx1.pem", "--store-key",
                self.directory / "mx1.key"]

    def channel(self, address, pair=None, ca=None):
        """Of a connection of its own, with a client certificate if there is a `pair`."""
        certificate, key = (p.read_bytes() for p in pair) if pair else (None, None)
        credentials = grpc.ssl_channel_credentials((ca or self.servers.certificate).read_bytes(), key, certificate)
        return grpc.secure_channel(address, credentials, [("grpc.use_local_subchannel_pool", 1)])

    def restante(self, address, caller, *args, **more):
        """The command line with the caller's token."""
        return subprocess.run(
            [harness.PROGRAMS["restante"], "--store", address, "--store-ca", self.servers.certificate,
             "--store-token-file", self.directory / f"{caller}.token", *map(str, args)],
            stdin=subprocess.DEVNULL, capture_output=True, env=harness.environment(), timeout=2 * harness.PATIENCE,
            **more)


@pytest.fixture
def site(directory):
    return Site(directory)


@pytest.fixture
def options(site):
    return {"store": site.options(), "front": site.front_options()}


@pytest.fixture
def mailboxes(site, store):
    for words in (["domain", "create", "example.org"], ["mailbox", "create", "alice@example.org"]):
        done = site.restante(store.address, "admin", *words)
        assert done.returncode == 0, done


def capacity(channel, token=None):
    """The code of a call that every caller may make."""
    metadata = [("authorization", f"Bearer {token}")] if token else None
    try:
        delivery_pb2_grpc.DeliveryServiceStub(channel).GetCapacity(
            delivery.GetCapacityRequest(), metadata=metadata, timeout=harness.PATIENCE)
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


def test_front_end_and_command_line_do_their_work_with_what_they_are_known_by(site, store, front, mailboxes):
    harness.poll(lambda: ready(front), "the front end to know the store")
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(500)).code == 250
    listed = site.restante(store.address, "webmail", "message", "list", "alice@example.org")
    assert listed.returncode == 0 and b"sender@example.net" in listed.stdout, listed
    denied = site.restante(store.address, "webmail", "mailbox", "create", "bob@example.org")
    assert denied.returncode == 1 and b"needs the role operator, caller webmail has reader" in denied.stderr, denied
    assert site.restante(store.address, "stranger", "status").returncode == 1
    log = store.program.log_text()
    assert re.search(r"call denied caller=webmail peer=127.0.0.1 method=restante.v1.MailboxService/CreateMailbox", log)
    assert re.search(r"call denied caller=unknown peer=127.0.0.1 method=restante.v1.StoreService/GetStatus", log)
    metrics = fetch(store, "/metrics").decode()
    assert 'restante_calls_denied_total{reason="permission_denied"} 1\n' in metrics
    assert 'restante_calls_denied_total{reason="unauthenticated"} 1\n' in metrics
    assert "restante_tls_certificate_expiry_timestamp_seconds" in metrics
    for secret in site.tokens.values():
        assert secret not in log and hashlib.sha256(secret.encode()).hexdigest() not in log


def fetch(thing, path):
    """What a program's operations port says."""
    host, port = thing.program.addresses["ops"].split(":")
    with socket.create_connection((host, int(port)), harness.PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return connection.makefile("rb").read()


def ready(front):
    return b" 200 " in fetch(front, "/readyz").splitlines()[0]


def test_whoever_is_not_known_is_not_let_in(site, store):
    foreign = Authority(site.directory, "foreign")
    pair = (site.directory / "mx1.pem", site.directory / "mx1.key")
    assert capacity(site.channel(store.address, pair)) == grpc.StatusCode.OK
    assert capacity(site.channel(store.address), site.tokens["webmail"]) == grpc.StatusCode.OK
    for channel, token, code in (
            (site.channel(store.address), None, grpc.StatusCode.UNAUTHENTICATED),
            (site.channel(store.address), site.tokens["stranger"], grpc.StatusCode.UNAUTHENTICATED),
            (site.channel(store.address, pair), site.tokens["stranger"], grpc.StatusCode.UNAUTHENTICATED),
            (site.channel(store.address, site.clients.sign("other")), None, grpc.StatusCode.UNAUTHENTICATED),
            (site.channel(store.address, site.clients.sign("old", expired=True)), None, grpc.StatusCode.UNAVAILABLE),
            (site.channel(store.address, foreign.sign("mx1")), None, grpc.StatusCode.UNAVAILABLE),
            (site.channel(store.address, ca=foreign.certificate), None, grpc.StatusCode.UNAVAILABLE),
            (grpc.insecure_channel(store.address), site.tokens["webmail"], grpc.StatusCode.UNAVAILABLE)):
        assert capacity(channel, token) == code
        channel.close()
    log = store.program.log_text()
    assert "certificate verify failed" in log
    assert all(re.match(r"20\d\d-\d\d-\d\dT\S+Z (info|warning|audit) restante-store: ", line) for line in log.splitlines())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_is_1_2_or_1_3(site, store):
    host, port = store.address.split(":")

    def version(newest):
        context = ssl.create_default_context(cafile=site.servers.certificate)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2"])
        with socket.create_connection((host, int(port)), harness.PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=host) as tls:
                return tls.version()

    assert version(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert version(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        version(ssl.TLSVersion.TLSv1_1)


def test_a_revoked_role_is_gone_under_a_running_store(site, store, front, mailboxes):
    harness.poll(lambda: ready(front), "the front end to know the store")
    site.know(mx1=["reader"], webmail=["reader"])
    harness.poll(lambda: site.restante(store.address, "admin", "status").returncode == 1, "the operator to be gone")

    def reply():
        with Smtp(front.smtp) as smtp:
            return smtp.deliver("alice@example.org", message(500))

    assert reply().code == 451
    assert "caller=mx1" in store.program.log_text()
    site.know(mx1=["mta"], admin=["operator"])
    store.program.process.send_signal(signal.SIGHUP)
    harness.poll(lambda: reply().code == 250, "the front end to be let in again")
    assert site.restante(store.address, "admin", "status").returncode == 0


def test_what_is_broken_changes_nothing_and_is_named(site, store):
    key = site.directory / "store.key"
    replace(site.callers, '[[caller]]\nname = "mx1"\nroles = ["admin"]\n')
    replace(key, "no key")
    store.program.process.send_signal(signal.SIGHUP)
    harness.poll(lambda: "the callers stay as they were" in store.program.log_text(), "the line about the callers")
    harness.poll(lambda: "the TLS certificate stays as it was" in store.program.log_text(), "the line about the key")
    assert f'{site.callers}:3: caller' in store.program.log_text()
    assert f"`{key}`: no private key" in store.program.log_text()
    channel = site.channel(store.address, (site.directory / "mx1.pem", site.directory / "mx1.key"))
    assert capacity(channel) == grpc.StatusCode.OK
    channel.close()


def test_from_elsewhere_operators_only_see_the_status_page(site, start):
    store = start(harness.Store, *site.options(), "--ops-listen", "0.0.0.0:0", "--insecure")
    port = store.program.addresses["ops"].rsplit(":", 1)[1]

    def status(path, header=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                         headers={"Authorization": header} if header else {})
        try:
            return urllib.request.urlopen(request, timeout=harness.PATIENCE).status
        except urllib.error.HTTPError as error:
            return error.code

    admin = site.tokens["admin"]
    assert status("/livez") == status("/metrics") == 200
    assert status("/", f"Bearer {admin}") == 200
    assert status("/", "Basic " + base64.b64encode(f"anyone:{admin}".encode()).decode()) == 200
    for header in (None, f"Bearer {site.tokens['webmail']}", f"Bearer {site.tokens['stranger']}", "Bearer x"):
        assert status("/", header) == 401, header
    assert admin not in store.program.log_text()


class Stream:
    """A Deliver stream over a connection of its own, one transaction after another."""

    def __init__(self, channel):
        self.channel, self.events, self.number = channel, queue.Queue(), 0
        self.answers = delivery_pb2_grpc.DeliveryServiceStub(channel).Deliver(iter(self.events.get, None))

    def deliver(self):
        self.number += 1
        steps = [dict(begin=delivery.Begin(request_id=secrets.token_bytes(16))),
                 dict(recipient=delivery.Recipient(address="alice@example.org")), dict(data=delivery.Data()),
                 dict(chunk=TEXT), dict(commit=delivery.Commit(size=len(TEXT)))]
        self.events.put(delivery.DeliverRequest(
            events=[delivery.Event(transaction=self.number, **step) for step in steps]))
        for response in self.answers:
            for answer in response.answers:
                assert answer.WhichOneof("kind") in ("begun", "decision", "ready", "credit", "receipts"), answer
                if answer.WhichOneof("kind") == "receipts":
                    return answer.receipts.committed
        return False

    def end(self):
        self.events.put(None)
        for _ in self.answers:
            pass
        assert self.answers.code() == grpc.StatusCode.OK
        self.channel.close()


def test_certificates_change_under_100_streams_without_one_failure(site, store, mailboxes):
    pair = (site.directory / "mx1.pem", site.directory / "mx1.key")
    streams = [Stream(site.channel(store.address, pair)) for _ in range(100)]
    assert all(stream.deliver() for stream in streams)
    host, port = store.address.split(":")

    def shown():
        return ssl.get_server_certificate((host, int(port)), timeout=harness.PATIENCE).split()

    def lets_in(directory):
        channel = site.channel(store.address, (directory / "mx1.pem", directory / "mx1.key"))
        try:
            return capacity(channel) == grpc.StatusCode.OK
        finally:
            channel.close()

    seen = [shown()]
    before = site.directory
    for turn in range(3):
        # All is new, the authorities too.
        now = site.directory / f"turn{turn}"
        now.mkdir()
        site.servers, clients = Authority(now, "servers"), Authority(now, "clients")
        certificate, key = site.servers.sign("store", "IP:127.0.0.1")
        clients.sign("mx1")
        for new, name in ((certificate, "store.pem"), (key, "store.key"), (clients.certificate, "clients.pem")):
            replace(site.directory / name, new.read_text())
        if turn != 1:  # Else it is found without a word.
            store.program.process.send_signal(signal.SIGHUP)
        harness.poll(lambda: shown() == certificate.read_text().split() and lets_in(now), "the new files")
        seen.append(shown())
        assert not lets_in(before), "who has a certificate of the authority of before"
        assert all(stream.deliver() for stream in streams), f"turn {turn}"
        before = now
    assert len({tuple(certificate) for certificate in seen}) == 4
    for stream in streams:
        stream.end()
    api = mailbox_pb2_grpc.MailboxServiceStub(site.channel(store.address))
    alice = api.GetMailbox(mailbox.GetMailboxRequest(name="mailboxes/alice@example.org"),
                           metadata=[("authorization", f"Bearer {site.tokens['admin']}")])
    assert alice.usage.messages == 400


def refused(program, *args):
    """Exit status and the last line of a program that does not start."""
    done = subprocess.run([harness.PROGRAMS[program], *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, env=harness.environment(), timeout=harness.PATIENCE)
    *before, last = done.stderr.decode().splitlines()
    assert done.stdout == b"" and all(re.search(" (info|warning) ", line) for line in before), done
    return done.returncode, last


def test_what_is_missing_or_does_not_fit_stops_the_start(site, directory):
    certificate, key = directory / "store.pem", directory / "store.key"
    _, other = site.servers.sign("another")
    data = ["--data-dir", directory / "data", "--create", "--ops-listen", "none"]
    tls = ["--tls-cert", certificate, "--tls-key", key]
    callers = ["--callers", site.callers]
    bad = directory / "bad.toml"
    bad.write_text('[[caller]]\nname = "mx1"\nroles = ["mta"]\n')
    for args, status, says in (
            (["--listen", "0.0.0.0:0"], 2, "--callers, --tls-cert and --tls-key say it, --insecure lets everyone"),
            (["--listen", "0.0.0.0:0", *tls], 2, "nothing says who may call"),
            (["--listen", "0.0.0.0:0", *callers], 2, "tokens would go in the clear"),
            (["--listen", "localhost:0", *tls, *callers], 2, "has to be an IP address"),
            (["--tls-cert", certificate], 2, "--tls-cert needs --tls-key"),
            (["--tls-key", key], 2, "--tls-key needs --tls-cert"),
            (["--tls-client-ca", site.clients.certificate, *callers], 2, "--tls-client-ca needs --tls-cert"),
            ([*tls, "--tls-client-ca", site.clients.certificate], 2, "--tls-client-ca needs --callers"),
            ([*callers, "--tls-cert", certificate, "--tls-key", other], 1, f"`{other}`: is not the key of"),
            ([*callers, "--tls-cert", certificate, "--tls-key", "/nonexistent"], 1, "`/nonexistent`: No such file"),
            (["--callers", "/nonexistent"], 1, "--callers: `/nonexistent`: No such file"),
            (["--callers", bad], 1, f'--callers: {bad}:1: caller "mx1": needs certificate or token_sha256')):
        code, line = refused("restante-store", *data, *args)
        assert code == status and says in line, line
    assert not (directory / "data").exists(), "the store has not been touched"
    short = directory / "short.token"
    short.write_text("short\n")
    old, old_key = site.clients.sign("old", expired=True)
    for args, status, says in (
            (["--store-cert", certificate], 2, "the certificate for the store needs its key"),
            (["--store", "192.0.2.1:1", "--store-token-file", directory / "admin.token"], 2,
             "the token would go in the clear to 192.0.2.1:1"),
            (["--store-token-file", short], 1, f"`{short}`: a token has 22 to 512 characters, this one 5"),
            (["--store-ca", site.servers.certificate, "--store-cert", old, "--store-key", old_key], 1,
             f"`{old}`: the certificate has expired on ")):
        code, line = refused("restante-smtp", *args)
        assert code == status and says in line, line


def test_the_command_line_finds_its_way_by_a_context(site, store):
    folder = site.directory / "restante"
    folder.mkdir()
    (folder / "admin.token").write_text(site.tokens["admin"])
    (folder / "config.toml").write_text(
        f'current-context = "here"\n[context.here]\nstore = "{store.address}"\n'
        f'store-ca = "{site.servers.certificate}"\nstore-token-file = "admin.token"\n')

    def restante(*args, **more):
        return subprocess.run([harness.PROGRAMS["restante"], *args], stdin=subprocess.DEVNULL, capture_output=True,
                              env={**harness.environment(), "XDG_CONFIG_HOME": str(site.directory), **more},
                              timeout=2 * harness.PATIENCE)

    assert restante("status").returncode == 0
    wrong = restante("--context", "there", "status")
    assert wrong.returncode == 2 and b"has no [context.there]" in wrong.stderr, wrong
    other = restante("status", RESTANTE_STORE_TOKEN_FILE=str(site.directory / "webmail.token"))
    assert other.returncode == 1 and b"caller webmail has reader" in other.stderr, other
    untrusted = restante("--store-ca", str(site.clients.certificate), "status")
    assert untrusted.returncode == 3 and b"--store-ca" in untrusted.stderr, untrusted
    assert untrusted.stderr.startswith(b"restante: no store answers at ")


def test_sighup_ends_no_front_end_that_has_something_to_read_again(site, store, front):
    front.program.process.send_signal(signal.SIGHUP)
    harness.poll(lambda: ready(front), "the front end to go on")
    front.program.process.send_signal(signal.SIGHUP)
    assert ready(front) and front.program.running()


def test_haraka_says_who_it_is_by_a_certificate_or_by_a_token(site, store, mailboxes, directory):
    site.tokens["haraka"] = "restante_" + secrets.token_urlsafe(32)
    token = directory / "haraka.token"
    token.write_text(site.tokens["haraka"] + "\n")
    site.know(mx1=["mta"], haraka=["mta"])
    store.program.process.send_signal(signal.SIGHUP)
    ca = f"store_ca = {site.servers.certificate}\n"
    for name, settings in (
            ("by-certificate", f"{ca}store_cert = {directory}/mx1.pem\nstore_key = {directory}/mx1.key\n"),
            ("by-token", f"{ca}store_token_file = {token}\n"),
            ("as-nobody", ca)):
        (directory / name).mkdir()
        mta = Haraka(directory / name, store.address, settings=settings)
        try:
            with Smtp(mta.address) as smtp:
                assert smtp.deliver("alice@example.org", message(500)).code == (451 if name == "as-nobody" else 250)
        finally:
            mta.stop()
