"""No server: a program that appends the same octets to a file and syncs them in groups."""

from bench import load, rounds


class AppendSync:
    name = "append and sync"
    needs_root = False
    smtp = None

    def __init__(self, directory, addresses):
        self._file = directory / "appended"

    def pids(self):
        return []

    def stored(self):
        return None

    def sample(self, size, group, seconds):
        """Messages of `size` octets, `group` to a sync."""
        found = load.run("append_sync", self._file, size, group, seconds)
        self._file.unlink()
        return rounds.Sample(found["count"], found["seconds"], found["cpu_seconds"], found["count"] * size, 0,
                             found["p50_us"], found["p99_us"])

    def stop(self):
        pass
