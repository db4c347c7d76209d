"""Fixtures: a store, a front end, the API and the command line, ended by pid."""

import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("hand_over", "letters")
import api as api_module  # noqa: E402
import harness  # noqa: E402


def pytest_configure():
    """SIGTERM ends what the tests have started, too, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def directory():
    """An empty one that everybody may enter, gone after the test."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="restante-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(directory, request):
    """start(Class, ...): a Store or Front in `directory`, ended after the test.

    If the test fails the logs' ends are printed; a program that ended by itself
    (or by a sanitizer) fails the test.
    """
    started = []

    def begin(kind, *args, **more):
        started.append(kind(directory, *args, **more))
        return started[-1]

    yield begin
    crashed = []
    for thing in reversed(started):
        if not thing.program.running():
            if thing.program.process.returncode not in (0, -9):
                crashed.append((thing.program.name, thing.program.process.returncode))
        elif thing.program.stop() != 0:
            crashed.append((thing.program.name, thing.program.process.returncode))
    for log in directory.glob("*.log"):
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
    assert not crashed, f"ended with another status than 0: {crashed}"


@pytest.fixture
def options():
    """Further options of the store and of the front end; tests override it."""
    return {"store": [], "front": []}


@pytest.fixture
def store(start, options):
    return start(harness.Store, *options["store"])


@pytest.fixture
def api(store):
    client = api_module.Api(store.address)
    client.ready()
    yield client
    client.close()


@pytest.fixture
def front(start, store, options):
    return start(harness.Front, store.address, *options["front"])


@pytest.fixture
def cli(store):
    return harness.Cli(store.address)
