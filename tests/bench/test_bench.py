"""What the bench computes, parses and writes; it measures nothing here."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from bench import processes, readme, report, rounds  # noqa: E402
from bench.load import smtp_source  # noqa: E402


class Silent:
    def __init__(self):
        self.seen = []

    def step(self, doing):
        self.seen.append(doing)


def sample(rate, cpu=1.0):
    return rounds.Sample(count=rate, seconds=1, cpu_seconds=cpu, written_bytes=0, load_cpu_seconds=0)


def test_each_round_begins_with_another_one_and_the_first_is_not_counted():
    order, progress = [], Silent()
    samplers = {name: lambda name=name: order.append(name) or sample(len(order)) for name in "ab"}
    found = rounds.interleave(samplers, 2, progress)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert {name: [s.count for s in of] for name, of in found.items()} == {"a": [4, 5], "b": [3, 6]}
    assert progress.seen[:2] == ["a, warming up", "b, warming up"] and progress.seen[-1] == "b, round 2 of 2"


def test_a_ratio_is_the_median_over_the_rounds_not_of_the_medians():
    ours, theirs = [sample(r) for r in (100, 10, 100)], [sample(r) for r in (10, 1, 50)]
    assert rounds.ratio(ours, theirs) == 10
    assert rounds.median(ours, "rate") == 100


def test_processor_time_is_compared_by_what_was_done():
    assert rounds.cpu_ratio([sample(100, 1), sample(100, 3)], [sample(10, 4)]) == pytest.approx(0.05)


def test_goals_say_what_was_measured_and_whether_it_is_enough():
    assert report.Goal("rate", 12.34, unit="times", at_least=10).text() == \
        "goal: rate: at least 10 times; measured 12.3: reached"
    assert report.Goal("cost", 24576.0, unit="bytes", below=24576).text() == \
        "goal: cost: below 24,576 bytes; measured 24,576: NOT REACHED"
    assert report.Goal("p50", 1.0, at_most=1).reached
    assert report.Goal("writes", 1.4, below=1.5).text() == "goal: writes: below 1.5; measured 1.40: reached"
    assert report.Goal("rate", None, at_least=10).text() == "goal: rate: at least 10; not measured"


@pytest.mark.parametrize("value, text", [(0.0123456, "0.0123"), (1.5, "1.50"), (99.96, "100.0"), (12345.6, "12,346"),
                                         (0.0, "0"), (None, "-"), (1234, "1,234"), ("a", "a")])
def test_numbers_are_short_and_have_three_digits(value, text):
    assert report.number(value) == text


def test_a_table_is_text_and_markdown():
    table = report.Table("Title", ["server", "rate"], [["restante", 1234.0], ["x", None]])
    assert table.text() == "Title\n  server     rate\n  restante  1,234\n  x             -"
    assert table.markdown() == "| server | rate |\n| --- | ---: |\n| restante | 1,234 |\n| x | - |"


def test_only_what_is_between_the_markers_of_readme_changes():
    text = f"before\n{readme.BEGIN}\nold\\1\n{readme.END}\nafter\n"
    assert readme.replaced(text, "new\\1") == f"before\n{readme.BEGIN}\nnew\\1\n{readme.END}\nafter\n"
    with pytest.raises(ValueError):
        readme.replaced("no markers", "new")


def test_readme_has_a_place_for_the_table():
    readme.replaced((pathlib.Path(__file__).parents[2] / "README.md").read_text(), "")


def test_what_a_server_has_started_counts_with_it():
    # A child that ends, one that stays, and what the first has used.
    script = "python3 -c 'sum(range(3_000_000))'; echo done; sleep 60 & wait"
    server = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert server.stdout.readline() == b"done\n"
        while len(tree := processes.tree([server.pid])) < 2:
            pass
        assert tree[0] == server.pid and os.getpid() not in tree
        assert processes.cpu_seconds([server.pid]) > 0
        assert processes.resident_bytes([server.pid]) > 0
        assert processes.written_bytes([server.pid]) >= 0
    finally:
        os.killpg(server.pid, 9)
        server.wait()
        server.stdout.close()
    assert processes.cpu_seconds([server.pid]) == 0


def test_the_letter_has_its_size_on_the_wire_and_nothing_that_smtp_would_change():
    for size in (1000, 4096, 65536):
        text = smtp_source.letter(size)
        assert abs(len(text.replace(b"\n", b"\r\n")) - size) < 100
        assert not set(text.split(b"\n\n", 1)[1]) & set(b"\0\r.")
        assert b"Message-ID" not in text and b"Date" not in text


def test_recipients_are_named_as_smtp_source_does():
    assert smtp_source.recipients("s1", 3) == ["s1@example.org", "2s1@example.org", "3s1@example.org"]
    source = smtp_source.Source("letter", sessions=4, processes=2, recipients=2)
    assert source.mailboxes() == ["s0@example.org", "2s0@example.org", "s1@example.org", "2s1@example.org"]
