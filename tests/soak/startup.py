"""How much longer a store with a million messages takes to start than an empty one.

Time counts from the process to the line that says it listens. Empty and full take
turns, so that whatever else the machine does meets both.
"""

import statistics
import subprocess
import time

import harness
from api import Api, Stream, deliver

GOAL_SECONDS = 1.0
# Delivered before each kill, so that there is something to recover.
BEFORE_A_KILL = 300


def start(store):
    begin = time.monotonic()
    store.start()
    seconds = time.monotonic() - begin
    api = Api(store.address)
    api.ready()
    status = api.status()
    return seconds, status, api


def figures(name, times):
    return f"  {name:<28} median {statistics.median(times) * 1000:6.0f} ms ({min(times) * 1000:.0f} to {max(times) * 1000:.0f})"


def round_of(store, kill, count):
    """Starts a store that is down, and ends it again; seconds that the start took."""
    seconds, status, api = start(store)
    if count is not None:
        assert status.usage.messages >= count, f"{status.usage.messages} messages of {count}"
    if kill:
        stream = Stream(api)
        for i in range(BEFORE_A_KILL):
            kind, _ = deliver(stream, ["m0@example.org"], b"Subject: x\r\n\r\ny\r\n")
            assert kind == "receipts"
        api.close()
        store.kill9()
    else:
        api.close()
        assert store.program.stop() == 0
    return seconds


def compare(empty, full, kill, starts, messages):
    times = {"empty": [], "full": []}
    for number in range(starts + 1):
        for name, store in (("empty", empty), ("full", full)):
            seconds = round_of(store, kill, messages if name == "full" else None)
            if number > 0:  # The first one ends what was before: caches, a clean end.
                times[name].append(seconds)
    print("after kill -9:" if kill else "after a clean end:")
    print(figures("empty", times["empty"]))
    print(figures(f"{messages:,} messages", times["full"]))
    more = statistics.median(times["full"]) - statistics.median(times["empty"])
    print(f"  difference                   {more * 1000:13.0f} ms (goal: below {GOAL_SECONDS * 1000:.0f})", flush=True)
    return more < GOAL_SECONDS


def measure(directory, bin_dir, messages, starts):
    stores = {}
    for name, count in (("empty", 0), ("full", messages)):
        place = directory / name
        place.mkdir()
        begin = time.monotonic()
        subprocess.run([bin_dir / "tests/soak/fill_store", place / "data", str(count), "1000"], check=True)
        seconds = time.monotonic() - begin
        if count:
            print(f"filled with {count:,} messages in {seconds:.0f} s, {count / seconds:,.0f}/s", flush=True)
        stores[name] = harness.Store(place)
        assert stores[name].program.stop() == 0
    clean = compare(stores["empty"], stores["full"], False, starts, messages)
    killed = compare(stores["empty"], stores["full"], True, starts, messages)
    return clean and killed
