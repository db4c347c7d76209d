"""README's "452: what now?": each way out is one command, and mail is taken again."""

import json

import pytest

import harness
from smtp_client import Smtp, message


@pytest.fixture
def full(front, api, cli):
    """alice's mailbox with three messages and room for no other; their texts."""
    cli("domain", "create", "example.org")
    cli("mailbox", "create", "alice@example.org", "--messages", 3)
    texts = [message(5_000 + i, seed=i) for i in range(3)]
    with Smtp(front.smtp) as smtp:
        for text in texts:
            assert smtp.deliver("alice@example.org", text) == "250 2.0.0"
        assert smtp.deliver("alice@example.org", texts[0]) == "452 4.2.2"
    return texts


def assert_taken(front, api):
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(4_000, seed=77)) == "250 2.0.0"
    api.assert_exact("alice@example.org")


def maildir(path):
    """The messages of all Maildirs below `path`, headers of the export cut off."""
    files = [p for p in path.rglob("*") if p.is_file() and p.parent.name in ("new", "cur")]
    assert not [p for p in path.rglob("tmp/*")], "something was left in tmp"
    return sorted(p.read_bytes() for p in files)


def assert_same(files, texts):
    assert len(files) == len(texts)
    for text in texts:
        unix = text.replace(b"\r\n", b"\n")
        assert sum(file.endswith(unix) for file in files) == 1


def test_clear_space(front, api, cli, full):
    first = api.messages("alice@example.org")[0]
    cli("message", "delete", "alice@example.org", first.uid)
    assert first.uid not in [m.uid for m in api.messages("alice@example.org")]
    assert_taken(front, api)


def test_raise_the_quota(front, api, cli, full):
    cli("mailbox", "set", "alice@example.org", "--messages", 4)
    assert_taken(front, api)
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(4_000)) == "452 4.2.2"


def test_archive_old_messages(front, api, cli, full, directory):
    assert cli.run("archive", "alice@example.org", "--older-than", "365d", "--to", directory / "old").returncode == 0
    assert api.usage("alice@example.org").messages == 3, "nothing is a year old"
    cli("archive", "alice@example.org", "--older-than", "0", "--to", directory / "archive")
    assert api.usage("alice@example.org").messages == 0 == api.usage("alice@example.org").bytes
    assert_same(maildir(directory / "archive"), full)
    assert_taken(front, api)


def test_an_archive_that_cannot_be_written_deletes_nothing(api, cli, full, directory):
    (directory / "a-file").write_text("in the way")
    done = cli.run("archive", "alice@example.org", "--older-than", "0", "--to", directory / "a-file")
    assert done.returncode != 0 and b"a-file" in done.stderr
    assert api.usage("alice@example.org").messages == 3


def test_raise_a_domains_pool(front, api, cli, full):
    cli("mailbox", "set", "alice@example.org", "--messages", "unlimited")
    cli("domain", "set", "example.org", "--max-bytes", "16K")
    with Smtp(front.smtp) as smtp:
        assert smtp.deliver("alice@example.org", message(9_000), size=9_000) == "452 4.3.1"
    cli("domain", "set", "example.org", "--max-bytes", "1M")
    assert_taken(front, api)


def test_export_is_the_way_out_of_it_all(api, cli, full, directory):
    cli("export", "maildir", directory / "export", "--from", "alice@example.org")
    assert_same(maildir(directory / "export"), full)
    assert api.usage("alice@example.org").messages == 3


def test_the_figures_are_exact_in_json_and_for_people_in_tables(api, cli, full):
    used = api.usage("alice@example.org").bytes
    assert str(used) in cli("--output", "json", "quota", "show", "alice@example.org").decode()
    json.loads(cli("--output", "json", "mailbox", "show", "alice@example.org"))
    json.loads(cli("--output", "json", "status"))
    listed = [json.loads(line) for line in cli("--output", "json", "message", "list", "alice@example.org").splitlines()]
    assert [m["uid"] for m in listed] == [m.uid for m in api.messages("alice@example.org")]
    assert b"K" in cli("quota", "show", "alice@example.org")
    assert cli.run("quota", "recalculate", "alice@example.org").returncode == 0
    assert b"alice@example.org" in cli("status")


class TestDisk:
    @pytest.fixture
    def options(self):
        return {"store": ["--max-disk", "48M"], "front": []}

    def test_archiving_everything_empties_a_full_disk(self, front, api, cli, directory):
        cli("domain", "create", "example.org")
        cli("mailbox", "create", "alice@example.org")
        text = message(1_000_000)
        with Smtp(front.smtp) as smtp:
            stored = 0
            while smtp.deliver("alice@example.org", text, size=len(text)) == "250 2.0.0":
                stored += 1
                assert stored < 100, "48M never fill"
            assert smtp.mail(size=len(text)) == "452 4.3.1"
            smtp.command("RSET")
            assert stored >= 10 and api.usage("alice@example.org").messages == stored
            cli("archive", "--all", "--older-than", "0", "--to", directory / "archive")
            assert len(maildir(directory / "archive")) == stored
            assert api.usage("alice@example.org").messages == 0
            harness.poll(lambda: smtp.deliver("alice@example.org", text, size=len(text)) == "250 2.0.0", "room on the disk")
        api.assert_exact("alice@example.org")
