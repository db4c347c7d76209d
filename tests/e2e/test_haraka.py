"""client/haraka: Haraka from npm holds one transaction with the store from MAIL to the reply to the dot."""

import base64
import codecs
import hashlib
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess

import pytest

import hand_over
import harness
import smtp_client
from api import common
from hand_over import ALICE, MAX_MESSAGE, SMALL
from haraka import PLUGIN, Haraka
from letters import Sender, assert_arrived, letter, new_key, send
from lost_reply import keep, lose, mail
from smtp_client import Smtp
from test_tls import make_certificate


@pytest.fixture
def options():
    return {"store": ["--max-message", MAX_MESSAGE], "front": []}


class Service:
    """A store, and Haraka which is its front end."""

    def __init__(self, store, api, mta):
        self.store, self.api, self.mta = store, api, mta

    def kill(self, which):
        {"store": self.store, "Haraka": self.mta}[which].kill9()

    def start_again(self, which):
        if which == "store":
            self.store.start()
            self.api.ready()
        else:
            self.mta.start()

    def stored(self, address=ALICE):
        return self.api.usage(address).messages


@pytest.fixture
def patience():
    """Seconds."""
    return 12


def stuffed(text):
    """As it goes over the wire, the final dot included."""
    return text.replace("\r\n.", "\r\n..") + ".\r\n"


@pytest.fixture
def haraka(directory, store, api, patience):
    hand_over.create_mailboxes(api)
    mta = Haraka(directory, store.address, patience)
    yield mta
    ended = mta.process.poll()
    mta.stop()
    print(mta.log()[-3000:])
    assert ended is None, f"Haraka ended by itself: {ended}"


@pytest.fixture
def service(store, api, haraka):
    return Service(store, api, haraka)


def test_a_full_mailbox_is_refused_at_rcpt_and_the_good_one_gets_one_copy(haraka, service):
    hand_over.check_refusals_at_rcpt(haraka, service)


def test_refusals_carry_the_stores_codes(haraka, service):
    replies, stored = send(haraka.address, ["nobody@example.org", "someone@example.com"], letter(new_key()))
    assert [r[:10] for r in replies] == ["550 5.1.1 ", "550 5.7.1 "] and stored is None, replies
    replies, stored = send(haraka.address, [SMALL], letter(new_key()), 400_000)
    assert replies[0].startswith("552 5.2.3 ") and stored is None, replies
    replies, stored = send(haraka.address, [ALICE], letter(new_key()), MAX_MESSAGE + 1)
    assert replies[0].startswith("552 5.3.4 ") and stored is None, replies
    # After the dot Haraka has one code for what is temporary, and one for what is not.
    _, stored = send(haraka.address, [SMALL], letter(new_key(), 120_000))
    assert stored.startswith("450 4.2.2 "), stored
    _, stored = send(haraka.address, [ALICE], letter(new_key(), MAX_MESSAGE + 1))
    assert stored.startswith("550 5.3.4 "), stored
    assert service.stored() == service.stored(SMALL) == 0
    service.api.await_nothing_reserved(ALICE, SMALL)


def in_node(value, script):
    """`output` of a script in the plugin's folder, given `input`."""
    script = f"let input = JSON.parse(require('fs').readFileSync(0)), output;{script};console.log(JSON.stringify(output))"
    done = subprocess.run(["node", "-e", script], cwd=PLUGIN, check=True, input=json.dumps(value).encode(),
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def test_the_plugin_has_the_front_ends_replies():
    codes = dict(re.findall(r"ReplyCode (k\w+)(\{\d+, \d, \d)", (PLUGIN / "../smtp/reply.h").read_text()))
    rows = re.findall(r'\{v1::(OUTCOME_\w+), (k\w+), "(.*?)"', (PLUGIN / "../smtp/outcome_reply.cc").read_text())
    expected = {outcome: [*map(int, re.findall(r"\d+", codes[code])), text] for outcome, code, text in rows}
    assert len(expected) > 15
    all_replies = in_node(common.Outcome.keys(), """
      const { forOutcome } = require('./reply')
      output = input.map((outcome) => [outcome, forOutcome(outcome)]).map(([o, { code, reply }]) => [o, code, reply])""")
    for outcome, code, text in all_replies:
        major, subject, detail, words = expected.get(outcome, [451, 3, 0, "Temporary failure, try again later"])
        assert (code, text) == (major, f"{major // 100}.{subject}.{detail} {words}"), outcome


def test_the_plugin_has_the_front_ends_digests():
    vectors = (pathlib.Path(__file__).parents[1] / "smtp/content_digest_vectors.txt").read_text().splitlines()
    cases = [line.split("\t") for line in vectors if not line.startswith("#")]
    unescaped = [[codecs.decode(column, "unicode_escape").encode("latin-1") for column in columns] for columns in cases]
    digests = in_node([[who == b"trusted", base64.b64encode(text).decode()] for who, text, _ in unescaped], """
      const ContentDigest = require('./content_digest')
      const digest = (trusted, pieces) => {
        const digest = new ContentDigest(trusted)
        pieces.forEach((piece) => digest.update(piece))
        return digest.finish().toString('hex')
      }
      output = input.map(([trusted, base64]) => {
        const text = Buffer.from(base64, 'base64')
        const cuts = [...text.keys()].map((at) => digest(trusted, [text.subarray(0, at), text.subarray(at)]))
        return [digest(trusted, [...text].map((octet) => Buffer.of(octet))), ...cuts]
      })""")
    assert len(digests) == len(cases) > 20
    for columns, (_, _, digested), found in zip(cases, unescaped, digests):
        expected = "" if digested == b"none" else hashlib.sha256(digested).hexdigest()
        assert set(found) == {expected}, columns


def assert_behind_its_trace(text, sent):
    received, _, rest = text.partition(b"\r\nFrom: ")
    assert received.startswith(b"Received: from client.example.net"), received
    assert b"From: " + rest == sent.encode()


def test_texts_arrive_octet_by_octet(haraka, service):
    for size in (1, 70_000, 1_500_000):
        sent = letter(new_key(), size)
        _, stored = send(haraka.address, [ALICE], sent)
        assert stored.startswith("250 2.0.0 Stored as "), stored
        assert_behind_its_trace(service.api.texts(ALICE)[-1], sent)


def test_a_long_text_waits_for_a_store_that_stands_still(haraka, service):
    sent = letter(new_key(), 1_500_000)
    with Sender(haraka.address) as sender:
        sender.smtp.mail("sender@example.net")
        assert sender.smtp.rcpt(ALICE)[0] == 250
        assert sender.smtp.docmd("DATA")[0] == 354
        service.store.program.freeze()
        try:
            sender.smtp.send(stuffed(sent))
            sender.smtp.sock.settimeout(1)
            with pytest.raises(TimeoutError):
                sender.smtp.sock.recv(1)
        finally:
            os.kill(service.store.program.pid, signal.SIGCONT)
        sender.smtp.sock.settimeout(harness.PATIENCE)
        assert sender.smtp.getreply()[0] == 250
    text, = service.api.texts(ALICE)
    assert_behind_its_trace(text, sent)


def test_who_leaves_before_the_dot_leaves_nothing_reserved(haraka, service):
    for leave in ("RSET", "a new MAIL", "QUIT", "a lost connection", "a connection lost within the text"):
        with Sender(haraka.address) as sender:
            sender.smtp.mail("sender@example.net", ["SIZE=1000"])
            assert sender.smtp.rcpt(ALICE)[0] == 250
            assert service.api.usage(ALICE).reserved_messages == 1
            if leave == "RSET":
                sender.smtp.rset()
            elif leave == "a new MAIL":
                sender.smtp.mail("sender@example.net")
            elif leave == "QUIT":
                sender.smtp.quit()
            elif leave == "a connection lost within the text":
                assert sender.smtp.docmd("DATA")[0] == 354
                sender.smtp.send("Subject: half a lett")
            if leave in ("RSET", "QUIT"):
                service.api.await_nothing_reserved(ALICE)
        service.api.await_nothing_reserved(ALICE)
    assert service.stored() == 0


def test_room_that_was_reserved_is_kept_until_the_dot(haraka, service):
    with Sender(haraka.address) as slow, Sender(haraka.address) as quick:
        slow.smtp.mail("sender@example.net", ["SIZE=60000"])
        assert slow.smtp.rcpt(SMALL)[0] == 250
        replies, _ = quick.send([SMALL], letter(new_key()), 60_000)
        assert replies[0].startswith("452 4.2.2 "), replies
        key = new_key()
        assert slow.smtp.data(letter(key, 59_000))[0] == 250
    assert_arrived(service.api, SMALL, [key], once=True)


def test_what_comes_while_the_store_is_away_is_kept_by_the_sender(haraka, service):
    hand_over.check_away_and_back(haraka, service, at_rcpt=True, victims=["store"])


def test_kill_9_in_the_middle_of_500_letters_makes_each_arrive_once(haraka, service):
    hand_over.check_kills_in_the_middle(haraka, service, victims=["store", "Haraka"])


def test_a_lost_reply_makes_no_second_copy_whatever_is_killed(haraka, service):
    for number, killed in enumerate((None, "store", "Haraka")):
        lose(haraka.address, mail(number))
        if killed:
            service.kill(killed)
            service.start_again(killed)
        keep(haraka.address, mail(number))
        assert service.stored() == 2 * number + 1, killed
        # The answer to the retry has arrived, so this is another message.
        keep(haraka.address, mail(number))
        assert service.stored() == 2 * number + 2, killed


def test_a_retry_is_recognised_whichever_front_end_it_comes_through(haraka, service, front):
    lose(haraka.address, mail(1) + b".a line\r\n..\r\n")
    keep(front.smtp, mail(1) + b".a line\r\n..\r\n")
    assert service.stored() == 1
    lose(front.smtp, b"Received: from one hop\r\n" + mail(2))
    keep(haraka.address, b"Received: from another\r\n\tby a third\r\n" + mail(2))
    assert service.stored() == 2


def test_equal_messages_whose_answers_arrived_are_as_many_as_were_sent(haraka, service):
    for _ in range(10):
        keep(haraka.address, mail(1))
    with Smtp(haraka.address) as smtp:
        for _ in range(50):
            assert smtp.deliver(ALICE, mail(1)) == 250
        assert smtp.command("QUIT") == 221
    assert service.stored() == 60


def test_it_is_the_same_in_tls(directory, haraka, service):
    certificate, key = make_certificate(directory)
    haraka.kill9()
    haraka.offer_tls(certificate, key)
    haraka.start()
    trust = ssl.create_default_context(cafile=certificate)

    def session():
        smtp = Smtp(haraka.address)
        assert smtp.command("STARTTLS") == 220
        smtp.socket = trust.wrap_socket(smtp.socket, server_hostname="mx.example.org")
        assert smtp.command("EHLO client.example.net") == 250
        return smtp

    for _ in range(2):
        with session() as smtp:
            for _ in range(3):
                assert smtp.deliver(ALICE, mail(1)) == 250
            assert smtp.command("QUIT") == 221
    assert service.stored() == 6
    smtp = session()
    assert [smtp.mail(), smtp.rcpt(ALICE), smtp.data()] == [250, 250, 354]
    smtp.send(smtp_client.stuffed(mail(2)) + b"QUIT\r\n")
    harness.poll(lambda: service.stored() == 7, "the first attempt")
    smtp.reset()
    with session() as smtp:
        assert smtp.deliver(ALICE, mail(2)) == 250
    assert service.stored() == 7


def test_equal_messages_without_a_message_id_are_two(haraka, service):
    lose(haraka.address, mail(1, message_id=False))
    keep(haraka.address, mail(1, message_id=False))
    assert service.stored() == 2


def test_what_was_pipelined_behind_the_dot_proves_nothing(haraka, service):
    lose(haraka.address, mail(1), behind=b"QUIT\r\n")
    keep(haraka.address, mail(1))
    assert service.stored() == 1
    # It comes while Haraka waits for the store.
    with Smtp(haraka.address) as smtp:
        assert [smtp.mail(), smtp.rcpt(ALICE), smtp.data()] == [250, 250, 354]
        service.store.program.freeze()
        try:
            smtp.send(smtp_client.stuffed(mail(2)))
            harness.poll(lambda: "message mid=<2@example.net>" in haraka.log(), "Haraka to have the text")
            smtp.send(b"MAIL FROM:<sender@example.net>\r\n")
        finally:
            os.kill(service.store.program.pid, signal.SIGCONT)
        assert smtp.peek() == b"250"
        smtp.reset()
    keep(haraka.address, mail(2))
    assert service.stored() == 2


class TestLittlePatience:
    @pytest.fixture
    def patience(self):
        return 1

    def test_an_outcome_that_nobody_can_tell_is_temporary(self, haraka, service):
        key = new_key()
        text = letter(key)
        with Sender(haraka.address) as sender:
            sender.smtp.mail("sender@example.net")
            assert sender.smtp.rcpt(ALICE)[0] == 250
            assert sender.smtp.docmd("DATA")[0] == 354
            service.store.program.freeze()
            try:
                sender.smtp.send(stuffed(text))
                code, words = sender.smtp.getreply()
            finally:
                os.kill(service.store.program.pid, signal.SIGCONT)
            assert code == 450 and words.startswith(b"4.3.0 "), (code, words)
        assert "whether the message is stored is not known" in haraka.log()
        harness.poll(lambda: (send(haraka.address, [ALICE], text)[1] or "").startswith("250 "),
                     "the sender's retry")
        assert_arrived(service.api, ALICE, [key], once=True)
        service.api.await_nothing_reserved(ALICE)
