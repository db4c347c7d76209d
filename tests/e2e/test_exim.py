"""docker/recipes/exim: Exim from Debian's package hands over by LMTP, or while the sender waits."""

import os

import pytest

import hand_over
import harness
from exim import Exim
from hand_over import ALICE, FULL, Service, drain
from letters import assert_arrived, letter, new_key, send

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a root directory of its own wants root")


@pytest.fixture
def options():
    return {"store": ["--max-message", hand_over.MAX_MESSAGE], "front": []}


@pytest.fixture
def service(start, store, api):
    hand_over.create_mailboxes(api)
    return Service(start, store, api)


@pytest.fixture(params=["lmtp", "cutthrough"])
def mode(request):
    return request.param


@pytest.fixture
def policy(service):
    """Where the recipe asks."""
    return service.addresses["policy"]


@pytest.fixture
def exim(directory, service, policy, mode):
    mta = Exim(directory, {**service.addresses, "policy": policy}, cutthrough=mode == "cutthrough")
    yield mta
    mta.stop()
    print(mta.log()[-3000:])
    assert " ** " not in mta.log(), "a bounce"


def test_a_full_mailbox_is_refused_at_rcpt_and_the_good_one_gets_one_copy(exim, service, mode):
    hand_over.check_refusals_at_rcpt(exim, service)
    # Exim passes a message through if its first recipient was not refused.
    assert exim.log().count(f" >> {ALICE} ") == (1 if mode == "cutthrough" else 0)


def test_refusals_by_size_carry_the_stores_codes(exim, service):
    hand_over.check_refusals_by_size(exim, service)


def test_who_does_not_exist_is_refused_in_the_stores_words(exim, service):
    replies, stored = send(exim.address, ["nobody@example.org", "someone@example.com"], letter("unwanted"))
    assert replies == ["550 5.1.1 <nobody@example.org>: No such mailbox", "550 relay not permitted"]
    assert stored is None


class TestWithNobodyToAsk:
    """The hop alone decides."""

    @pytest.fixture
    def policy(self):
        return f"127.0.0.1:{harness.free_port()}"

    def test_a_full_mailbox_is_waited_for(self, exim, service, mode):
        if mode == "lmtp":
            hand_over.check_waits_for_room(exim, service)
            return
        keys = [new_key(), new_key()]
        for key, order in zip(keys, ([FULL, ALICE], [ALICE, FULL])):
            replies, stored = send(exim.address, order, letter(key))
            assert replies[order.index(FULL)].startswith("451 "), replies
            assert stored.startswith("250 "), stored
        drain(exim, service, lambda: service.stored() == len(keys))
        assert_arrived(service.api, ALICE, keys, once=True)


def test_what_comes_while_we_are_away_arrives_later(exim, service, mode):
    hand_over.check_away_and_back(exim, service, at_rcpt=mode == "cutthrough")


def test_kill_9_in_the_middle_of_500_letters_loses_none(exim, service, mode):
    # With cutthrough each attempt of a sender has a `Received` of its own: another text.
    hand_over.check_kills_in_the_middle(exim, service, once=mode == "lmtp")
