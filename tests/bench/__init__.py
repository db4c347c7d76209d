"""How fast Restante is beside others, measured in the same run: `./dev bench --help`."""

import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
BUILD_DIR = pathlib.Path(os.environ.setdefault("E2E_BUILD_DIR", str(TESTS.parent / "build"))).resolve()
os.environ["E2E_BUILD_DIR"] = str(BUILD_DIR)
# What starts the programs, talks to them and unpacks other people's is the tests' own.
sys.path.insert(0, str(TESTS / "e2e"))
