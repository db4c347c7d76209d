"""A backup under load, a disaster, and the store that is made from it."""

import collections
import json
import os
import random
import shutil
import subprocess

import pytest

import harness
from api import deliver, mailbox, new_id, Stream
from smtp_client import Smtp, message
from test_crash import Sender, subject

ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture
def restante(store):
    """The command line, with restante-store on PATH as it is where both are installed."""
    def run(*args, status=0):
        env = harness.environment()
        env["PATH"] = f"{harness.PROGRAMS['restante-store'].parent}:{env['PATH']}"
        done = subprocess.run(
            [harness.PROGRAMS["restante"], "--store", store.address, "--output", "json", *map(str, args)], env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE * 2, text=True)
        assert done.returncode == status, f"restante {args}: status {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout) if status == 0 else done.stderr

    return run


def uid_validity(api, address):
    return api.mailbox.GetMailbox(mailbox.GetMailboxRequest(name=f"mailboxes/{address}")).uid_validity


def move_to(store, data_dir):
    """The same store at the same address, on another data directory."""
    store.kill9()
    store.data_dir = data_dir
    store.start()


def test_all_that_was_acknowledged_before_the_backup_is_restored(store, front, api, restante, directory):
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)
    api.create_domain()
    for address in (ALICE, BOB):
        api.create_mailbox(address)
    api.create_alias("info@example.org", BOB)
    request_id = new_id()
    kind, receipts = deliver(Stream(api), ["info@example.org", ALICE], b"Subject: both\r\n\r\nHello.\r\n", request_id)
    assert kind == "receipts" and receipts.committed
    before = {address: uid_validity(api, address) for address in (ALICE, BOB)}

    senders = [Sender(front, i, seed) for i in range(4)]
    for sender in senders:
        sender.start()

    def acknowledged():
        assert not [s.failure for s in senders if s.failure]
        return {key: text for s in senders for key, text in list(s.acknowledged.items())}

    def more(count):
        goal = len(acknowledged()) + count
        harness.poll(lambda: len(acknowledged()) >= goal, "the senders to be acknowledged")

    more(60)
    first = restante("store", "backup", directory / "backup")
    assert first["kept_files"] == 0 and first["damaged_files"] == 0
    more(60)
    certain = acknowledged()
    second = restante("store", "backup", directory / "backup")
    assert second["messages"] > first["messages"]
    assert second["messages"] >= len(certain) + 1
    more(20)
    store.kill9()
    for sender in senders:
        sender.stopping.set()

    restored = restante("store", "restore", directory / "backup", directory / "restored")
    assert restored["folders"] == 2 and restored["damaged_files"] == 0
    move_to(store, directory / "restored")
    for sender in senders:
        sender.join(harness.PATIENCE * 2)
        assert not sender.is_alive()
    api.ready()
    api.await_nothing_reserved(ALICE, BOB)

    assert api.problems() == []
    stored = collections.defaultdict(list)
    for text in api.texts(ALICE):
        stored[subject(text) if b"\r\nSubject: " in text else "both"].append(text)
    for key, text in certain.items():
        assert len(stored[key]) == 1, f"{key}: stored {len(stored[key])} times"
        assert stored[key][0].endswith(text), f"{key}: another text"
    for key, texts in stored.items():
        assert len(texts) == 1, f"{key}: stored {len(texts)} times"
    assert api.receipt(request_id).receipts == receipts
    for address in (ALICE, BOB):
        api.assert_exact(address)
        assert uid_validity(api, address) > before[address]
    assert uid_validity(api, ALICE) != uid_validity(api, BOB)

    # It goes on: mail, another backup, another restore, and a start that changes no UIDVALIDITY.
    with Smtp(front.smtp) as smtp:
        harness.poll(lambda: smtp.deliver("info@example.org", message(10_000)) == "250 2.0.0", "mail to be taken")
    now = {address: uid_validity(api, address) for address in (ALICE, BOB)}
    third = restante("store", "backup", directory / "backup")
    assert third["kept_files"] >= 0
    store.restart()
    api.ready()
    assert {address: uid_validity(api, address) for address in (ALICE, BOB)} == now
    restante("store", "restore", directory / "backup", directory / "again")
    move_to(store, directory / "again")
    api.ready()
    assert api.usage(BOB).messages == 2
    assert all(uid_validity(api, address) > now[address] for address in (ALICE, BOB))
    assert api.problems() == []


def deliver_large(front, seed):
    """A message that has a file of its own."""
    with Smtp(front.smtp) as smtp:
        return harness.poll(
            lambda: (reply := smtp.deliver(ALICE, message(8_000_000, seed=seed))).code == 250 and reply,
            "a large message to be taken")


def test_one_that_is_given_up_leaves_room_for_the_next(store, front, api, restante, directory):
    api.create_domain()
    api.create_mailbox(ALICE)
    deliver_large(front, seed=2)
    # At a thousand octets a second it would take hours.
    slow = subprocess.Popen(
        [harness.PROGRAMS["restante"], "--store", store.address, "store", "backup", directory / "backup", "--rate", "1000"],
        env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    harness.poll(lambda: (directory / "backup/UNFINISHED").exists(), "the backup to begin")
    assert "running already" in restante("store", "backup", directory / "other", status=1)
    slow.kill()
    slow.communicate()
    env = {**harness.environment(), "PATH": os.defpath}

    def free():
        done = subprocess.run(
            [harness.PROGRAMS["restante"], "--store", store.address, "store", "backup", directory / "backup"], env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
        assert done.returncode == 0 or b"running already" in done.stderr, done.stderr
        return done.returncode == 0

    harness.poll(free, "the backup to be given up")
    # And the store ends while one runs.
    slow = subprocess.Popen(
        [harness.PROGRAMS["restante"], "--store", store.address, "store", "backup", directory / "third", "--rate", "1000"],
        env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    harness.poll(lambda: (directory / "third/UNFINISHED").exists(), "the backup to begin")
    store.restart()
    assert slow.wait(harness.PATIENCE) != 0
    slow.communicate()
    api.ready()
    assert api.problems() == []


def test_what_cannot_be_done_is_said_in_one_line_and_does_no_harm(store, front, api, restante, directory):
    api.create_domain()
    api.create_mailbox(ALICE)
    stream = Stream(api)
    for i in range(20):
        assert deliver(stream, [ALICE], message(20_000, seed=i))[0] == "receipts"
    backup = directory / "backup"
    assert "absolute" in restante("store", "backup", "backup", status=2)
    assert "data directory" in restante("store", "backup", store.data_dir / "backup", status=1)
    (directory / "foreign").mkdir()
    (directory / "foreign/letter").write_text("not yours")
    assert "letter" in restante("store", "backup", directory / "foreign", status=1)
    assert "mounted" in restante("store", "backup", directory / "not/there", status=1)
    assert "no backup" in restante("store", "restore", directory / "foreign", directory / "new", status=1)

    restante("store", "backup", backup)
    assert str(store.data_dir) in restante("store", "restore", backup, store.data_dir, status=1)
    assert "letter" in restante("store", "restore", backup, directory / "foreign", status=1)
    newest = next(backup.glob("segments/*"))
    whole = newest.read_bytes()
    body = whole.index(b"RSTR\x01\x02", 100_000) + 1_000  # in a text
    newest.write_bytes(whole[:body] + b"damage" + whole[body + 6:])
    for _ in range(2):
        told = restante("store", "restore", backup, directory / "new", status=1)
        assert str(newest) in told and "--restore-damaged" in told
    # Neither is the half of it a store, nor the backup.
    for data_dir, word in ((directory / "new", "interrupted"), (backup, "backup")):
        done = subprocess.run(
            [harness.PROGRAMS["restante-store"], "--data-dir", data_dir, "--create", "--listen", "127.0.0.1:0"],
            env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
        assert done.returncode == 1 and word in done.stderr.decode()
    restored = restante("store", "restore", backup, directory / "new", "--damaged")
    assert restored["damaged_files"] == 1
    assert api.problems() == []
    move_to(store, directory / "new")
    api.ready()
    assert len(api.messages(ALICE)) == 20

    # A damaged file of the store is told of, and the rest is backed up.
    assert deliver_large(front, seed=1) == "250 2.0.0"
    body = next(store.data_dir.glob("bodies/*.body"))
    whole = body.read_bytes()
    body.write_bytes(whole[:1_000_000] + b"damage" + whole[1_000_006:])
    assert str(body) in restante("store", "backup", directory / "second", status=1)
    assert (directory / "second/BACKUP").exists()
    body.write_bytes(whole)

    # Where the program is not installed.
    lonely = directory / "lonely"
    lonely.mkdir()
    shutil.copy(harness.PROGRAMS["restante"], lonely / "restante")
    done = subprocess.run([lonely / "restante", "store", "restore", backup, directory / "x"],
                          env={**os.environ, "PATH": str(lonely)}, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 2 and b"restante-store" in done.stderr
