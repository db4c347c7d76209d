"""The room of deleted mail comes back by itself, and by command at once."""

import json
import os
import subprocess
import threading

import harness
import pytest
from api import Api, Stream, deliver
from restante.v1 import message_pb2

MESSAGE = 30_000
COUNT = 2_000


def size_of(directory):
    """Octets of all files in it, without the ballast."""
    return sum(f.stat().st_size for f in directory.rglob("*") if f.is_file() and "ballast" not in f.parts)


def fill(address, count):
    """Delivers `count` messages that no codec makes smaller, over four streams."""
    def work(number):
        api = Api(address)
        stream = Stream(api)
        for _ in range(number):
            assert deliver(stream, ["alice@example.org"], os.urandom(MESSAGE))[1].committed
        stream.end()
        api.close()
    threads = [threading.Thread(target=work, args=(count // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def delete(api, uids):
    for at in range(0, len(uids), 1000):
        api.message.BatchDeleteMessages(
            message_pb2.BatchDeleteMessagesRequest(parent="mailboxes/alice@example.org", uids=uids[at:at + 1000]))


@pytest.fixture
def filled(store, api):
    api.create_domain()
    api.create_mailbox("alice@example.org")
    fill(store.address, COUNT)
    assert size_of(store.data_dir) > COUNT * MESSAGE


def test_nine_tenths_deleted_come_back_without_a_command(store, api, filled):
    kept = list(range(1, COUNT + 1, 10))
    texts = {uid: api.read(f"mailboxes/alice@example.org/folders/INBOX/messages/{uid}") for uid in kept}
    delete(api, [uid for uid in range(1, COUNT + 1) if uid not in texts])
    live = api.usage("alice@example.org").bytes
    assert live == len(kept) * MESSAGE
    harness.poll(lambda: size_of(store.data_dir) < 1.3 * live, "the room to come back")
    harness.poll(lambda: dict(api.status().engine_figures)["compacted_segments"] > 0, "it to be counted")
    figures = dict(api.status().engine_figures)
    assert figures["logical_bytes"] == live
    assert figures["disk_used_bytes"] < 1.3 * live
    for _ in range(2):
        assert {uid: api.read(f"mailboxes/alice@example.org/folders/INBOX/messages/{uid}") for uid in kept} == texts
        assert api.problems() == []
        store.kill9()
        store.restart()
        api.ready()


def test_an_operator_has_it_back_at_once(api, cli, filled):
    # A tenth: too little to be worth it by itself.
    delete(api, list(range(1, COUNT + 1, 10)))
    live = api.usage("alice@example.org").bytes
    out = json.loads(cli("--output", "json", "store", "compact"))
    assert int(out["reclaimed_bytes"]) > COUNT / 10 * MESSAGE * 0.9
    assert dict(api.status().engine_figures)["segments_bytes"] < 1.05 * live
    assert api.problems() == []


def test_a_lost_index_is_made_again(store, api, filled):
    delete(api, list(range(1, COUNT + 1, 2)))
    before = api.messages("alice@example.org")
    store.kill9()
    for file in (store.data_dir / "index").iterdir():
        file.unlink()
    refused = subprocess.run(
        [harness.PROGRAMS["restante-store"], "--data-dir", store.data_dir, "--listen", "127.0.0.1:0"],
        stderr=subprocess.PIPE, env=harness.environment(), timeout=harness.PATIENCE)
    assert refused.returncode == 1
    assert b"--rebuild-index" in refused.stderr and refused.stderr.count(b"\n") == 1
    store.start("--rebuild-index")
    api.ready()
    assert api.messages("alice@example.org") == before
    assert api.problems() == []
    # Once is enough.
    store.restart()
