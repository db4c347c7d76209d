"""restante apply: the store gets what a file lists."""

import json

import pytest

from smtp_client import Smtp

ROWS = """domain,mailbox,alias,bytes,messages,state,default_bytes,catch_all
example.org,,,,,,1G,alice@example.org
,alice@example.org,,2G,,active,,
,bob@example.org,,,7,hold,,
,alice@example.org,info@example.org,,,,,
"""
NOTHING = {"created": 0, "updated": 0, "disabled": 0, "unchanged": 4, "failed": 0}


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def show(cli):
    """show(ADDRESS): the mailbox as `mailbox show` prints it."""
    return lambda address: json.loads(cli("--output", "json", "mailbox", "show", address))


@pytest.fixture
def apply(cli):
    """apply(text, option...): what it counted."""
    return lambda text, *options: json.loads(cli("--output", "json", "apply", "-", *options, stdin=text.encode()))


def test_what_is_listed_is_made_and_made_again_changes_nothing(apply, api, front, show):
    assert apply(ROWS) == {**NOTHING, "created": 4, "updated": 1, "unchanged": 0}
    assert apply(ROWS) == NOTHING
    assert show("alice@example.org")["bytes"] == 2 << 30
    with Smtp(front.smtp) as client:
        assert client.deliver("info@example.org", b"Subject: a\r\n\r\ntext\r\n").code == 250
        assert client.deliver("anybody@example.org", b"Subject: a\r\n\r\ntext\r\n").code == 250
        assert client.deliver("bob@example.org", b"Subject: a\r\n\r\ntext\r\n") == "450 4.2.1"
    assert api.usage("alice@example.org").messages == 2
    changed = ROWS.replace("2G", "3G").replace("hold", "active")
    assert apply(changed) == {**NOTHING, "updated": 2, "unchanged": 2}
    assert show("alice@example.org")["bytes"] == 3 << 30


def test_a_dry_run_shows_the_difference_and_changes_nothing(apply, cli):
    shown = cli("apply", "-", "--dry-run", stdin=ROWS.encode()).decode()
    assert shown.splitlines() == [
        "+ domain example.org default_bytes=1G",
        "+ mailbox alice@example.org bytes=2G state=active",
        "+ mailbox bob@example.org messages=7 state=hold",
        "+ alias info@example.org mailbox=alice@example.org",
        "~ domain example.org catch_all: none -> alice@example.org"]
    assert not json_lines(cli("--output", "json", "domain", "list"))
    apply(ROWS)
    shown = cli("apply", "-", "--dry-run", stdin=ROWS.replace("2G", "3G").encode()).decode()
    assert shown.splitlines() == ["~ mailbox alice@example.org bytes: 2G -> 3G"]


def test_what_list_prints_can_be_applied(apply, cli):
    apply(ROWS)
    for kind, count in (("domain", 1), ("mailbox", 2), ("alias", 1)):
        listed = cli("--output", "json", kind, "list")
        assert apply(listed.decode()) == {**NOTHING, "unchanged": count}, kind


def test_a_bad_row_in_the_middle_changes_nothing(cli):
    done = cli.run("apply", "-", stdin=ROWS.replace("hold", "asleep").encode())
    assert done.returncode == 2
    assert b"standard input:4: state: `asleep` is not active, hold or disabled" in done.stderr
    assert b"nothing was changed: 1 row is wrong" in done.stderr
    assert not json_lines(cli("--output", "json", "domain", "list"))


def test_what_the_store_refuses_is_named_and_the_rest_is_done(cli):
    done = cli.run("--output", "json", "apply", "-",
                   stdin=ROWS.encode() + b",eve@elsewhere.example,,,,,,\n,nobody@example.org,x@example.org,,,,,\n")
    assert done.returncode == 1
    assert json.loads(done.stdout)["created"] == 4 and json.loads(done.stdout)["failed"] == 2
    assert b"-:6: " in done.stderr and b"elsewhere.example" in done.stderr and b"-:7: " in done.stderr
    assert b"2 of 7 changes were refused" in done.stderr


def test_names_are_compared_as_the_store_has_them(apply):
    rows = '{"domain": "Bücher.example"}\n{"mailbox": "GRÖẞE@bücher.example"}\n{"mailbox": "Anna@BÜCHER.example"}\n'
    assert apply(rows)["created"] == 3
    assert apply(rows, "--disable-missing") == {**NOTHING, "unchanged": 3}


class TestMissing:
    @pytest.fixture(autouse=True)
    def twenty(self, apply):
        apply("mailbox,domain\n,example.org\n,other.example\n" + "".join(f"m{i}@example.org,\n" for i in range(20)) +
              "x@other.example,\n")

    def rows(self, count):
        return "mailbox\n" + "".join(f"m{i}@example.org\n" for i in range(count))

    def test_they_are_disabled_where_the_rows_name_the_domain(self, apply, show):
        assert apply(self.rows(18), "--disable-missing")["disabled"] == 2
        states = {address: show(address)["state"]
                  for address in ("m17@example.org", "m18@example.org", "x@other.example")}
        assert [states[a] for a in sorted(states)] == ["active", "disabled", "active"]
        assert apply(self.rows(18), "--disable-missing")["disabled"] == 0, "they are disabled already"

    def test_more_than_a_tenth_are_not_without_force(self, apply, cli, show):
        done = cli.run("apply", "-", "--disable-missing", stdin=self.rows(17).encode())
        assert done.returncode == 1 and b"3 of 20 mailboxes have no row" in done.stderr
        assert show("m19@example.org")["state"] == "active"
        shown = cli("apply", "-", "--disable-missing", "--dry-run", stdin=self.rows(17).encode()).decode()
        assert shown.splitlines() == [f"- mailbox m{i}@example.org state: active -> disabled" for i in (17, 18, 19)]
        assert apply(self.rows(17), "--disable-missing", "--force")["disabled"] == 3
        assert show("m19@example.org")["state"] == "disabled"


def test_a_hundred_thousand_rows(apply, cli, show):
    count = 100_000
    rows = "mailbox,bytes,domain\n,,example.org\n" + "".join(
        f"user{i:06}@example.org,{1 + i % 9}G,\n" for i in range(count))
    assert apply(rows)["created"] == count + 1
    assert apply(rows)["unchanged"] == count + 1
    assert json.loads(cli("--output", "json", "status"))["mailboxes"] == count
    assert show("user099999@example.org")["bytes"] == (1 + 99_999 % 9) << 30
