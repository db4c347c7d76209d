"""The load generators, C++ programs that say what they measured as one line of JSON."""

import json
import subprocess

from bench import BUILD_DIR


def run(program, *arguments):
    """What `program` reports of one run; it has to succeed."""
    done = subprocess.run([BUILD_DIR / "tests/bench" / program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)
