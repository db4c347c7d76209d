"""A store moves to another place with the real programs: all of it is there, once, and goes on."""

import json
import os
import signal
import subprocess

import pytest

import harness
from api import Api, Stream, deliver, mailbox, new_id
from hand_over import ALICE, SMALL, create_mailboxes
from letters import Load, assert_arrived
from smtp_client import Smtp, message
from test_bad_input import refused

BOB = "bob@example.org"
STORE = harness.PROGRAMS["restante-store"]


def place(path):
    return f"embedded:{path}"


@pytest.fixture
def migrate():
    """The command line, with restante-store on PATH as it is where both are installed."""
    def run(*args, status=0):
        env = harness.environment()
        env["PATH"] = f"{STORE.parent}:{env['PATH']}"
        done = subprocess.run([harness.PROGRAMS["restante"], "--output", "json", "migrate", *map(str, args)], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE * 2, text=True)
        assert done.returncode == status, f"migrate {args}: status {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout) if status == 0 else done.stderr

    return run


def folders(api, address):
    return api.mailbox.GetMailbox(mailbox.GetMailboxRequest(name=f"mailboxes/{address}")).uid_validity


def test_a_store_moves_between_two_starts_and_its_senders_notice_nothing_but_a_451(store, front, api, migrate, directory):
    create_mailboxes(api)
    api.create_mailbox(BOB)
    request_id = new_id()
    text = b"Subject: both\r\n\r\nHello.\r\n"
    kind, receipts = deliver(Stream(api), [BOB, SMALL], text, request_id)
    assert kind == "receipts" and receipts.committed
    deliver_large(front, BOB, 1)
    validity = folders(api, ALICE)
    load = Load(front.smtp, ALICE, 200)
    harness.poll(lambda: api.usage(ALICE).messages > 50, "some letters to arrive")
    store.kill9()

    old, new = store.data_dir, directory / "new"
    moved = migrate("--from", place(old), "--to", place(new))
    assert moved["mailboxes"] == 4 and moved["messages"] >= 53 and moved["receipts"] >= 52
    _, line = refused("restante-store", "--data-dir", old, "--listen", "127.0.0.1:0")
    assert f"{old}: the store was moved to {place(new)} on " in line
    # Again it is done already.
    migrate("--from", place(old), "--to", place(new))

    store.data_dir = new
    store.start()
    load.join()
    api.ready()
    api.await_nothing_reserved(ALICE, BOB)
    assert_arrived(api, ALICE, load.keys, once=True)
    assert api.receipt(request_id).receipts == receipts
    assert folders(api, ALICE) == validity
    for address in (ALICE, BOB):
        api.assert_exact(address)
    assert api.problems() == []


def deliver_large(front, recipient, seed):
    with Smtp(front.smtp) as smtp:
        harness.poll(lambda: smtp.deliver(recipient, message(9_000_000, seed=seed)) == "250 2.0.0",
                     "a large message to be taken")


def test_killed_in_the_middle_neither_place_is_served_and_the_same_command_goes_on(
        store, front, api, migrate, directory):
    create_mailboxes(api)
    for seed in range(4):
        deliver_large(front, ALICE, seed)
    assert store.program.stop() == 0
    old = store.data_dir
    killed = 0
    while not killed:
        new = directory / f"new-{os.urandom(4).hex()}"
        run = subprocess.Popen([STORE, "migrate", "--from", place(old), "--to", place(new)], env=harness.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert run.stdout.readline().startswith(b"copying ")
        run.send_signal(signal.SIGKILL)
        killed = run.wait() == -signal.SIGKILL
        run.communicate()
        if not killed:  # It was faster.
            migrate("--from", place(old), "--stay")
    for here, says in ((old, f"the store is being moved to {place(new)} since "),
                       (new, f"the store is being moved here from {place(old)} since ")):
        _, line = refused("restante-store", "--data-dir", here, "--listen", "127.0.0.1:0")
        assert f"{here}: {says}" in line
    assert "is being moved to" in migrate("--from", place(old), "--to", place(directory / "elsewhere"), status=1)
    assert migrate("--from", place(old), "--to", place(new))["messages"] == 4
    store.data_dir = new
    store.start()
    api.ready()
    api.assert_exact(ALICE)
    assert api.problems() == [] and len(api.texts(ALICE)) == 4


def test_a_store_moves_while_it_serves_and_says_where_it_is_when_it_is_started_as_before(
        start, directory, migrate):
    old, new = directory / "data", directory / "new"
    store = start(harness.Store, "--migrate-to", place(new))
    front = start(harness.Front, store.address)
    api = Api(store.address)
    api.ready()
    create_mailboxes(api)
    # An empty store moves at once.
    said = f"moved to {place(new)}, and served from there"
    harness.poll(lambda: said in store.program.log_text(), "the store to move")
    load = Load(front.smtp, ALICE, 50)
    load.join()
    store.kill9()
    store.start()
    api.ready()
    assert f"the store has moved and is served from there; let its options say so to={place(new)}" \
        in store.program.log_text()
    assert_arrived(api, ALICE, load.keys, once=True)
    assert store.program.stop() == 0
    store.options.clear()
    _, line = refused("restante-store", "--data-dir", old, "--listen", "127.0.0.1:0")
    assert f"{old}: the store was moved to {place(new)} on " in line

    # One with mail in it, under load; killed while it moves, it goes on.
    newer = directory / "newer"
    store.data_dir = new
    store.options[:] = ["--migrate-to", place(newer)]
    load = Load(front.smtp, ALICE, 300)
    store.start()
    api.ready()
    store.kill9()
    store.start()
    harness.poll(lambda: f"moved to {place(newer)}, and served from there" in store.program.log_text(),
                 "the store to move")
    load.join()
    api.ready()
    api.await_nothing_reserved(ALICE)
    api.assert_exact(ALICE)
    assert api.problems() == []
    assert api.usage(ALICE).messages == 350
    store.kill9()
    store.data_dir, store.options[:] = newer, []
    store.start()
    api.ready()
    assert api.usage(ALICE).messages == 350
    api.assert_exact(ALICE)
    found = b"".join(api.texts(ALICE))
    assert all(found.count(key.encode() + b"\r\n.") == 1 for key in load.keys)
    api.close()


def test_a_move_that_is_given_up_leaves_the_store_where_it_was(store, api, migrate, directory):
    create_mailboxes(api)
    deliver(Stream(api), [ALICE], b"Subject: here\r\n\r\nHello.\r\n")
    before = folders(api, ALICE)
    old, new = store.data_dir, directory / "new"
    assert "is in use by another restante-store" in migrate("--from", place(old), "--to", place(new), status=1)
    assert store.program.stop() == 0
    assert "nor was it" in migrate("--from", place(old), "--stay", status=1)
    migrate("--from", place(old), "--to", place(new))
    # UIDs of one of the two lives are not those of the other.
    assert migrate("--from", place(old), "--stay")["new_uidvalidities"] == 3
    store.start()
    api.ready()
    assert folders(api, ALICE) > before
    assert api.usage(ALICE).messages == 1
    api.assert_exact(ALICE)


@pytest.mark.parametrize("args, says", [
    ([], "--from ``: is no place"),
    (["--from", "ceph", "--to", "rados"], "--from ceph: is no place; embedded:DIR is a data directory, rados"),
    (["--from", "embedded:", "--to", "rados"], "--from embedded:: is no place"),
    (["--from", "rados"], "--to ``: is no place"),
    (["--from", "rados", "--to", "rados"], "--to rados: is where the store is"),
    (["--from", "embedded:/a", "--to", "embedded:/b/../a/"], "--to embedded:/b/../a/: is where the store is"),
    (["--from", "embedded:/a", "--to", "rados", "--stay"], "--to rados: goes nowhere with --stay"),
    (["--from", "embedded:/a", "--to", "rados", "--pool-index", ""], "--pool-index: is empty"),
])
def test_what_is_no_move_is_named(args, says):
    status, line = refused("restante-store", "migrate", *args)
    assert status == 2 and says in line, line


def test_a_place_that_cannot_be_opened_is_named(directory):
    status, line = refused("restante-store", "migrate", "--from", place(directory / "absent"), "--to",
                           place(directory / "new"))
    assert status == 1 and str(directory / "absent") in line and "no such directory" in line
    assert not (directory / "new").exists()
