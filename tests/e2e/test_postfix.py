"""docker/recipes/postfix: a stock Postfix asks policy and socketmap, queues, and hands over by LMTP."""

import os

import pytest

import hand_over
import harness
import recipe
from hand_over import ALICE, Service
from letters import letter, new_key, send
from postfix import Postfix

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="Postfix starts as root only")


@pytest.fixture
def options():
    return {"store": ["--max-message", hand_over.MAX_MESSAGE], "front": []}


@pytest.fixture
def service(start, store, api):
    hand_over.create_mailboxes(api)
    api.create_alias("info@example.org", ALICE)
    return Service(start, store, api)


@pytest.fixture
def settings(service):
    """Of main.cf."""
    return recipe.read("postfix/main.cf", service.addresses)


@pytest.fixture
def postfix(directory, service, settings):
    mta = Postfix(directory, service.addresses["lmtp"], settings)
    yield mta
    mta.stop()
    print(mta.log()[-3000:])
    assert "status=bounced" not in mta.log()


def test_a_full_mailbox_is_refused_at_rcpt_and_the_good_one_gets_one_copy(postfix, service):
    hand_over.check_refusals_at_rcpt(postfix, service)
    assert "status=deferred" not in postfix.log()


def test_refusals_by_size_carry_the_stores_codes(postfix, service):
    hand_over.check_refusals_by_size(postfix, service)


def test_postfix_knows_by_the_maps_who_exists(postfix, service):
    replies, stored = send(postfix.address, ["nobody@example.org"], letter(new_key()))
    assert replies[0].startswith("550 5.1.1 <nobody@example.org>") and "relay recipient table" in replies[0], replies
    assert stored is None
    maps = f"socketmap:inet:{service.addresses['socketmap']}"
    assert postfix.command("postmap", "-q", "example.org", f"{maps}:domain") == "example.org\n"
    assert postfix.command("postmap", "-q", "info@example.org", f"{maps}:mailbox") == "alice@example.org\n"


def test_what_comes_while_we_are_away_is_kept_by_the_sender(postfix, service):
    hand_over.check_away_and_back(postfix, service, at_rcpt=True)


class TestWithoutTheMap:
    @pytest.fixture
    def settings(self, settings):
        lines = [line for line in settings.splitlines(True) if "socketmap:" not in line]
        assert len(lines) == len(settings.splitlines()) - 1
        return "".join(lines)

    def test_what_comes_while_we_are_away_is_kept_by_postfix(self, postfix, service):
        hand_over.check_away_and_back(postfix, service, at_rcpt=False)


class TestWithNobodyToAsk:
    """The hop alone decides."""

    @pytest.fixture
    def settings(self, service):
        nobody = f"127.0.0.1:{harness.free_port()}"
        return recipe.read("postfix/main.cf", {**service.addresses, "policy": nobody})

    def test_a_full_mailbox_is_waited_for(self, postfix, service):
        hand_over.check_waits_for_room(postfix, service)


def test_kill_9_in_the_middle_of_500_letters_loses_none(postfix, service):
    hand_over.check_kills_in_the_middle(postfix, service)
