"""A connection cut at any point of a transaction leaves nothing behind before the dot."""

import pytest

import harness
from smtp_client import Smtp, message, stuffed

TEXT = message(100_000)


def after_mail(smtp):
    assert smtp.mail(size=len(TEXT)) == 250


def after_rcpt(smtp):
    after_mail(smtp)
    assert smtp.rcpt("alice@example.org") == 250


def after_data(smtp):
    after_rcpt(smtp)
    assert smtp.data() == 354


def half_of_the_body(smtp):
    after_data(smtp)
    smtp.send(stuffed(TEXT)[: len(TEXT) // 2])


def before_the_dot(smtp):
    after_data(smtp)
    smtp.send(stuffed(TEXT)[: -len(b".\r\n")])


def within_the_dot(smtp):
    after_data(smtp)
    smtp.send(stuffed(TEXT)[: -len(b"\r\n")])


def before_the_last_octet(smtp):
    after_data(smtp)
    smtp.send(stuffed(TEXT)[:-1])


@pytest.fixture
def alice(api):
    api.create_domain()
    api.create_mailbox("alice@example.org", max_bytes=150_000)


@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize("point", [after_mail, after_rcpt, after_data, half_of_the_body, before_the_dot,
                                   within_the_dot, before_the_last_octet], ids=lambda f: f.__name__)
def test_nothing_is_stored_and_the_room_comes_back(front, api, alice, point, cut):
    smtp = Smtp(front.smtp)
    point(smtp)
    if point is not after_mail:
        assert api.usage("alice@example.org").reserved_bytes > 0
    getattr(smtp, cut)()
    api.await_nothing_reserved("alice@example.org")
    assert api.messages("alice@example.org") == [] and api.usage("alice@example.org").bytes == 0
    with Smtp(front.smtp) as again:
        assert again.deliver("alice@example.org", TEXT, size=len(TEXT)) == "250 2.0.0"
    api.assert_exact("alice@example.org")


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_after_the_dot_it_is_stored_whole_or_not_at_all(front, api, alice, cut):
    smtp = Smtp(front.smtp)
    after_data(smtp)
    smtp.send(stuffed(TEXT))
    getattr(smtp, cut)()
    if cut == "close":
        # The octets came before the end of the connection, so the text is whole.
        harness.poll(lambda: api.usage("alice@example.org").messages == 1, "the message")
    api.await_nothing_reserved("alice@example.org")
    assert len(api.messages("alice@example.org")) <= 1
    for text in api.texts("alice@example.org"):
        assert text.endswith(TEXT)
    api.assert_exact("alice@example.org")


def test_quit_rset_and_a_second_hello_give_the_room_back(front, api, alice):
    with Smtp(front.smtp) as smtp:
        for end in ("RSET", "EHLO again.example.net", "HELO again.example.net"):
            after_rcpt(smtp)
            assert api.usage("alice@example.org").reserved_bytes > 0
            assert smtp.command(end) == 250
            api.await_nothing_reserved("alice@example.org")
        after_rcpt(smtp)
        assert smtp.command("QUIT") == "221 2.0.0"
    api.await_nothing_reserved("alice@example.org")


def test_a_front_end_that_dies_gives_the_room_back(front, api, alice):
    with Smtp(front.smtp) as smtp:
        half_of_the_body(smtp)
        assert api.usage("alice@example.org").reserved_bytes > 0
        front.program.kill9()
        api.await_nothing_reserved("alice@example.org")
    assert api.messages("alice@example.org") == []
