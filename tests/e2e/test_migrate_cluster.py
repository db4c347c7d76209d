"""A store moves from a data directory to a Ceph cluster and back, with the real programs.

RESTANTE_TEST_CEPH_CONF in the environment: the cluster; ./dev test-cluster starts one.
"""

import os
import secrets
import subprocess

import harness
from api import Api, Stream, deliver, new_id
from hand_over import ALICE, create_mailboxes
from letters import Load, assert_arrived
from test_bad_input import refused
from test_cluster import RadosStore
from test_migrate import BOB, deliver_large, folders, migrate, place  # noqa: F401 (a fixture)


def test_a_store_moves_to_a_cluster_and_back(start, store, front, api, migrate, directory):  # noqa: F811
    cluster = ["--ceph-conf", os.environ["RESTANTE_TEST_CEPH_CONF"], "--ceph-namespace", secrets.token_hex(8),
               "--allow-min-size-1"]
    subprocess.run([harness.PROGRAMS["restante-store"], "init-cluster", *cluster], check=True,
                   env=harness.environment(), timeout=harness.PATIENCE)
    cluster += ["--ceph-user", "admin"]
    create_mailboxes(api)
    api.create_mailbox(BOB)
    request_id = new_id()
    kind, receipts = deliver(Stream(api), [BOB], b"Subject: first\r\n\r\n" + os.urandom(200_000), request_id)
    assert kind == "receipts" and receipts.committed
    deliver_large(front, BOB, 1)
    load = Load(front.smtp, ALICE, 100)
    load.join()
    validity = folders(api, ALICE)
    assert store.program.stop() == 0

    moved = migrate("--from", place(store.data_dir), "--to", "rados", *cluster)
    assert moved["messages"] == 102 and moved["receipts"] == 102
    _, line = refused("restante-store", "--data-dir", store.data_dir, "--listen", "127.0.0.1:0")
    assert "the store was moved to rados:restante-index+restante-body/" in line
    in_cluster = start(RadosStore, cluster)
    other = Api(in_cluster.address)
    other.ready()
    assert other.receipt(request_id).receipts == receipts
    assert folders(other, ALICE) == validity
    assert_arrived(other, ALICE, load.keys, once=True)
    other_front = start(harness.Front, in_cluster.address)
    more = Load(other_front.smtp, ALICE, 50)
    more.join()
    other.assert_exact(ALICE)
    assert other.problems() == []
    # While somebody serves it, it is not moved, and he goes on, and so does his next start.
    assert "another store is running on it" in migrate("--from", "rados", *cluster, "--to", place(directory / "busy"),
                                                       status=1)
    in_cluster.program.kill9()
    in_cluster.start()
    other.ready()
    assert in_cluster.program.stop() == 0
    other.close()

    back = directory / "back"
    moved = migrate("--from", "rados", *cluster, "--to", place(back))
    assert moved["messages"] == 152
    _, line = refused("restante-store", "--engine", "rados", *cluster, "--listen", "127.0.0.1:0")
    assert f"rados: the store was moved to {place(back)} on " in line
    store.data_dir = back
    store.start()
    api.ready()
    assert api.receipt(request_id).receipts == receipts
    assert folders(api, ALICE) == validity
    assert_arrived(api, ALICE, load.keys + more.keys, once=True)
    api.assert_exact(ALICE)
    assert api.problems() == []
