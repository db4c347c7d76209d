"""Moving house: Maildirs, mbox files and single messages go in and come out again."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

import harness
import maildirs
from smtp_client import Smtp, message

# Long enough to be taken.
TOKENS = {name: f"the-token-of-the-caller-{name}" for name in ("first", "second")}
ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture
def house(api, cli):
    """Two mailboxes without mail."""
    cli("domain", "create", "example.org")
    for address in (ALICE, BOB):
        cli("mailbox", "create", address)


@pytest.fixture
def run(cli):
    """run(word...): the one record that the command prints."""
    return lambda *words, **more: json.loads(cli("--output", "json", *words, **more))


def tree(path, count, seed=None):
    """A Maildir of made-up messages, and what is in it."""
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"seed {seed}")
    maildirs.make(path, count, seed)
    return maildirs.read(path)


def begin(cli, *words):
    """The command line as a process that a test may kill."""
    return subprocess.Popen([harness.PROGRAMS["restante"], "--store", cli.store_address, *map(str, words)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=harness.environment())


def kill_in_the_middle(process, is_in_the_middle):
    """kill -9 once something is done; whether the process had not ended by itself before."""
    try:
        harness.poll(lambda: is_in_the_middle() or process.poll() is not None, "the middle", interval=0.001)
    finally:
        process.kill()
        process.communicate()
    return process.returncode == -signal.SIGKILL


class Timer:
    def __init__(self, what, count):
        self.what, self.count = what, count

    def __enter__(self):
        self.begun = time.monotonic()

    def __exit__(self, *_):
        took = time.monotonic() - self.begun
        print(f"{self.what}: {self.count} messages in {took:.1f} s, {self.count / took:.0f}/s")


def test_a_maildir_goes_through_two_stores_and_compares_equal(house, api, cli, run, directory):
    """RESTANTE_MOVE_MESSAGES=100000 is what `./dev move` runs."""
    count = int(os.environ.get("RESTANTE_MOVE_MESSAGES", "2000"))
    before = tree(directory / "old", count)
    with Timer("import of a Maildir of Dovecot's", count):
        done = run("import", "maildir", directory / "old", "--to", ALICE)
    assert (done["imported_messages"], done["failed_messages"]) == (count, 0)
    with Timer("export", count):
        run("export", "maildir", directory / "one", "--from", ALICE)
    maildirs.assert_same(before, maildirs.read(directory / "one", maildirs.exported_text))
    with Timer("import of our own", count):
        run("import", "maildir", directory / "one", "--to", BOB)
    with Timer("export", count):
        run("export", "maildir", directory / "two", "--from", BOB)
    # Octet for octet, with Return-Path and Delivered-To.
    whole = lambda octets: octets  # noqa: E731
    maildirs.assert_same(maildirs.read(directory / "one", whole), maildirs.read(directory / "two", whole))
    with Timer("a repeat, which finds everything there", count):
        again = run("import", "maildir", directory / "old", "--to", ALICE)
    assert (again["imported_messages"], again["present_messages"]) == (0, count)
    assert api.usage(ALICE) == api.usage(BOB)
    assert api.problems() == []
    if count <= 10_000:
        api.assert_exact(ALICE)


def test_mail_that_came_by_smtp_comes_back_with_its_envelope(front, house, api, run, directory):
    texts = [message(4_000, seed=1), b"Subject: bare\r\n\r\na\rb\nc\r\n", b"Subject: 8 bit\r\n\r\n\0\xff\r\n"]
    with Smtp(front.smtp) as smtp:
        for text in texts:
            assert smtp.deliver("alice+tag@example.org", text) == "250 2.0.0"
    run("export", "maildir", directory / "maildir", "--from", ALICE)
    run("import", "maildir", directory / "maildir", "--to", BOB)
    assert sorted(api.texts(ALICE)) == sorted(api.texts(BOB))
    for old, new in zip(sorted(api.messages(ALICE), key=lambda m: m.crc32c),
                        sorted(api.messages(BOB), key=lambda m: m.crc32c)):
        assert (new.sender, new.recipient, new.arrival_time) == (old.sender, "alice+tag@example.org", old.arrival_time)
        assert new.sender != ""


class TestInterrupted:
    def test_an_import_killed_in_the_middle_goes_on_and_each_message_is_there_once(self, house, api, cli, run, directory):
        count = 700
        before = tree(directory / "old", count)
        for _ in range(3):
            there = api.usage(ALICE).messages
            process = begin(cli, "import", "maildir", directory / "old", "--to", ALICE)
            assert kill_in_the_middle(process, lambda: api.usage(ALICE).messages > there)
            assert there < api.usage(ALICE).messages < count
        # Meanwhile the old server has set a flag, and moved files from new to cur.
        for file in list((directory / "old/new").iterdir()):
            file.rename(directory / "old/cur" / f"{file.name}:2,F")
        done = run("import", "maildir", directory / "old", "--to", ALICE)
        assert 0 < done["present_messages"] < count == done["imported_messages"] + done["present_messages"]
        assert done["failed_messages"] == 0
        run("export", "maildir", directory / "new", "--from", ALICE)
        texts = lambda mails: sorted((m.folder, m.text) for m in mails.elements())  # noqa: E731
        assert texts(before) == texts(maildirs.read(directory / "new", maildirs.exported_text))
        api.assert_exact(ALICE)

    def test_a_store_killed_in_the_middle_loses_and_doubles_nothing(self, house, api, cli, run, store, directory):
        count = 700
        before = tree(directory / "old", count)
        process = begin(cli, "import", "maildir", directory / "old", "--to", ALICE)
        harness.poll(lambda: api.usage(ALICE).messages > 0, "the middle", interval=0.001)
        store.kill9()
        _, error = process.communicate(timeout=harness.PATIENCE * 2)
        assert process.returncode == 3 and b"the same command goes on behind them" in error
        store.start()
        api.ready()
        assert 0 < api.usage(ALICE).messages < count
        done = run("import", "maildir", directory / "old", "--to", ALICE)
        assert done["imported_messages"] + done["present_messages"] == count
        run("export", "maildir", directory / "new", "--from", ALICE)
        maildirs.assert_same(before, maildirs.read(directory / "new", maildirs.exported_text))
        assert api.problems() == []

    def test_what_was_deleted_in_the_store_does_not_come_again_within_a_day(self, house, api, cli, run, directory):
        tree(directory / "old", 10)
        run("import", "maildir", directory / "old", "--to", ALICE)
        cli("message", "delete", ALICE, 3, 4)
        done = run("import", "maildir", directory / "old", "--to", ALICE)
        assert (done["imported_messages"], done["present_messages"]) == (0, 10)
        assert api.usage(ALICE).messages == 8

    @pytest.mark.parametrize("remembers", [True, False])
    def test_who_has_no_receipt_sees_what_is_there_and_by_the_journal_what_was(self, start, directory, remembers):
        """Receipts are of one caller: another finds none, as after a day."""
        (directory / "callers.toml").write_text("".join(
            f'[[caller]]\nname = "{name}"\nroles = ["operator", "reader"]\n'
            f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n' for name, token in TOKENS.items()))
        for name, token in TOKENS.items():
            (directory / name).write_text(token)
            (directory / name).chmod(0o600)
        store = start(harness.Store, "--callers", directory / "callers.toml")

        def run(name, *words):
            return harness.Cli(store.address)("--store-token-file", directory / name, "--output", "json", *words)

        run("first", "domain", "create", "example.org")
        run("first", "mailbox", "create", ALICE)
        tree(directory / "old", 40)
        words = ["import", "maildir", directory / "old", "--to", ALICE]
        if remembers:
            words += ["--journal", directory / "journal"]
        assert json.loads(run("first", *words))["imported_messages"] == 40
        run("first", "message", "delete", ALICE, 5, 6)
        done = json.loads(run("second", *words))
        assert done["present_messages"] == (40 if remembers else 38)
        assert done["imported_messages"] == (0 if remembers else 2)
        if remembers:
            with (directory / "journal").open("a") as journal:
                journal.write("torn")
            assert json.loads(run("second", *words))["present_messages"] == 40


class TestFull:
    def test_a_full_mailbox_ends_it_with_numbers_and_a_repeat_goes_on(self, house, api, cli, run, directory):
        before = tree(directory / "old", 200)
        cli("mailbox", "set", ALICE, "--messages", 60)
        done = cli.run("import", "maildir", directory / "old", "--to", ALICE)
        error = done.stderr.decode()
        assert done.returncode == 1
        assert "needs 1 messages" in error and "limit 60, used " in error and "needed 1" in error
        assert str(directory / "old") in error, "which file"
        held = api.usage(ALICE).messages
        assert f"{held} messages are in; the same command goes on behind them" in error
        assert held == 60
        cli("mailbox", "set", ALICE, "--messages", "unlimited")
        assert run("import", "maildir", directory / "old", "--to", ALICE)["imported_messages"] == 140
        run("export", "maildir", directory / "new", "--from", ALICE)
        maildirs.assert_same(before, maildirs.read(directory / "new", maildirs.exported_text))

    def test_ignoring_the_quota_is_charged_and_leaves_no_room(self, front, house, api, cli, run, directory):
        tree(directory / "old", 30)
        cli("mailbox", "set", ALICE, "--bytes", "10K")
        assert run("import", "maildir", directory / "old", "--to", ALICE, "--ignore-quota")["imported_messages"] == 30
        api.assert_exact(ALICE)
        assert api.usage(ALICE).bytes > 10 << 10
        with Smtp(front.smtp) as smtp:
            assert smtp.deliver(ALICE, message(2_000)) == "452 4.2.2"
        assert api.problems() == []


def test_what_cannot_be_read_is_named_and_counted_and_the_rest_goes_in(start, directory):
    store = start(harness.Store, "--max-message", "100K")
    cli = harness.Cli(store.address)
    cli("domain", "create", "example.org")
    cli("mailbox", "create", ALICE)
    tree(directory / "old", 20)
    cur = directory / "old/cur"
    (cur / "1.large:2,S").write_bytes(b"x" * 200_000)
    (cur / "2.link:2,S").symlink_to("/etc/passwd")
    os.mkfifo(cur / "3.fifo:2,S")
    (directory / "old/..bad/cur").mkdir(parents=True)
    (directory / "old/.Ctrl&AAk-/cur").mkdir(parents=True)
    (directory / "old/.Ctrl&AAk-/cur/4.control:2,").write_bytes(b"Subject: x\n\n")
    done = cli.run("--output", "json", "import", "maildir", directory / "old", "--to", ALICE)
    figures, error = json.loads(done.stdout), done.stderr.decode()
    assert done.returncode == 1
    assert (figures["imported_messages"], figures["failed_messages"]) == (20, 5)
    for name in ("1.large", "2.link", "3.fifo", "..bad", "4.control"):
        assert name in error
    assert "has 200000 bytes, the store takes 102400 at most" in error
    assert "5 messages could not be imported" in error


def test_a_message_that_a_server_is_moving_is_one(house, api, run, directory):
    for part in ("new", "cur"):
        (directory / "old" / part).mkdir(parents=True)
    (directory / "old/new/1.a").write_bytes(b"Subject: x\n\n")
    os.link(directory / "old/new/1.a", directory / "old/cur/1.a:2,S")
    done = run("import", "maildir", directory / "old", "--to", ALICE)
    assert (done["imported_messages"], done["present_messages"]) == (1, 1)
    assert api.usage(ALICE).messages == 1


def test_a_store_that_takes_few_at_once_only_makes_it_slower(start, directory):
    store = start(harness.Store, "--deliveries-per-mailbox", "2")
    cli = harness.Cli(store.address)
    cli("domain", "create", "example.org")
    cli("mailbox", "create", ALICE)
    tree(directory / "old", 200)
    done = json.loads(cli("--output", "json", "import", "maildir", directory / "old", "--to", ALICE))
    assert (done["imported_messages"], done["failed_messages"]) == (200, 0)


def test_a_move_is_hold_import_active(front, house, api, cli, run, directory):
    tree(directory / "old", 20)
    cli("mailbox", "set", ALICE, "--state", "hold")
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver(ALICE, message(1_000)) == "450 4.2.1"
        assert run("import", "maildir", directory / "old", "--to", ALICE)["imported_messages"] == 20
        assert smtp.deliver(ALICE, message(1_000)) == "450 4.2.1"
        cli("mailbox", "set", ALICE, "--state", "active")
        assert smtp.deliver(ALICE, message(1_000)) == "250 2.0.0"
    assert api.usage(ALICE).messages == 21


def test_messages_are_listed_with_folder_and_flags(house, api, cli, directory):
    cur = directory / "old/.Lists.IETF/cur"
    cur.mkdir(parents=True)
    (directory / "old/new").mkdir()
    (directory / "old/new/1").write_bytes(b"Subject: one\n\n")
    (cur / "2:2,FS").write_bytes(b"Subject: two\n\n")
    cli("import", "maildir", directory / "old", "--to", ALICE)
    listed = [json.loads(line) for line in cli("--output", "json", "message", "list", ALICE).splitlines()]
    assert {(m["folder"], m["flags"]) for m in listed} == {("INBOX", ""), ("Lists/IETF", "flagged,seen")}
    only = json.loads(cli("--output", "json", "message", "list", ALICE, "--folder", "Lists/IETF"))
    assert b"flagged,seen" in cli("message", "list", ALICE)
    assert cli("message", "cat", ALICE, only["uid"], "--folder", "Lists/IETF") == b"Subject: two\r\n\r\n"
    assert cli.run("message", "cat", ALICE, only["uid"]).returncode == 1
    assert cli.run("message", "list", ALICE, "--folder", "Sent").returncode == 1


class TestIncremental:
    """An existing IMAP server is fed by a timer."""

    @pytest.fixture
    def feed(self, run, directory):
        return lambda: run("export", "maildir", directory / "imap", "--from", ALICE, "--incremental")["written_messages"]

    @pytest.fixture
    def deliver(self, front):
        def deliver(count, seed):
            with Smtp(front.smtp) as smtp:
                for i in range(count):
                    assert smtp.deliver(ALICE, message(2_000, seed=seed + i)) == "250 2.0.0"
        return deliver

    def test_a_repeat_adds_only_what_is_new_wherever_the_rest_is_now(self, house, deliver, feed, directory):
        imap = directory / "imap"
        deliver(6, seed=0)
        assert feed() == 6
        # What a server and its user do.
        files = sorted((imap / "new").iterdir())
        (imap / ".Saved/cur").mkdir(parents=True)
        files[0].rename(imap / "cur" / f"{files[0].name}:2,S")
        files[1].rename(imap / ".Saved/cur" / f"{files[1].name}:2,FS")
        files[2].rename(imap / ".Saved/cur/another.name:2,S")
        files[3].unlink()
        assert feed() == 0
        deliver(2, seed=10)
        assert feed() == 2
        assert feed() == 0
        assert len(maildirs.files_of(imap)) == 7

    def test_what_a_killed_run_left_is_finished_and_nothing_comes_twice(self, house, api, cli, run, feed, directory):
        tree(directory / "old", 1100)
        run("import", "maildir", directory / "old", "--to", ALICE)
        imap, seen, killed = directory / "imap", set(), 0

        def delete_all():
            """Its user deletes at once what he sees."""
            for file in maildirs.files_of(imap):
                name = file.name.partition(":")[0]
                assert name not in seen, "it came again"
                seen.add(name)
                file.unlink()

        for _ in range(4):
            process = begin(cli, "export", "maildir", imap, "--from", ALICE, "--incremental")
            killed += kill_in_the_middle(process, lambda: maildirs.files_of(imap) and True)
            delete_all()
        assert killed > 0, "all runs had ended before"
        feed()
        delete_all()
        assert len(seen) == 1100 and list((imap / "tmp").iterdir()) == []

    def test_a_page_that_was_being_moved_is_moved_to_its_end(self, house, deliver, feed, directory):
        """As a crash in step 3 leaves it (export_state.h)."""
        imap = directory / "imap"
        deliver(6, seed=0)
        feed()
        moved = sorted((imap / "new").iterdir())
        for file in moved[:2]:
            file.rename(imap / "tmp" / file.name)
        moved[2].unlink()  # Seen, and deleted by its user.
        state, = imap.glob("restante-export-*")
        assert "uid 6\nmoving_from 6\n" in state.read_text()
        state.write_text(state.read_text().replace("moving_from 6", "moving_from 0"))
        deliver(1, seed=10)
        assert feed() == 3
        assert len(maildirs.files_of(imap)) == 6 and not moved[2].exists()
        assert feed() == 0

    def test_a_run_does_not_wait_for_the_one_before(self, house, deliver, feed, cli, directory):
        deliver(1, seed=0)
        feed()
        deliver(1, seed=1)
        lock = os.open(directory / "imap", os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cli.run("export", "maildir", directory / "imap", "--from", ALICE, "--incremental")
        assert done.returncode == 1 and b"another export --incremental is at work" in done.stderr
        os.close(lock)
        assert feed() == 1

    def test_a_broken_state_stops_it(self, house, deliver, feed, cli, directory):
        deliver(1, seed=0)
        feed()
        state, = (directory / "imap").glob("restante-export-*")
        state.write_text("uid 5\n")
        done = cli.run("export", "maildir", directory / "imap", "--from", ALICE, "--incremental")
        assert done.returncode == 1 and state.name.encode() in done.stderr


class TestMbox:
    def test_a_mailbox_goes_through_an_mbox_and_is_the_same(self, house, api, cli, run, directory):
        tree(directory / "old", 300)
        run("import", "maildir", directory / "old", "--to", ALICE)
        assert run("export", "mbox", directory / "m.mbox", "--from", ALICE)["written_messages"] == 300
        assert run("import", "mbox", directory / "m.mbox", "--to", BOB)["imported_messages"] == 300
        assert sorted(api.texts(ALICE)) == sorted(api.texts(BOB))
        seconds = lambda address: sorted((m.crc32c, m.arrival_time.seconds) for m in api.messages(address))  # noqa: E731
        assert seconds(ALICE) == seconds(BOB)
        # By standard output and input it is the same file, and what is there is not sent again.
        piped = cli("export", "mbox", "-", "--from", ALICE)
        assert piped == (directory / "m.mbox").read_bytes()
        assert run("import", "mbox", "-", "--to", BOB, stdin=piped)["present_messages"] == 300
        assert cli.run("export", "mbox", directory / "m.mbox", "--from", ALICE).returncode == 2, "it is there already"

    def test_equal_messages_are_as_many_as_they_are(self, house, api, run):
        mbox = b"From a@b.c Tue Nov 14 22:13:20 2023\nSubject: x\n\nx\n\n" * 3
        assert run("import", "mbox", "-", "--to", ALICE, "--folder", "Old", stdin=mbox)["imported_messages"] == 3
        assert run("import", "mbox", "-", "--to", ALICE, "--folder", "Old", stdin=mbox)["present_messages"] == 3
        stored = api.messages(ALICE)
        assert [(m.sender, m.arrival_time.seconds) for m in stored] == [("a@b.c", 1_700_000_000)] * 3
        assert stored[0].name.endswith("/folders/Old/messages/1")

    def test_what_is_no_mbox_is_wrong_usage(self, house, cli, api):
        done = cli.run("import", "mbox", "-", "--to", ALICE, stdin=b"Subject: x\n\nx\n")
        assert done.returncode == 2 and b"standard input: is no mbox" in done.stderr
        assert api.usage(ALICE).messages == 0


def test_single_messages_come_from_files_and_standard_input(house, api, cli, run, directory):
    for name, text in (("1.eml", b"Subject: 1\n\none\n"), ("2.eml", b"Subject: 2\r\n\r\ntwo\r\n")):
        (directory / name).write_bytes(text)
    shutil.copytree(directory, directory.parent / f"{directory.name}-copy", ignore=shutil.ignore_patterns("data"))
    try:
        files = [directory / "1.eml", directory / "2.eml", directory.parent / f"{directory.name}-copy/1.eml"]
        assert run("import", "eml", *files, "--to", ALICE)["imported_messages"] == 3, "equal ones are two"
        assert run("import", "eml", *files, "--to", ALICE)["present_messages"] == 3
    finally:
        shutil.rmtree(directory.parent / f"{directory.name}-copy")
    run("import", "eml", "-", "--to", BOB, stdin=b"Subject: 3\n\nthree\n")
    assert sorted(api.texts(ALICE)) == [b"Subject: 1\r\n\r\none\r\n"] * 2 + [b"Subject: 2\r\n\r\ntwo\r\n"]
    assert api.texts(BOB) == [b"Subject: 3\r\n\r\nthree\r\n"]
    done = cli.run("import", "eml", directory / "1.eml", directory / "none.eml", "--to", BOB)
    assert done.returncode == 1 and b"none.eml" in done.stderr
    assert api.usage(BOB).messages == 2


def test_a_restart_remembers_folders_flags_and_what_was_imported(house, api, store, run, directory):
    before = tree(directory / "old", 50)
    run("import", "maildir", directory / "old", "--to", ALICE)
    store.kill9()
    store.start("--rebuild-index")
    api.ready()
    assert run("import", "maildir", directory / "old", "--to", ALICE)["present_messages"] == 50
    run("export", "maildir", directory / "new", "--from", ALICE)
    maildirs.assert_same(before, maildirs.read(directory / "new", maildirs.exported_text))
