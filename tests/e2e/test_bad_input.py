"""Bad input gets one clear answer, crashes nothing and loses nothing."""

import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile

import pytest

import harness
from api import Api
from smtp_client import Lost, Smtp, message, stuffed


@pytest.fixture
def alice(api):
    api.create_domain()
    api.create_mailbox("alice@example.org")


def assert_alive(front, api):
    with Smtp(front.smtp) as smtp:
        before = api.usage("alice@example.org").messages
        assert smtp.deliver("alice@example.org", message(1_000)) == "250 2.0.0"
        assert api.usage("alice@example.org").messages == before + 1
    api.assert_exact("alice@example.org")


def test_garbage_is_answered_or_cut_off_and_nothing_is_stored(front, api, alice):
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)
    choose = random.Random(seed)
    for size in (1, 100, 10_000, 1_000_000):
        with Smtp(front.smtp, helo=None) as smtp:
            try:
                smtp.send(choose.randbytes(size) + b"\r\nQUIT\r\n")
                while smtp.reply().code != 221:
                    pass
            except Lost:
                pass
    assert api.usage("alice@example.org").messages == 0
    assert_alive(front, api)


def test_an_endless_line_gets_one_500_and_costs_no_memory(front, api, alice):
    with Smtp(front.smtp) as smtp:
        before = front.program.memory("VmRSS")
        for _ in range(500):
            smtp.send(b"x" * 100_000)
        smtp.send(b"\r\nNOOP\r\n")
        assert smtp.reply().code == 500
        assert smtp.reply() == "250 2.0.0"
        assert front.program.memory("VmRSS") - before < harness.MEMORY_FACTOR * (16 << 20)
    assert_alive(front, api)


def test_each_command_out_of_order_is_503(front, api, alice):
    with Smtp(front.smtp, helo=None) as smtp:
        assert smtp.mail().code == 503
        assert smtp.command("EHLO client.example.net") == 250
        assert smtp.rcpt("alice@example.org") == "503 5.5.1"
        assert smtp.data() == "503 5.5.1"
        assert smtp.mail() == 250
        assert smtp.mail() == "503 5.5.1"
        assert smtp.data() == "503 5.5.1"
        assert smtp.rcpt("nobody@example.org") == "550 5.1.1"
        assert smtp.data() == "503 5.5.1"
        assert smtp.rcpt("alice@example.org") == 250
    assert_alive(front, api)


@pytest.mark.parametrize("line, code", [
    ("", 500), ("XYZZY", 500), ("MAIL", 501), ("MAIL FROM:alice", 501), ("MAIL FROM:<a@b> SIZE=x", 501),
    ("MAIL FROM:<a@b> SIZE=-1", 501), ("MAIL FROM:<a@b> SIZE=99999999999999999999999", 501),
    ("MAIL FROM:<a@b> NONSENSE=1", 555), ("MAIL FROM:<a@b", 501), ("HELO", 501), ("EHLO", 501), ("NOOP a b", 501),
])
def test_wrong_syntax_gets_its_code(front, api, alice, line, code):
    with Smtp(front.smtp) as smtp:
        assert smtp.command(line).code == code
        assert smtp.command("NOOP") == 250


def test_only_a_dot_between_two_crlf_ends_the_text(front, api, alice):
    ends = [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n"]
    with Smtp(front.smtp) as smtp:
        for end in ends:
            assert smtp.mail() == 250
            assert smtp.rcpt("alice@example.org") == 250
            assert smtp.data() == 354
            smtp.send(b"Subject: smuggled\r\n\r\nfirst" + end + b"MAIL FROM:<evil@example.net>\r\nRSET\r\n.\r\n")
            assert smtp.reply().code in (250, 550), end
            assert smtp.command("NOOP") == 250, f"one reply too many after {end}"
    for text in api.texts("alice@example.org"):
        assert b"MAIL FROM:<evil@example.net>\r\n" in text


def test_pipelined_commands_get_one_reply_each_in_order(front, api, alice):
    text = message(1_000)
    with Smtp(front.smtp) as smtp:
        smtp.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
        assert [smtp.reply().code for _ in range(4)] == [250, 550, 250, 354]
        smtp.send(stuffed(text) + b"MAIL FROM:<a@example.net>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\nQUIT\r\n")
        assert [smtp.reply().code for _ in range(5)] == [250, 250, 550, 503, 221]
        assert smtp.ended()
    assert api.texts("alice@example.org")[0].endswith(text)


def refused(program, *args):
    """Its one line on standard error; exit status 2 or 1, nothing on standard output."""
    done = subprocess.run([harness.PROGRAMS[program], *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          env=harness.environment(), timeout=harness.PATIENCE)
    assert done.returncode not in (0, None) and done.returncode > 0, done
    assert done.stdout == b"", done.stdout
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return done.returncode, lines[0]


@pytest.mark.parametrize("program, needed", [("restante-store", ["--data-dir", "/nonexistent"]), ("restante-smtp", [])])
class TestOptions:
    @pytest.mark.parametrize("args, named", [
        (["--nonsense"], "--nonsense"), (["--max-message=5X", "--smtp-max-x"], "--"), (["word"], "word"),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml"),
    ])
    def test_a_bad_flag_is_named(self, program, needed, args, named):
        status, line = refused(program, *needed, *args)
        assert status == 2 and named in line, line

    def test_a_bad_key_is_named_with_its_line(self, program, needed, directory):
        config = directory / "restante.toml"
        config.write_text("\nnonsense = 1\n")
        status, line = refused(program, *needed, "--config", config)
        assert status == 2 and f"{config}:2" in line and "nonsense" in line

    def test_help_and_version_succeed(self, program, needed):
        for flag in ("--help", "--version"):
            done = subprocess.run([harness.PROGRAMS[program], flag], capture_output=True, timeout=harness.PATIENCE)
            assert done.returncode == 0 and program.encode() in done.stdout and done.stderr == b""

    def test_a_bad_address_to_listen_on_is_named(self, program, needed, directory):
        flag = "--listen" if program == "restante-store" else "--smtp-listen"
        needed = ["--data-dir", directory / "data", "--create"] if program == "restante-store" else []
        for address in ("nonsense", "127.0.0.1:99999", "192.0.2.1:0"):
            _, line = refused(program, *needed, flag, address)
            assert address in line, line


@pytest.mark.parametrize("args, says", [
    (["--engine", "rados", "--pool-index", ""], "--pool-index: is empty"),
    (["--engine", "rados", "--ceph-user", "a,b"], "--ceph-user a,b: may have letters"),
    (["--engine", "rados", "--restore", "/backup"], "--restore: needs --engine embedded"),
    (["--data-dir", "/nonexistent", "--ceph-keyring", "/key"], "--ceph-keyring needs --engine rados"),
    (["--engine", "memory", "--allow-min-size-1"], "--allow-min-size-1 needs --engine rados"),
    (["init-cluster", "--size", "11"], "--size 11: 1 to 10"),
    (["init-cluster", "--size", "1"], "--allow-min-size-1 allows it"),
    (["init-cluster", "--data-dir", "/nonexistent"], "--data-dir"),
])
def test_what_does_not_fit_a_ceph_cluster_is_named(args, says):
    status, line = refused("restante-store", *args)
    assert status == 2 and says in line, line


class TestDataDirectory:
    def start(self, directory, *more):
        return refused("restante-store", "--data-dir", directory, "--listen", "127.0.0.1:0", *more)[1]

    def test_a_missing_one_without_create_is_refused(self, directory):
        line = self.start(directory / "absent")
        assert str(directory / "absent") in line and "--create" in line
        assert not (directory / "absent").exists()

    def test_an_empty_one_without_create_is_refused(self, directory):
        (directory / "data").mkdir()
        line = self.start(directory / "data")
        assert str(directory / "data") in line and "--create" in line
        assert list((directory / "data").iterdir()) == []

    def test_one_with_the_files_of_others_is_left_alone(self, directory):
        (directory / "data").mkdir()
        (directory / "data/thesis.tex").write_text("mine")
        for more in ((), ("--create",)):
            assert str(directory / "data") in self.start(directory / "data", *more)
        assert [p.name for p in (directory / "data").iterdir()] == ["thesis.tex"]

    def test_a_file_in_its_place_is_refused(self, directory):
        (directory / "data").write_text("a file")
        assert str(directory / "data") in self.start(directory / "data", "--create")

    def test_one_that_is_in_use_is_refused(self, store, api, alice):
        line = self.start(store.data_dir)
        assert str(store.data_dir) in line and "use" in line
        assert api.usage("alice@example.org").messages == 0


@pytest.fixture(scope="module")
def sound():
    """A data directory with mail in three segments and one large body, not in use."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="restante-e2e-"))
    directory.chmod(0o755)
    store = harness.Store(directory, "--max-disk", "64M")
    api = Api(store.address)
    api.ready()
    api.create_domain()
    api.create_mailbox("alice@example.org")
    front = harness.Front(directory, store.address)
    with Smtp(front.smtp) as smtp:
        for size in [200_000] * 15 + [5_000_000]:
            assert smtp.deliver("alice@example.org", message(size, seed=size)) == "250 2.0.0"
    api.close()
    assert front.program.stop() == store.program.stop() == 0
    assert len(list((store.data_dir / "segments").iterdir())) >= 3
    yield store.data_dir
    shutil.rmtree(directory, ignore_errors=True)


def copy(sound, data):
    shutil.copytree(sound, data, ignore=shutil.ignore_patterns("ballast"))
    return data


def segment(data, index):
    return sorted((data / "segments").iterdir())[index]


def truncate(path, size):
    os.truncate(path, size)


def chown_all(data, user):
    for path in [data, *data.rglob("*")]:
        os.chown(path, user, user)


# What is done to a sound directory, and what the one line has to say.
DAMAGES = {
    "a foreign file in the root": (lambda d: (d / "notes.txt").write_text("x"), ["notes.txt", "move it away"]),
    "a foreign file in segments": (lambda d: (d / "segments/x.log").write_text("x"), ["segments/x.log"]),
    "a foreign file in bodies": (lambda d: (d / "bodies/x.body").write_text("x"), ["bodies/x.body"]),
    "a foreign file in index": (lambda d: (d / "index/x.ldb").write_text("x"), ["index/x.ldb"]),
    "no first segment": (lambda d: segment(d, 0).unlink(), ["0000000000000001.log", "missing", "backup"]),
    "no middle segment": (lambda d: segment(d, 1).unlink(), ["0000000000000002.log", "missing", "backup"]),
    "no last segment": (lambda d: segment(d, -1).unlink(), ["missing", "backup"]),
    "a shorter last segment": (lambda d: truncate(segment(d, -1), segment(d, -1).stat().st_size - 1), ["segments"]),
    "no segments": (lambda d: shutil.rmtree(d / "segments"), ["segments is missing"]),
    "no bodies": (lambda d: shutil.rmtree(d / "bodies"), ["bodies is missing"]),
    "no index": (lambda d: shutil.rmtree(d / "index"), ["the index is missing", "--rebuild-index"]),
    "no CURRENT": (lambda d: (d / "index/CURRENT").unlink(), ["the index is missing", "--rebuild-index"]),
    "an empty CURRENT": (lambda d: truncate(d / "index/CURRENT", 0), ["the index is damaged", "--rebuild-index"]),
    "no MANIFEST": (lambda d: next((d / "index").glob("MANIFEST*")).unlink(), ["is damaged", "--rebuild-index"]),
    "an empty MANIFEST": (lambda d: truncate(next((d / "index").glob("MANIFEST*")), 0), ["is damaged", "--rebuild-index"]),
    "half a MANIFEST": (lambda d: truncate(next((d / "index").glob("MANIFEST*")), 30), ["is damaged", "--rebuild-index"]),
    "no table": (lambda d: next((d / "index").glob("*.ldb")).unlink(), ["is damaged", "--rebuild-index"]),
    "no FORMAT": (lambda d: (d / "FORMAT").unlink(), ["no FORMAT"]),
    "an empty FORMAT": (lambda d: (d / "FORMAT").write_text(""), ["FORMAT", "0 bytes"]),
    "rubbish in FORMAT": (lambda d: (d / "FORMAT").write_bytes(os.urandom(999)), ["FORMAT", "999 bytes"]),
    "a newer format": (lambda d: (d / "FORMAT").write_text("restante format 999\n"), ["format 999", "up to"]),
    "a directory for a file": (lambda d: ((d / "LOCK").unlink(), (d / "LOCK").mkdir()), ["LOCK"]),
}
if os.getuid() == 0:
    DAMAGES["another owner"] = (lambda d: chown_all(d, 12345), ["user id 12345", "user id 0"])
    DAMAGES["another owner of the store alone"] = (
        lambda d: (chown_all(d, 12345), os.chown(d, 0, 0)), ["user id 12345", "user id 0"])


def listing(directory):
    """Everything that a program could change of it."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        stat = path.lstat()
        found[path] = (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime_ns, stat.st_ino,
                       path.read_bytes() if path.is_file() else None)
    return found


class TestDamagedDataDirectory:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_it_is_named_and_nothing_is_changed(self, sound, directory, damage):
        data = copy(sound, directory / "data")
        do, words = DAMAGES[damage]
        do(data)
        before = listing(directory)
        for more in ((), ("--create",)):
            status, line = refused("restante-store", "--data-dir", data, "--listen", "127.0.0.1:0", *more)
            assert status == 1 and line.startswith(f"restante-store: {data}"), line
            assert not [word for word in words if word not in line], line
            assert listing(directory) == before, line

    def test_one_that_cannot_be_read_or_written_is_refused(self, sound, directory):
        data = copy(sound, directory / "data")
        if os.getuid() == 0:
            chown_all(data, 65534)
        # The build may lie where nobody else may look.
        program = shutil.copy(harness.PROGRAMS["restante-store"], directory / "restante-store")

        def refusal():
            done = subprocess.run([program, "--data-dir", data, "--listen", "127.0.0.1:0"], capture_output=True,
                                  user=65534 if os.getuid() == 0 else None, env=harness.environment(), cwd="/",
                                  timeout=harness.PATIENCE)
            assert done.returncode == 1 and len(done.stderr.decode().splitlines()) == 1, done
            return done.stderr.decode()

        for name in ("", "segments", "bodies", "index", "FORMAT", "LOCK", "index/CURRENT"):
            path = data / name
            mode = path.stat().st_mode
            path.chmod(0o500 if path.is_dir() else 0o400)
            before = listing(data)
            line = refusal()
            assert str(data) in line and (name or "it") in line and "chown" in line, line
            assert listing(data) == before
            path.chmod(mode)

    def test_one_on_a_read_only_file_system_is_refused(self, sound, directory):
        volume = harness.Volume(directory, 64, 1000)
        try:
            copy(sound, volume.path / "data")
            volume.make_read_only()
            status, line = refused("restante-store", "--data-dir", volume.path / "data", "--listen", "127.0.0.1:0")
            assert status == 1 and "read-only" in line and str(volume.path / "data") in line
        finally:
            volume.close()

    def test_a_link_to_a_sound_one_is_followed_and_a_lost_index_is_made_again(self, sound, directory, start):
        copy(sound, directory / "elsewhere")
        shutil.rmtree(directory / "elsewhere/index")
        (directory / "data").symlink_to("elsewhere")
        store = start(harness.Store, "--rebuild-index")
        api = Api(store.address)
        api.ready()
        assert api.usage("alice@example.org").messages == 16
        api.assert_exact("alice@example.org")
        assert api.problems() == []
        api.close()


def test_a_port_that_is_taken_is_named(front, directory):
    _, line = refused("restante-smtp", "--store", "127.0.0.1:1", "--smtp-listen", front.smtp, "--lmtp-listen",
                      "127.0.0.1:0")
    assert front.smtp in line and "in use" in line


def test_a_front_end_speaks_one_protocol_only_if_told_so(store, directory):
    args = ["--store", store.address, "--smtp-listen", "none", "--policy-listen", "none", "--socketmap-listen", "none",
            "--ops-listen", "none", "--lmtp-listen"]
    front = harness.Program("restante-smtp", [*args, "127.0.0.1:0"], directory / "lmtp.log", ["lmtp"])
    front.stop()
    _, line = refused("restante-smtp", *args, "none")
    assert "no option names an address" in line


def test_a_default_address_that_is_taken_does_not_keep_a_front_end_from_its_mail(store, directory):
    taken = []
    for port in (2452, 2453):
        taken.append(socket.socket())
        try:
            taken[-1].bind(("127.0.0.1", port))
            taken[-1].listen()
        except OSError:
            pass  # By somebody else, then.
    front = harness.Program(
        "restante-smtp", ["--store", store.address, "--smtp-listen", "127.0.0.1:0", "--lmtp-listen", "127.0.0.1:0"],
        directory / "second.log", ["smtp", "lmtp"])
    try:
        for port, option in ((2452, "--policy-listen"), (2453, "--socketmap-listen")):
            assert any(option in line and f"127.0.0.1:{port}" in line and "in use" in line
                       for line in front.log_text().splitlines()), front.log_text()
    finally:
        front.stop()
        for one in taken:
            one.close()


class TestCommandLine:
    @pytest.mark.parametrize("args, status", [
        ([], 2), (["nonsense"], 2), (["mailbox"], 2), (["mailbox", "create"], 2), (["quota", "show"], 2),
        (["mailbox", "create", "alice@example.org", "--bytes", "5X"], 2),
        (["mailbox", "show", "nobody@example.org"], 1), (["domain", "create", "bad domain"], 1),
        (["message", "cat", "alice@example.org", "77"], 1),
    ])
    def test_what_is_wrong_has_a_status_and_a_reason(self, cli, alice, args, status):
        done = cli.run(*args)
        assert done.returncode == status, done
        assert done.stderr.strip() and done.stdout == b""

    def test_a_store_that_is_not_there_is_3(self):
        done = harness.Cli("127.0.0.1:1").run("status")
        assert done.returncode == 3 and b"127.0.0.1:1" in done.stderr, done
