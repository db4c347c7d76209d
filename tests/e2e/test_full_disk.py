"""A file system that is full to the last block, or inode: an ordinary day.

Refusals are 452 4.3.1 at MAIL, at the dot at worst when somebody else took the
room; what was acknowledged is there; and everything that makes room works.
"""

import errno
import random
import threading

import pytest

import harness
from smtp_client import Smtp, message, stuffed

ALICE, BOB = "alice@example.org", "bob@example.org"
MEGABYTES, INODES = 40, 1000


@pytest.fixture
def volume(directory):
    small = harness.Volume(directory, MEGABYTES, INODES)
    yield small
    small.close()


@pytest.fixture
def start(volume, start):
    """What was started ends before its file system does."""
    return start


@pytest.fixture
def store(volume, start):
    return start(harness.Store, data_dir=volume.path / "data")


@pytest.fixture
def boxes(api):
    api.create_domain()
    api.create_mailbox(ALICE)
    api.create_mailbox(BOB)


class Other:
    """Another program on the same file system."""

    def __init__(self, volume):
        self.directory = volume.path / "other"
        self.directory.mkdir()

    def take_octets(self):
        """To the last block."""
        with open(self.directory / "file", "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                octets = b"x" * size
                try:
                    while file.write(octets):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def take_inodes(self):
        """To the last one."""
        try:
            for i in range(INODES):
                (self.directory / f"empty-{i}").touch()
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return
        raise AssertionError("there are more inodes than the file system was made with")

    def give_back(self):
        for path in self.directory.iterdir():
            path.unlink()


@pytest.fixture
def other(volume):
    return Other(volume)


class Mail:
    """What was acknowledged, by mailbox, in order."""

    def __init__(self, front, api):
        self.front, self.api = front, api
        self.kept = {ALICE: [], BOB: []}

    def deliver(self, address, size):
        """The reply; one refusal is as good as another here, but only at MAIL or DATA."""
        text = message(size, seed=random.getrandbits(32))
        with Smtp(self.front.smtp) as smtp:
            for step in (lambda: smtp.mail(size=size), lambda: smtp.rcpt(address), smtp.data):
                reply = step()
                if reply.code >= 400:
                    assert reply == "452 4.3.1", reply
                    return reply
            reply = smtp.text(text)
            assert reply == "250 2.0.0", f"after 354: {reply}"
        self.kept[address].append(text)
        return reply

    def fill(self):
        """Until nothing is taken any more, however small."""
        for size in (300_000, 10_000, 1_000):
            while self.deliver(random.choice((ALICE, BOB)), size) == 250:
                pass
        harness.poll(lambda: self.api.capacity().full or self.deliver(ALICE, 200) == 0, "the store to be full")

    def assert_kept(self):
        for address, texts in self.kept.items():
            stored = self.api.texts(address)
            assert len(stored) == len(texts)
            assert all(s.endswith(t) for s, t in zip(stored, texts)), address
            self.api.assert_exact(address)
        assert self.api.problems() == []


@pytest.fixture
def mail(front, api, boxes):
    return Mail(front, api)


def restart(store, front, api):
    store.restart()
    api.ready()
    with Smtp(front.smtp) as smtp:
        harness.poll(lambda: smtp.mail().code != 451, "the front end to find the store again")


def figures(api):
    return dict(api.status().engine_figures)


def ballast(api):
    return {name: amount for name, amount in figures(api).items() if name in ("ballast_bytes", "spare_files")}


def assert_refuses_at_mail(front):
    for size in (None, 0, 500, 1_000_000):
        with Smtp(front.smtp) as smtp:
            assert smtp.mail(size=size) == "452 4.3.1"
            assert smtp.command("NOOP") == 250
    with Smtp(front.lmtp, lmtp=True) as lmtp:
        assert lmtp.mail() == "452 4.3.1"


@pytest.mark.parametrize("by", ["mail", "octets", "inodes"])
def test_what_works_while_it_is_full_and_that_it_ends_by_itself(by, store, front, api, cli, other, mail, directory):
    whole = ballast(api)
    assert whole["ballast_bytes"] >= MEGABYTES << 17 and whole["spare_files"] == 64
    for i in range(10):
        assert mail.deliver((ALICE, BOB)[i % 2], 100_000) == 250
    {"mail": mail.fill, "octets": other.take_octets, "inodes": other.take_inodes}[by]()
    for killed in (False, True):
        harness.poll(lambda: api.capacity().full, "the store to see it")
        assert_refuses_at_mail(front)
        mail.assert_kept()
        cli("mailbox", "set", ALICE, "--bytes", "1G" if killed else "2G")
        cli("domain", "set", "example.org", "--max-bytes", "3G" if killed else "4G")
        first = api.messages(ALICE)[0]
        cli("message", "delete", ALICE, first.uid)
        mail.kept[ALICE].pop(0)
        mail.assert_kept()
        if not killed:
            assert figures(api)["index_reopened"] == 0 == figures(api)["failed_groups"]
            store.kill9()
            restart(store, front, api)
    cli("archive", BOB, "--older-than", "0", "--to", directory / "archive")
    assert len(list((directory / "archive").rglob("new/*")) + list((directory / "archive").rglob("cur/*"))) == len(
        mail.kept[BOB])
    mail.kept[BOB] = []
    mail.assert_kept()
    if by == "mail":
        # Half of the mail is gone: that is room, without anybody's help.
        harness.poll(lambda: mail.deliver(BOB, 1_000_000) == 250, "room for mail")
    else:
        assert_refuses_at_mail(front)
        other.give_back()
        harness.poll(lambda: mail.deliver(BOB, 1_000_000) == 250, "room for mail")
    harness.poll(lambda: ballast(api) == whole, "the ballast to be made again")
    assert figures(api)["index_reopened"] == 0 == figures(api)["failed_groups"]
    mail.assert_kept()
    store.kill9()
    restart(store, front, api)
    mail.assert_kept()


def under_way(front, volume, text):
    """A connection that has its 354 and has sent the first half of the text."""
    smtp = Smtp(front.smtp)
    assert smtp.mail(size=len(text)) == 250
    assert smtp.rcpt(ALICE) == 250
    assert smtp.data() == 354
    sent = len(text) // 2
    smtp.send(stuffed(text)[:sent])
    parts = volume.path / "data/bodies"
    harness.poll(lambda: sum(p.stat().st_size for p in parts.glob("*.part")) > sent // 2, "the text to reach the disk")
    return smtp, stuffed(text)[sent:]


@pytest.mark.parametrize("size, taken", [(5_200_000, "octets"), (5_200_000, "inodes"), (16_000_000, "octets")])
def test_a_large_message_under_way_gets_what_is_promised_if_the_ballast_covers_it(
        size, taken, volume, front, api, other, mail):
    assert mail.deliver(ALICE, 50_000) == 250
    text = message(size)
    ballast_bytes = ballast(api)["ballast_bytes"]
    smtp, rest = under_way(front, volume, text)
    with smtp:
        {"octets": other.take_octets, "inodes": other.take_inodes}[taken]()
        smtp.send(rest)
        reply = smtp.reply()
        # Bodies get half of the ballast.
        if size // 2 > ballast_bytes:
            assert reply == "452 4.3.1"
        else:
            assert reply == "250 2.0.0"
            mail.kept[ALICE].append(text)
        assert smtp.command("NOOP") == 250
    harness.poll(lambda: api.capacity().full, "the store to see it")
    assert_refuses_at_mail(front)
    mail.assert_kept()
    harness.poll(lambda: not list((volume.path / "data/bodies").glob("*.part")), "what was refused to be gone")
    other.give_back()
    harness.poll(lambda: mail.deliver(BOB, 5_000_000) == 250, "room for mail")
    mail.assert_kept()


def subject(text):
    return text.split(b"\r\nSubject: ", 1)[1].split(b"\r\n", 1)[0].decode()


def test_while_another_program_takes_and_gives_room_every_reply_is_true(front, api, boxes, cli, other):
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)
    stop, lock = threading.Event(), threading.Lock()
    replies, failures, acknowledged, gone = [], [], {}, {}

    def send(number):
        choose = random.Random(seed + number)
        try:
            while not stop.is_set():
                key = f"{number}-{choose.getrandbits(64)}"
                text = message(choose.choice((500, 5_000, 60_000)), subject=key, seed=choose.getrandbits(32))
                with Smtp(front.smtp) as smtp:
                    reply = smtp.deliver(ALICE, text, size=len(text) if choose.random() < 0.5 else None)
                assert reply in ("250 2.0.0", "452 4.3.1"), reply
                with lock:
                    replies.append(reply.code)
                    if reply == 250:
                        acknowledged[key] = text
        except Exception as failure:  # shown below
            failures.append(failure)

    def await_replies(code):
        goal = replies.count(code) + 4
        harness.poll(lambda: failures or replies.count(code) >= goal, f"replies {code}")
        assert not failures, failures

    senders = [threading.Thread(target=send, args=(i,), daemon=True) for i in range(4)]
    for sender in senders:
        sender.start()
    for round_ in range(8):
        await_replies(250)
        other.take_octets() if round_ % 2 == 0 else other.take_inodes()
        await_replies(452)
        # Mail alone must not fill it.
        old = api.messages(ALICE)[:-20]
        gone.update({subject(api.read(m.name)): api.read(m.name) for m in old})
        if old:
            cli("message", "delete", ALICE, *(m.uid for m in old))
        other.give_back()
    stop.set()
    for sender in senders:
        sender.join(harness.PATIENCE)
        assert not sender.is_alive()
    assert not failures, failures

    stored = api.texts(ALICE)
    assert len(stored) + len(gone) == len(acknowledged)
    there = {**gone, **{subject(text): text for text in stored}}
    assert there.keys() == acknowledged.keys()
    assert all(text.endswith(acknowledged[key]) for key, text in there.items())
    assert figures(api)["index_reopened"] == 0
    assert cli.run("store", "verify").returncode == 0
