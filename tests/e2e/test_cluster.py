"""Real stores over one Ceph cluster, and a front end that knows them all.

RESTANTE_TEST_CEPH_CONF in the environment: the cluster; ./dev test-cluster starts one.
RESTANTE_KILL_SEED: the seed of a run that failed.
"""

import json
import os
import random
import signal

import pytest

import harness
import watched
from api import Api, Stream, deliver, events, new_id
from front_figures import await_up, metric
from hand_over import ALICE, create_mailboxes
from letters import Load, assert_arrived
from rados_store import RadosStore, init_cluster

LETTERS = 300


@pytest.fixture
def stores(start):
    cluster = init_cluster(os.environ["RESTANTE_TEST_CEPH_CONF"])
    return [start(RadosStore, cluster) for _ in range(2)]


@pytest.fixture
def api(stores):
    client = Api(stores[0].address)
    client.ready()
    create_mailboxes(client)
    yield client
    client.close()


def test_stores_that_die_and_sleep_under_load_lose_nothing_and_double_nothing(start, stores, api):
    seed = int(os.environ.get("RESTANTE_KILL_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RESTANTE_KILL_SEED={seed}")
    choose = random.Random(seed)
    front = start(harness.Front, ",".join(store.address for store in stores))
    for store in stores:
        await_up(front, store)
    load = Load(front.smtp, ALICE, LETTERS, senders=8)
    killed = stopped = met_open = 0

    def begun():
        return sum(metric(front, "transactions_total", store) for store in stores)

    while load.running():
        goal = begun() + choose.randrange(20, 80)
        harness.poll(lambda: begun() >= goal or not load.running(), "the senders to go on")
        store = choose.choice(stores)
        met_open += metric(front, "open_transactions", store) > 0
        if killed <= stopped:
            killed += 1
            store.program.kill9()
            await_up(front, store, False)
            store.start()
        else:
            stopped += 1
            store.program.freeze()
            await_up(front, store, False)
            goal = begun() + choose.randrange(1, 80)
            harness.poll(lambda: begun() >= goal or not load.running(), "the senders to go on with the other store")
            os.kill(store.program.pid, signal.SIGCONT)
        await_up(front, store)
    load.join()
    print(f"{killed} killed, {stopped} stopped, {met_open} of them with transactions open")
    assert killed > 0 and stopped > 0 and met_open > 0
    other = Api(stores[1].address)
    other.ready()
    for client in (api, other):
        client.ready()
        client.await_nothing_reserved(ALICE)
        assert_arrived(client, ALICE, load.keys, once=True)
        client.assert_exact(ALICE)
        assert client.problems() == []
    other.close()


def test_what_dashboard_and_alerts_name_of_a_cluster_exists(stores, api):
    shown, alerts = watched.expressions()
    named = {name for name in watched.metrics_named(shown + alerts) if name.startswith("restante_cluster_")}
    there = watched.metrics_told(harness.fetch(stores[0].program.addresses["ops"], "/metrics"))
    assert len(named) > 4 and not named - there, sorted(named - there)


def test_operators_settle_sweep_scrub_and_compact_by_command(stores, api):
    stream = Stream(api)
    assert deliver(stream, [ALICE], os.urandom(200_000))[1].committed
    # The dead leaves a reservation, which nobody asks for.
    other = Api(stores[1].address)
    other.ready()
    left = Stream(other)
    number = left.number()
    left.send(*events(number, new_id(), [ALICE], b"12345")[:2])
    left.answer(number), left.answer(number)
    assert api.usage(ALICE).reserved_messages == 1
    stores[1].program.kill9()
    cli = harness.Cli(stores[0].address)

    def ask(verb, *more):
        return json.loads(cli("--output", "json", "store", verb, *more))

    ask("settle")
    assert api.usage(ALICE).reserved_messages == 0
    assert ask("sweep")["removed_bodies"] == 0
    assert ask("scrub", "--rate", "0")["checked_bytes"] == api.usage(ALICE).bytes
    refused = cli.run("store", "compact")
    assert refused.returncode == 1 and b"the engine `rados` keeps nothing that could be compacted" in refused.stderr
    stream.end()
    other.close()
