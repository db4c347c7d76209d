"""64 senders race for the last room: as many as fit get 354 and 250, never one more."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from smtp_client import Smtp, message

SENDERS = 64


def race(front, recipient_of, text, size):
    """All senders take each step together: the replies of each, step by step.

    A sender stops at its first refusal; nobody goes on before all were answered,
    so that what was promised is promised to all at once.
    """
    barrier = threading.Barrier(SENDERS, timeout=120)

    def send(i):
        replies = []
        with Smtp(front.smtp) as smtp:
            steps = (lambda: smtp.mail(size=size), lambda: smtp.rcpt(recipient_of(i)), smtp.data,
                     lambda: smtp.text(text))
            for step in steps:
                barrier.wait()
                if not replies or replies[-1].code < 400:
                    replies.append(step())
        return replies

    with ThreadPoolExecutor(SENDERS) as pool:
        return list(pool.map(send, range(SENDERS)))


def winners(results, refusal, step):
    """How many got 354 and 250; all others must have `refusal` at that step."""
    won = [r for r in results if len(r) == 4]
    for replies in won:
        assert replies[2] == 354 and replies[3] == "250 2.0.0", replies
    for replies in results:
        if len(replies) < 4:
            assert len(replies) == step and replies[-1] == refusal, replies
    return len(won)


@pytest.fixture
def text():
    return message(20_000)


@pytest.fixture
def charged(front, api, text):
    """What one text costs, its trace header included."""
    api.create_domain("probe.example")
    api.create_mailbox("probe@probe.example")
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("probe@probe.example", text) == "250 2.0.0"
    charged = api.usage("probe@probe.example").bytes
    assert charged > len(text)
    return charged


def test_room_for_exactly_ten_is_given_to_exactly_ten(front, api, text, charged):
    api.create_domain()
    api.create_mailbox("alice@example.org", max_bytes=10 * charged)
    results = race(front, lambda _: "alice@example.org", text, len(text))
    assert winners(results, "452 4.2.2", 2) == 10
    assert api.usage("alice@example.org").bytes == 10 * charged
    api.assert_exact("alice@example.org")
    api.await_nothing_reserved("alice@example.org")


def test_one_octet_less_is_room_for_nine(front, api, text, charged):
    api.create_domain()
    api.create_mailbox("alice@example.org", max_bytes=10 * charged - 1)
    results = race(front, lambda _: "alice@example.org", text, len(text))
    assert winners(results, "452 4.2.2", 2) == 9
    api.assert_exact("alice@example.org")


def test_a_limit_of_ten_messages_is_given_to_exactly_ten(front, api, text):
    api.create_domain()
    api.create_mailbox("alice@example.org", max_messages=10)
    results = race(front, lambda _: "alice@example.org", text, len(text))
    assert winners(results, "452 4.2.2", 2) == 10
    assert api.usage("alice@example.org").messages == 10
    api.assert_exact("alice@example.org")
    api.await_nothing_reserved("alice@example.org")


def test_a_domains_pool_for_ten_is_given_to_exactly_ten_of_its_mailboxes(front, api, text, charged):
    api.create_domain(max_bytes=10 * charged)
    addresses = [f"user{i}@example.org" for i in range(8)]
    for address in addresses:
        api.create_mailbox(address)
    results = race(front, lambda i: addresses[i % 8], text, len(text))
    assert winners(results, "452 4.3.1", 2) == 10
    assert api.domain_usage().bytes == 10 * charged == sum(api.usage(a).bytes for a in addresses)
    for address in addresses:
        api.assert_exact(address)
    api.await_nothing_reserved(*addresses)
    assert api.domain_usage().reserved_bytes == 0


class TestDisk:
    @pytest.fixture
    def options(self):
        return {"store": ["--max-disk", "48M"], "front": []}

    def test_a_disk_for_ten_is_given_to_exactly_ten_at_mail(self, front, api):
        api.create_domain()
        api.create_mailbox("alice@example.org")
        available = api.capacity().available_bytes
        text = message(int(available / 10.5))
        results = race(front, lambda _: "alice@example.org", text, len(text))
        assert winners(results, "452 4.3.1", 1) == 10
        assert api.usage("alice@example.org").messages == 10
        api.assert_exact("alice@example.org")
        api.await_nothing_reserved("alice@example.org")
        assert api.capacity().used_bytes <= api.capacity().limit_bytes


def test_racing_without_size_never_exceeds_the_limit_and_keeps_every_354(front, api):
    room = 3_800_000
    text = message(500_000)
    api.create_domain()
    api.create_mailbox("alice@example.org", max_bytes=room)
    seen, racing = [], threading.Event()
    racing.set()

    def watch():
        while racing.is_set():
            usage = api.usage("alice@example.org")
            seen.append(usage.bytes + usage.reserved_bytes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        results = race(front, lambda _: "alice@example.org", text, None)
    finally:
        racing.clear()
        watcher.join()
    # 1M (--reserve-unknown) for three, what is left for a fourth.
    assert winners(results, "452 4.2.2", 2) == 4
    assert max(seen) <= room
    assert max(seen) > 1 << 20, "the watcher saw nothing of the race"
    api.assert_exact("alice@example.org")
    api.await_nothing_reserved("alice@example.org")
