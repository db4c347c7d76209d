"""One recipient after another: sizes that lie, hoarders, bounds, and who is told what."""

import pytest

import harness
from api import mailbox
from smtp_client import Smtp, message


@pytest.fixture
def domain(api):
    api.create_domain()


def test_a_size_declared_too_large_is_charged_as_it_came(front, api, domain):
    api.create_mailbox("alice@example.org", max_bytes=2_000_000)
    text = message(1_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", text, size=1_000_000) == "250 2.0.0"
    assert len(text) < api.usage("alice@example.org").bytes < len(text) + 1_000
    api.assert_exact("alice@example.org")
    api.await_nothing_reserved("alice@example.org")


def test_a_size_declared_too_small_is_taken_where_there_is_room(front, api, domain):
    api.create_mailbox("alice@example.org", max_bytes=2_000_000)
    text = message(1_500_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", text, size=1_000) == "250 2.0.0"
    assert api.texts("alice@example.org")[0].endswith(text)
    api.assert_exact("alice@example.org")


def test_a_size_declared_too_small_is_refused_at_the_dot_where_there_is_none(front, api, domain):
    api.create_mailbox("alice@example.org", max_bytes=50_000)
    text = message(100_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.mail("liar@example.net", size=1_000) == 250
        assert smtp.rcpt("alice@example.org") == 250
        assert smtp.data() == 354
        assert smtp.text(text) == "452 4.2.2"
        # Remembered for this reverse path, so that a retry cannot hold up others.
        assert smtp.mail("liar@example.net", size=1_000) == 250
        assert smtp.rcpt("alice@example.org") == "452 4.2.2"
        assert smtp.command("RSET") == 250
        assert smtp.deliver("alice@example.org", message(1_000), sender="honest@example.net") == "250 2.0.0"
    assert api.usage("alice@example.org").messages == 1
    api.assert_exact("alice@example.org")
    api.await_nothing_reserved("alice@example.org")


def test_outgrown_under_permfail_is_permanent_only_if_it_would_never_fit(front, api):
    api.create_domain(over_quota=mailbox.PERMFAIL)
    api.create_mailbox("alice@example.org", max_bytes=50_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(100_000), size=1_000) == "552 5.2.2"
    assert api.usage("alice@example.org").messages == 0


def test_without_size_the_room_that_is_left_is_enough_for_what_fits(front, api, domain):
    api.create_mailbox("alice@example.org", max_bytes=10_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(8_000)) == "250 2.0.0"
        assert smtp.deliver("alice@example.org", message(8_000)) == "452 4.2.2"
    assert api.usage("alice@example.org").messages == 1
    api.assert_exact("alice@example.org")


def test_a_message_that_no_retry_can_fit_is_refused_for_good(front, api, domain):
    api.create_mailbox("alice@example.org", max_bytes=100_000)
    api.create_mailbox("closed@example.org", max_bytes=0)
    with Smtp(front.smtp) as smtp:
        assert smtp.mail(size=300_000) == 250
        assert smtp.rcpt("alice@example.org") == "552 5.2.3"
        assert smtp.rcpt("closed@example.org") == "452 4.2.2"
        assert smtp.command("RSET") == 250
        assert smtp.mail(size=120_000) == 250
        assert smtp.rcpt("alice@example.org") == "452 4.2.2"


def test_above_the_servers_maximum_is_refused_at_mail_and_at_the_dot(front, api, domain):
    maximum = api.capacity().max_message_bytes
    api.create_mailbox("alice@example.org")

    def advertised():
        """The number behind SIZE; none before the store was asked for it."""
        with Smtp(front.smtp) as smtp:
            return next((int(line[9:]) for line in smtp.hello.lines if line[4:].startswith("SIZE ")), None)

    # What is left beside the trace header.
    assert maximum - 1000 < harness.poll(advertised, "a maximum in EHLO") < maximum
    with Smtp(front.smtp) as smtp:
        assert smtp.mail(size=maximum + 1) == "552 5.3.4"
        assert smtp.deliver("alice@example.org", message(maximum + 1)) == "552 5.3.4"
        assert smtp.deliver("alice@example.org", message(1_000)) == "250 2.0.0"
    assert api.usage("alice@example.org").messages == 1


def test_six_recipients_are_told_each_their_own(front, api, domain, cli):
    api.create_mailbox("alice@example.org")
    api.create_alias("info@example.org", "alice@example.org")
    api.create_mailbox("full@example.org", max_messages=0)
    api.create_mailbox("disabled@example.org", state=mailbox.Mailbox.DISABLED)
    text = message(2_000)
    with Smtp(front.smtp) as smtp:
        assert smtp.mail(size=len(text)) == "250 2.1.0"
        assert smtp.rcpt("alice@example.org") == "250 2.1.5"
        assert smtp.rcpt("info@example.org") == "250 2.1.5"
        assert smtp.rcpt("full@example.org") == "452 4.2.2"
        assert smtp.rcpt("nobody@example.org") == "550 5.1.1"
        assert smtp.rcpt("someone@example.com") == "550 5.7.1"
        assert smtp.rcpt("disabled@example.org") == "550 5.2.1"
        assert smtp.data() == 354
        assert smtp.text(text) == "250 2.0.0"
    stored = api.messages("alice@example.org")
    assert len(stored) == 1 and api.usage("alice@example.org").bytes == stored[0].size_bytes
    assert cli("message", "cat", "alice@example.org", stored[0].uid).endswith(text)
    api.await_nothing_reserved("alice@example.org", "full@example.org", "disabled@example.org")


def test_lmtp_answers_each_recipient_after_the_dot(front, api, domain):
    api.create_mailbox("alice@example.org", max_bytes=50_000)
    api.create_mailbox("bob@example.org")
    text = message(100_000)
    with Smtp(front.lmtp, lmtp=True) as lmtp:
        assert lmtp.mail() == "250 2.1.0"
        assert lmtp.rcpt("alice@example.org") == "250 2.1.5"
        assert lmtp.rcpt("bob@example.org") == "250 2.1.5"
        assert lmtp.data() == 354
        assert lmtp.text(text) == "452 4.2.2"
        assert lmtp.reply() == "250 2.0.0"
    assert api.usage("alice@example.org").messages == 0
    assert api.texts("bob@example.org")[0].endswith(text)


class TestHoarders:
    @pytest.fixture
    def options(self):
        return {"store": ["--reserve-idle", "300ms", "--reserve-per-client", "10M"], "front": []}

    def test_a_silent_client_keeps_others_out_no_longer_than_reserve_idle(self, front, api, domain):
        api.create_mailbox("alice@example.org", max_bytes=100_000)
        text = message(90_000)
        with Smtp(front.smtp) as hoarder, Smtp(front.smtp) as sender:
            assert hoarder.mail(size=len(text)) == 250
            assert hoarder.rcpt("alice@example.org") == 250

            def let_in():
                assert sender.mail(size=len(text)) == 250
                reply = sender.rcpt("alice@example.org")
                if reply == 250:
                    return True
                assert reply == "452 4.2.2"
                assert sender.command("RSET") == 250
                return False

            harness.poll(let_in, "the hoarder's reservation to be taken")
            assert hoarder.data() == "452 4.2.2"
            assert sender.data() == 354
            assert sender.text(text) == "250 2.0.0"
        api.assert_exact("alice@example.org")
        api.await_nothing_reserved("alice@example.org")

    def test_after_354_nobody_takes_the_room(self, front, api, domain):
        api.create_mailbox("alice@example.org", max_bytes=100_000)
        api.create_mailbox("clock@example.org", max_bytes=100_000)
        text = message(90_000)
        with Smtp(front.smtp) as slow, Smtp(front.smtp) as hoarder, Smtp(front.smtp) as sender:
            assert slow.mail(size=len(text)) == 250
            assert slow.rcpt("alice@example.org") == 250
            assert slow.data() == 354
            # A reservation made later, in another mailbox, tells when the time is over.
            assert hoarder.mail(size=len(text)) == 250
            assert hoarder.rcpt("clock@example.org") == 250

            def taken():
                assert sender.mail(size=len(text)) == 250
                reply = sender.rcpt("clock@example.org")
                assert sender.command("RSET") == 250
                return reply == 250

            harness.poll(taken, "the time to be over")
            assert sender.mail(size=len(text)) == 250
            assert sender.rcpt("alice@example.org") == "452 4.2.2"
            assert slow.text(text) == "250 2.0.0"
        api.assert_exact("alice@example.org")

    def test_one_client_address_cannot_reserve_more_than_its_bound(self, front, api, domain):
        api.create_mailbox("alice@example.org")
        opened = [Smtp(front.smtp, source="127.0.0.2") for _ in range(4)]
        refused = 0
        for smtp in opened:
            reply = smtp.mail(size=4 << 20)
            if reply == 250:
                reply = smtp.rcpt("alice@example.org")
            refused += reply == "450 4.2.1"
        assert refused == 2, "two of 4M fit into 10M, two do not"
        with Smtp(front.smtp, source="127.0.0.3") as other:
            assert other.mail(size=4 << 20) == 250
            assert other.rcpt("alice@example.org") == 250
            assert other.data() == 354
            assert other.text(message(4 << 20)) == "250 2.0.0"
        for smtp in opened:
            smtp.close()
        api.await_nothing_reserved("alice@example.org")


def test_a_refusal_explains_itself_to_the_operator(api, domain, cli, front, directory):
    api.create_mailbox("alice@example.org", max_bytes=1_000)
    letter = directory / "letter.eml"
    letter.write_bytes(message(2_000))
    done = cli.run("deliver", "--from", "sender@example.net", "--to", "alice@example.org", letter)
    assert done.returncode == 1
    assert b"alice@example.org" in done.stdout + done.stderr
    assert api.usage("alice@example.org").bytes == 0
