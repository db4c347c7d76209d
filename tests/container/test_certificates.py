"""docker/certificates.sh: what it makes is good, for its hosts, and made again only when it has to be."""

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "docker/certificates.sh"
NAMES = ["store=store,localhost", "smtp"]


def make(directory, *names, status=0):
    done = subprocess.run([SCRIPT, directory, *names], capture_output=True, text=True)
    assert done.returncode == status, done
    return done.stdout


def openssl(*arguments, status=0):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == status, done
    return done.stdout


@pytest.fixture
def directory(tmp_path):
    make(tmp_path / "made", *NAMES)
    return tmp_path / "made"


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_server_is_for_its_hosts_and_a_client_for_none(directory):
    def verify(name, *options, status=0):
        openssl("verify", "-CAfile", directory / name / "ca.crt", *options, directory / name / "tls.crt", status=status)

    for host in ("store", "localhost"):
        verify("store", "-purpose", "sslserver", "-verify_hostname", host)
    verify("store", "-purpose", "sslserver", "-verify_hostname", "smtp", status=2)
    verify("store", "-purpose", "sslclient", status=2)
    verify("smtp", "-purpose", "sslclient")
    verify("smtp", "-purpose", "sslserver", status=2)
    assert "CN = smtp" in openssl("x509", "-in", directory / "smtp/tls.crt", "-noout", "-subject")


def test_keys_are_for_their_owner(directory):
    for path in directory.rglob("*"):
        mode = path.stat().st_mode & 0o777
        if path.name in ("tls.key", "token", "ca.key"):
            assert mode in (0o440, 0o600), path
        if path.is_dir():
            assert mode in (0o700, 0o750), path
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "authority").stat().st_mode & 0o777 == 0o700


def test_a_second_run_changes_nothing(directory):
    before = contents(directory)
    assert make(directory, *NAMES) == ""
    assert contents(directory) == before


def test_what_is_for_other_hosts_ends_soon_or_lost_its_key_is_made_again(directory):
    def changed():
        before = contents(directory)
        names = ["store=store,localhost,another", "smtp"]
        assert make(directory, *names) != ""
        after = contents(directory)
        return {str(path.relative_to(directory)) for path in after if after[path] != before.get(path)}

    assert changed() == {"store/tls.crt", "store/tls.key", "authority/store.signed"}
    (directory / "smtp/tls.key").unlink()
    assert changed() == {"smtp/tls.crt", "smtp/tls.key"}
    authority = directory / "authority"
    openssl("req", "-new", "-key", directory / "smtp/tls.key", "-subj", "/CN=smtp", "-out", directory / "request")
    openssl("x509", "-req", "-in", directory / "request", "-CA", authority / "ca.crt", "-CAkey", authority / "ca.key",
            "-days", "29", "-out", directory / "short.crt")
    (directory / "short.crt").replace(directory / "smtp/tls.crt")
    assert changed() == {"smtp/tls.crt", "smtp/tls.key"}


def test_an_authority_that_ends_is_said_and_kept(directory):
    authority = directory / "authority"
    openssl("req", "-x509", "-key", authority / "ca.key", "-subj", "/CN=old", "-days", "29", "-out", directory / "old.crt")
    (directory / "old.crt").replace(authority / "ca.crt")
    before = contents(directory)
    make(directory, *NAMES, status=1)
    assert contents(directory) == before


def test_without_arguments_it_says_how(tmp_path):
    done = subprocess.run([SCRIPT], capture_output=True, text=True)
    assert done.returncode == 2 and "certificates.sh DIRECTORY" in done.stderr
