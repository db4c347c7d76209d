"""TLS as clients speak it: smtplib, openssl s_client, swaks, Postfix; and the certificate's files."""

import os
import signal
import smtplib
import socket
import ssl
import subprocess

import pytest

import harness
from certificate import make_certificate
from postfix import Postfix
from smtp_client import message

TEXT = "Subject: in TLS\r\n\r\ntext\r\n"


@pytest.fixture
def options(directory):
    certificate, key = make_certificate(directory)
    return {"store": [], "front": ["--tls-cert", certificate, "--tls-key", key, "--smtps-listen", "127.0.0.1:0"]}


@pytest.fixture(autouse=True)
def mailboxes(request):
    if "front" in request.fixturenames:
        api = request.getfixturevalue("api")
        api.create_domain()
        api.create_mailbox("alice@example.org")


@pytest.fixture
def trust(directory):
    """A client's settings that trust our certificate and no other."""
    return ssl.create_default_context(cafile=directory / "certificate.pem")


def connect(kind, address):
    """An smtplib.SMTP or LMTP that wants the certificate of mx.example.org after STARTTLS."""
    host, port = address.rsplit(":", 1)
    smtp = kind(host, int(port))
    smtp._host = "mx.example.org"
    return smtp


class SmtpsTo(smtplib.SMTP_SSL):
    """Connects to an address and wants the certificate of mx.example.org there."""

    def __init__(self, address, context):
        self.address = address
        super().__init__("mx.example.org", timeout=harness.PATIENCE, context=context)

    def _get_socket(self, host, port, timeout):
        at, number = self.address.rsplit(":", 1)
        return self.context.wrap_socket(socket.create_connection((at, int(number)), timeout), server_hostname=host)


def received(api):
    """The `with` of each message that alice has."""
    return [t.split(b" (Restante) with ")[1].split(b"\r\n")[0].decode() for t in api.texts("alice@example.org")]


def test_smtplib_by_starttls_and_in_tls_from_the_start(front, api, trust):
    with connect(smtplib.SMTP, front.smtp) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("starttls")
        assert smtp.starttls(context=trust)[0] == 220
        smtp.ehlo()
        assert not smtp.has_extn("starttls") and smtp.docmd("STARTTLS")[0] == 503
        smtp.sendmail("sender@example.net", ["alice@example.org"], TEXT)
        large = message(3_000_000).decode()
        smtp.sendmail("sender@example.net", ["alice@example.org"], large)
    with SmtpsTo(front.program.addresses["smtps"], trust) as smtp:
        smtp.sendmail("sender@example.net", ["alice@example.org"], TEXT)
    with connect(smtplib.LMTP, front.lmtp) as lmtp:
        lmtp.ehlo()
        assert lmtp.has_extn("starttls")
        lmtp.starttls(context=trust)
        lmtp.sendmail("sender@example.net", ["alice@example.org"], TEXT)
    assert received(api) == ["ESMTPS", "ESMTPS", "ESMTPS", "LMTPS"]
    assert api.texts("alice@example.org")[1].endswith(large.encode())
    assert front.program.log_text().count("tls=\"TLSv1.3 TLS_") == 4
    api.assert_exact("alice@example.org")


def test_sessions_are_resumed(front, trust):
    host, port = front.program.addresses["smtps"].split(":")

    def visit(context, session=None):
        with context.wrap_socket(socket.create_connection((host, int(port)), harness.PATIENCE),
                                 server_hostname="mx.example.org", session=session) as tls:
            assert tls.recv(1000).startswith(b"220 ")
            tls.sendall(b"QUIT\r\n")
            assert tls.recv(1000).startswith(b"221 ")
            assert tls.recv(1000) == b"", "ended by close_notify"
            return tls.session, tls.session_reused

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        trust.minimum_version = trust.maximum_version = version
        session, reused = visit(trust)
        assert not reused
        assert visit(trust, session)[1], version


def test_openssl_s_client(front, directory):
    for starttls, address, hello in (("smtp", front.smtp, "EHLO"), ("lmtp", front.lmtp, "LHLO")):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", address, "-starttls", starttls, "-crlf", "-quiet", "-CAfile",
             directory / "certificate.pem", "-verify_return_error", "-verify_hostname", "mx.example.org"],
            input=f"{hello} c\nquit\n".encode(), capture_output=True, timeout=harness.PATIENCE)
        assert done.returncode == 0 and b"250 ENHANCEDSTATUSCODES" in done.stdout and b"221 2.0.0" in done.stdout, done


def test_swaks(front, api):
    for args in (["--server", front.smtp, "-tls"], ["--server", front.program.addresses["smtps"], "-tlsc"]):
        done = subprocess.run(["swaks", *args, "--from", "sender@example.net", "--to", "alice@example.org"],
                              capture_output=True, timeout=harness.PATIENCE)
        assert done.returncode == 0 and b"TLS started with cipher TLSv1.3:TLS_" in done.stdout, done
    assert received(api) == ["ESMTPS", "ESMTPS"]


@pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")
def test_a_stock_postfix_that_insists_on_tls(front, api, directory):
    # By SMTP and by LMTP, and it looks whose certificate it is.
    tls = f"""
lmtp_tls_security_level = secure
lmtp_tls_CAfile = {directory}/certificate.pem
lmtp_tls_secure_cert_match = mx.example.org
smtp_tls_security_level = encrypt
transport_maps = inline:{{ {{ alice+smtp@example.org = smtp:{front.smtp} }} }}
"""
    postfix = Postfix(directory, front.lmtp, tls)
    try:
        host, port = postfix.address.split(":")
        with smtplib.SMTP(host, int(port), timeout=harness.PATIENCE) as smtp:
            for address in ("alice@example.org", "alice+smtp@example.org"):
                smtp.sendmail("sender@example.net", [address], TEXT)
        harness.poll(lambda: api.usage("alice@example.org").messages == 2 or "deferred" in postfix.log(),
                     "both messages")
    finally:
        postfix.stop()
    assert sorted(received(api)) == ["ESMTPS", "LMTPS"], postfix.log()


def shown(address):
    return ssl.get_server_certificate(tuple(address.split(":")), timeout=harness.PATIENCE)


def test_a_new_certificate_is_shown_and_a_broken_one_is_not(front, directory):
    address = front.program.addresses["smtps"]
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    first = shown(address)
    assert first.split() == certificate.read_text().split()
    make_certificate(directory)
    harness.poll(lambda: shown(address).split() == certificate.read_text().split(), "the new one without a word")
    second = shown(address)
    key.write_text("no key")
    front.program.process.send_signal(signal.SIGHUP)
    harness.poll(lambda: "the TLS certificate stays as it was" in front.program.log_text(), "the error")
    assert f"`{key}`: no private key" in front.program.log_text()
    assert shown(address) == second != first
    make_certificate(directory, key="rsa")
    front.program.process.send_signal(signal.SIGHUP)
    harness.poll(lambda: shown(address).split() == certificate.read_text().split(), "the third")


def test_who_does_not_speak_tls_is_logged_and_costs_others_nothing(front, api):
    address = front.program.addresses["smtps"]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), harness.PATIENCE) as plain:
        plain.sendall(b"EHLO plain\r\n")
        while plain.recv(1000):
            pass
    harness.poll(lambda: "kind=tls_handshake" in front.program.log_text(), "the warning")
    assert shown(address)


def refused(*args):
    """Exit status and the one line of a front end that does not start."""
    done = subprocess.run([harness.PROGRAMS["restante-smtp"], *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, env=harness.environment(), timeout=harness.PATIENCE)
    assert done.stdout == b"" and len(done.stderr.splitlines()) == 1, done
    return done.returncode, done.stderr.decode()


def test_what_is_missing_or_does_not_fit_stops_the_start(directory):
    certificate, key = make_certificate(directory)
    (directory / "other").mkdir()
    other = make_certificate(directory / "other")[1]
    for args, status, says in (
            (["--tls-cert", certificate], 2, "--tls-cert needs --tls-key"),
            (["--tls-key", key], 2, "--tls-key needs --tls-cert"),
            (["--smtps-listen", "127.0.0.1:0"], 2, "--smtps-listen needs --tls-cert and --tls-key"),
            (["--tls-cert", certificate, "--tls-key", "/nonexistent"], 1, "`/nonexistent`: no private key: No such file"),
            (["--tls-cert", certificate, "--tls-key", other], 1, f"`{other}`: is not the key of the certificate in"),
            (["--tls-cert", key, "--tls-key", key], 1, f"`{key}`: no certificate: "),
    ):
        code, line = refused(*args)
        assert code == status and says in line, line
