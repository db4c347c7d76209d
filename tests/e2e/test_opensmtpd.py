"""docker/recipes/opensmtpd: OpenSMTPD from Debian's package queues and hands over by LMTP."""

import os

import pytest

import hand_over
import harness
from hand_over import ALICE, SMALL, Service, drain
from letters import letter, new_key, send
from opensmtpd import OpenSmtpd

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a root directory of its own wants root")


@pytest.fixture
def service(start, store, api):
    hand_over.create_mailboxes(api)
    api.create_alias("info@example.org", ALICE)
    return Service(start, store, api)


@pytest.fixture
def settings():
    return {}


@pytest.fixture
def opensmtpd(directory, service, settings):
    mta = OpenSmtpd(directory, service.addresses, service.store.address, **settings)
    yield mta
    mta.stop()
    print(mta.log()[-3000:])
    assert "PermFail" not in mta.log(), "a bounce"


def test_a_full_mailbox_is_waited_for_and_the_good_one_gets_one_copy(opensmtpd, service):
    hand_over.check_waits_for_room(opensmtpd, service)
    assert '"mail.lmtp: LMTP server error: 452 4.2.2 <full@example.org>: Mailbox full (full@example.org: limit 0 messages' in opensmtpd.log()


def test_who_does_not_exist_is_refused_at_rcpt(opensmtpd, service):
    replies, stored = send(opensmtpd.address, ["nobody@example.org", "someone@example.com", "info@example.org",
                                               "alice+detail@example.org"], letter(new_key()))
    assert [r[:4] for r in replies] == ["550 ", "550 ", "250 ", "250 "], replies
    assert stored.startswith("250 "), stored
    # Handed over one by one, two addresses of a mailbox are two copies; or one, if the second
    # is there before OpenSMTPD has shown that it has the first one's 250.
    drain(opensmtpd, service, lambda: service.stored() in (1, 2))


class TestASmallerLimit:
    @pytest.fixture
    def settings(self):
        return {"max_message": "1M"}

    def test_what_is_too_large_is_refused_after_the_dot(self, opensmtpd, service):
        _, stored = send(opensmtpd.address, [ALICE], letter(new_key(), 1_100_000))
        assert stored.startswith("554 5.3.4 "), stored
        assert opensmtpd.queued() == service.stored() == 0


def test_what_is_larger_than_the_mailbox_waits_for_a_larger_one(opensmtpd, service):
    _, stored = send(opensmtpd.address, [SMALL], letter(new_key(), 400_000), size=400_000)
    assert stored.startswith("250 "), stored
    harness.poll(lambda: '"mail.lmtp: LMTP server error: 452 4.2.2 <small@' in opensmtpd.log(), "the hop's refusal")
    assert opensmtpd.queued() == 1
    harness.Cli(service.store.address)("mailbox", "set", SMALL, "--bytes", "1M")
    drain(opensmtpd, service, lambda: service.stored(SMALL) == 1)


def test_what_comes_while_we_are_away_arrives_later(opensmtpd, service):
    hand_over.check_away_and_back(opensmtpd, service, at_rcpt=False)


def test_kill_9_in_the_middle_of_500_letters_loses_none(opensmtpd, service):
    hand_over.check_kills_in_the_middle(opensmtpd, service)
