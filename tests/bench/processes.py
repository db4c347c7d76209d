"""What servers use: figures of /proc, added up over a server and all processes that it has started."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat behind the name; None if it has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(roots):
    """The pids of `roots` and of all that descend from them."""
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        if fields := _stat(entry.name):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(roots):
    """Processor time used so far, with that of children that have ended."""
    return sum(sum(map(int, fields[11:15])) for pid in tree(roots) if (fields := _stat(pid))) / TICKS


def idle_seconds():
    """Processor time that nobody has used since the machine started, over all cores."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return (int(fields[4]) + int(fields[5])) / TICKS


def written_bytes(roots):
    """Octets that were to be written to the disk, with those of children that have ended."""
    total = 0
    for pid in tree(roots):
        try:
            lines = pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
    return total


def resident_bytes(roots):
    """Memory held, pages that several processes share counted once in all (PSS)."""
    total = 0
    for pid in tree(roots):
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total
