"""The images build, refuse what is unsafe, take a message, stop cleanly and keep it."""

import json

import pytest

import containers


@pytest.fixture
def volume(images):
    return containers.make_volume()


@pytest.mark.parametrize("target, program, most", [
    ("store", "restante-store", 40e6), ("store-rados", "restante-store", 70e6), ("smtp", "restante-smtp", 40e6)])
def test_an_image_is_small_and_runs_as_a_number_with_a_health_check(images, target, program, most):
    about = json.loads(containers.run("podman", "image", "inspect", images[target]))[0]
    print(f"{target}: {about['Size'] / 1e6:.1f} MB")
    assert about["Config"]["User"] == "10001:10001"
    assert about["Healthcheck"]["Test"][0] == "CMD"  # Without a shell, as the entry point.
    assert about["Config"]["Entrypoint"] == [program]
    assert about["Size"] < most


def test_librados_is_in_the_image_for_it_alone(images):
    setup = ["init-cluster", "--ceph-conf", "/nonexistent"]
    store = containers.start(images["store-rados"], *setup)
    assert store.exit_status() == 1 and "`/nonexistent`: No such file" in store.log(), store.log()
    store = containers.start(images["store"], *setup)
    assert store.exit_status() == 1 and "needs librados" in store.log(), store.log()


def test_a_store_is_not_opened_to_all_unless_told(images, volume):
    store = containers.start(images["store"], "--create", options=["--volume", f"{volume}:/var/lib/restante"])
    assert store.exit_status() == 2 and "--insecure" in store.log(), store.log()


def test_a_volume_that_was_not_mounted_makes_no_new_store(images, volume):
    store = containers.start(images["store"], "--insecure", options=["--volume", f"{volume}:/var/lib/restante"])
    assert store.exit_status() == 1 and "--create" in store.log(), store.log()


def test_a_message_survives_the_container_that_took_it(images, volume):
    mount = ["--volume", f"{volume}:/var/lib/restante"]
    store = containers.start(images["store"], "--insecure", "--create", options=mount)
    store.await_health()
    store.execute("restante", "domain", "create", "example.org")
    store.execute("restante", "mailbox", "create", "alice@example.org")

    front = containers.start(images["smtp"], network=f"container:{store.id}")
    front.await_health()
    front.execute_beside("swaks", "--server", "127.0.0.1:2525", "--from", "sender@example.net", "--to",
                         "alice@example.org", "--body", "kept in a volume")
    front.execute_beside("swaks", "--server", "127.0.0.1:2424", "--protocol", "LMTP", "--from", "sender@example.net",
                         "--to", "alice@example.org", "--body", "handed over by LMTP")
    taken = [store.execute("restante", "message", "cat", "alice@example.org", uid) for uid in ("1", "2")]
    assert "kept in a volume" in taken[0] and "handed over by LMTP" in taken[1], taken
    assert front.stop() == 0, front.log()
    assert store.stop() == 0, store.log()

    again = containers.start(images["store"], "--insecure", options=mount)
    again.await_health()
    assert [again.execute("restante", "message", "cat", "alice@example.org", uid) for uid in ("1", "2")] == taken
    assert again.stop() == 0, again.log()
