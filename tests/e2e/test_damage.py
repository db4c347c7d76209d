"""Bits that flip on the disk, under a running store and over a restart."""

import json
import os

import grpc
import harness
import pytest
from api import Api, Stream, deliver
from restante.v1 import store_pb2

COUNT = 60


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        octet = file.read(1)[0]
        file.seek(at)
        file.write(bytes([octet ^ 0x20]))


def run(cli, *args):
    """Exit status, standard output and standard error of a command."""
    done = cli.run(*args)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def name(uid):
    return f"mailboxes/alice@example.org/folders/INBOX/messages/{uid}"


@pytest.fixture
def filled(store, api):
    """Messages that no codec makes smaller, one of them in a file of its own."""
    api.create_domain()
    api.create_mailbox("alice@example.org")
    stream = Stream(api)
    texts = {}
    for uid in range(1, COUNT + 1):
        texts[uid] = os.urandom(3000)
        assert deliver(stream, ["alice@example.org"], texts[uid])[1].committed
    stream.end()
    return texts


def place_of(store, text):
    """The file that holds a text, and where."""
    for file in sorted((store.data_dir / "segments").iterdir()):
        at = file.read_bytes().find(text)
        if at >= 0:
            return file, at
    raise AssertionError("no segment holds the text")


def assert_only_these_are_lost(api, texts, lost):
    for uid, text in texts.items():
        if uid not in lost:
            assert api.read(name(uid)) == text
            continue
        with pytest.raises(grpc.RpcError) as error:
            api.read(name(uid))
        assert error.value.code() == grpc.StatusCode.DATA_LOSS
        assert name(uid) in error.value.details()
    assert len(api.messages("alice@example.org")) == len(texts)


def test_a_damaged_message_is_named_and_costs_no_other(store, api, cli, filled):
    lost = {7, 8, 30}
    places = {}
    for uid in lost:
        places[uid] = place_of(store, filled[uid])
        flip(places[uid][0], places[uid][1] + 1000)
    for restarts in range(2):
        assert_only_these_are_lost(api, filled, lost)
        status, out, err = run(cli, "--output", "json", "store", "scrub", "--rate", "0")
        assert status == 1
        *damages, summary = map(json.loads, out.splitlines())
        assert {tuple(d["messages"]) for d in damages} == {(name(uid),) for uid in lost}
        for damage in damages:
            assert damage["file"] == str(places[7][0])
        assert summary["damaged_messages"] == 3
        for uid in lost:
            assert f"alice@example.org UID {uid} cannot be read: {places[uid][0]}: damaged at " in err
        last = api.status().last_scrub
        assert last.damage_count == 3 and len(last.first_damages) == 3
        assert b"UID 30 cannot be read" in cli("status")
        if restarts == 0:
            store.restart()
            api.ready()
            assert api.status().last_scrub == last
    # Mail goes on, and what is lost can be cleared away.
    stream = Stream(api)
    assert deliver(stream, ["alice@example.org"], b"new")[1].committed
    stream.end()
    cli("message", "delete", "alice@example.org", *map(str, sorted(lost)))
    assert api.problems() == []


def test_an_archive_keeps_what_it_cannot_read(store, api, cli, filled, directory):
    file, at = place_of(store, filled[5])
    flip(file, at)
    status, _, err = run(cli, "archive", "alice@example.org", "--older-than", "0s", "--to", directory / "archive")
    assert status == 1 and "messages/5" in err
    assert [m.uid for m in api.messages("alice@example.org")] == [5]
    assert len(list((directory / "archive").rglob("*.restante"))) == COUNT - 1
    # Mended, as from a backup, it can go as well.
    flip(file, at)
    cli("archive", "alice@example.org", "--older-than", "0s", "--to", directory / "archive")
    assert api.messages("alice@example.org") == []


def test_a_damaged_index_is_named_and_made_again(store, api, cli, filled):
    # What is in memory comes into a table.
    store.restart()
    api.ready()
    table = max((store.data_dir / "index").glob("*.ldb"), key=lambda file: file.stat().st_size)
    for at in range(0, table.stat().st_size, 512):
        flip(table, at)
        status, _, err = run(cli, "store", "scrub")
        assert status == 1
        assert f"{table}: damaged at " in err and "--rebuild-index" in err
        if "alice@example.org UID " in err:
            break
        flip(table, at)
    else:
        raise AssertionError("no block of the index has a message")
    # Mail goes on all the same.
    stream = Stream(api)
    assert deliver(stream, ["alice@example.org"], b"new")[1].committed
    stream.end()
    filled[COUNT + 1] = b"new"
    store.program.stop()
    store.start("--rebuild-index")
    api.ready()
    assert_only_these_are_lost(api, filled, set())
    assert api.problems() == []
    assert run(cli, "store", "scrub")[0] == 0


def test_the_store_scrubs_by_itself_and_says_so(store, api, filled):
    file, at = place_of(store, filled[3])
    flip(file, at)
    store.program.stop()
    store.start("--scrub-interval", "1s", "--scrub-rate", "0")
    api.ready()
    last = harness.poll(lambda: api.status().HasField("last_scrub") and api.status().last_scrub, "a scrub")
    assert last.damage_count == 1
    assert list(last.first_damages[0].messages) == [name(3)]
    assert last.first_damages[0].file == str(file)
    harness.poll(lambda: "alice@example.org UID 3" in store.program.log_text(), "a line in the log")


def test_a_caller_who_goes_away_ends_the_scrub(store, api, filled):
    call = api.store.Scrub(store_pb2.ScrubRequest(max_bytes_per_second=100))
    next(iter(call))
    assert dict(api.status().engine_figures)["scrub_running"] == 1
    other = Api(store.address)
    with pytest.raises(grpc.RpcError) as error:
        list(other.store.Scrub(store_pb2.ScrubRequest()))
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    call.cancel()
    harness.poll(lambda: dict(api.status().engine_figures)["scrub_running"] == 0, "the scrub to end")
    assert [part.done for part in other.store.Scrub(store_pb2.ScrubRequest())][-1]
    other.close()


def test_what_only_several_stores_need_is_refused_by_one_that_is_alone(cli):
    for verb in ("settle", "sweep"):
        status, _, err = run(cli, "store", verb)
        assert status == 1
        assert f"the engine `embedded` serves one store alone: no other can have left anything to {verb}" in err
