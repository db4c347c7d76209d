"""Bad input gets one clear answer, crashes nothing and loses nothing."""

import os
import random
import shutil
import subprocess

import pytest

import harness
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
        assert front.program.memory("VmRSS") - before < 16 << 20
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

    def test_one_of_a_newer_format_is_refused_and_unchanged(self, store):
        store.program.stop()
        version = next(p for p in store.data_dir.iterdir() if p.name.upper().startswith(("FORMAT", "VERSION")))
        text = version.read_text()
        number = next(word for word in text.replace("=", " ").replace(":", " ").split() if word.isdigit())
        version.write_text(text.replace(number, "999", 1))
        before = {p: p.stat().st_mtime_ns for p in store.data_dir.rglob("*") if p.is_file()}
        line = self.start(store.data_dir)
        assert "999" in line and str(store.data_dir) in line
        assert {p: p.stat().st_mtime_ns for p in store.data_dir.rglob("*") if p.is_file()} == before

    def test_one_that_cannot_be_written_is_refused(self, store, directory):
        store.program.stop()
        nobody = 65534 if os.getuid() == 0 else None
        # The build may lie where nobody else may look.
        program = shutil.copy(harness.PROGRAMS["restante-store"], directory / "restante-store")
        for path in [store.data_dir, *store.data_dir.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run([program, "--data-dir", store.data_dir, "--listen", "127.0.0.1:0"], user=nobody,
                              capture_output=True, env=harness.environment(), cwd="/", timeout=harness.PATIENCE)
        assert done.returncode > 0
        assert str(store.data_dir) in done.stderr.decode() and len(done.stderr.decode().splitlines()) == 1, done.stderr


def test_a_port_that_is_taken_is_named(front, directory):
    _, line = refused("restante-smtp", "--store", "127.0.0.1:1", "--smtp-listen", front.smtp, "--lmtp-listen",
                      "127.0.0.1:0")
    assert front.smtp in line and "in use" in line


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
