"""Fixtures for all tests; the server is started once and only for the tests that ask for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# two workers with a thread for each core would wait for each other's: torch reads this where it is
# imported first
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))

from exports import keep_exports  # noqa: E402
from pictures import file_of, scene  # noqa: E402
from retouch.client import Retouch  # noqa: E402
from retouch.launcher.server import RUNTIME, Server  # noqa: E402
from tiers import TIERS, markers, shares_server  # noqa: E402

# the same cases each time, however slow the machine is, and nothing written beside them
settings.register_profile("retouch", derandomize=True, deadline=None, database=None)
settings.load_profile("retouch")


def pytest_collection_modifyitems(items):
    """Mark each test with its tier. What takes minutes begins first: at the end, short files fill
    both workers."""
    for item in items:
        for marker in markers(item.path):
            item.add_marker(marker)
    items.sort(key=lambda item: (not shares_server(item.path), TIERS.index(item.path.parent.name)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A worker takes a file, or all files that share the server."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "server" if shares_server(Path(file)) else file

    return Files(config, log)


def pytest_terminal_summary(terminalreporter):
    """A run that could not fetch TensorRT's bindings must not look like one that has tested
    them."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if report.nodeid.startswith("tests/bindings/")
    ]
    if skipped:
        terminalreporter.section("THE TENSORRT BINDINGS WERE NOT TESTED", sep="!", red=True)
        for report in skipped:
            terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2]}", red=True)
        terminalreporter.write_line("`make bindings` fetches them; it needs the network", red=True)


@pytest.fixture(scope="session", autouse=True)
def exports(tmp_path_factory):
    """What tests export, for all workers of this run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exports"
    folder.mkdir(exist_ok=True)
    keep_exports(folder)


@pytest.fixture(scope="session")
def server():
    """One real tritonserver on loopback."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    with Server(log=RUNTIME / f"test{worker}.log") as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    with Retouch(f"127.0.0.1:{server.grpc}") as kept:
        yield kept


@pytest.fixture(scope="session")
def source():
    """uint8 [128, 128, 3]"""
    return scene()


@pytest.fixture(scope="session")
def photo(source):
    return file_of(source)
