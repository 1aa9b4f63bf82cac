"""How commands find the servers of `retouch serve`, those that were killed and those that run side
by side."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from retouch.launcher.server import HOST, free_port
from retouch_clients.addresses import local_servers
from retouch_clients.addresses import server_options as find_server

USUAL = f"{HOST}:8001"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(local_servers, "FOLDER", tmp_path / "running")
    return tmp_path / "running"


@pytest.fixture
def listening():
    """Makes the two ports of a server on which somebody listens."""
    with contextlib.ExitStack() as kept:

        def ports():
            doors = [kept.enter_context(socket.create_server((HOST, 0))) for _ in range(2)]
            return dict(zip(("http", "grpc"), (door.getsockname()[1] for door in doors)))

        yield ports


@pytest.fixture
def started(monkeypatch):
    """The address of the server that a command starts for itself; there is no process."""

    @contextlib.contextmanager
    def server(log):
        yield SimpleNamespace(http=18000, grpc=18001)

    monkeypatch.setattr(find_server, "Server", server)
    return f"{HOST}:18001"


def another(folder, ports, pid, age):
    """The file of a server of another process, so many seconds old."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{pid}.json"
    file.write_text(json.dumps(ports))
    os.utime(file, (file.stat().st_mtime - age,) * 2)
    return file


def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_without_an_address_it_is_the_running_servers(folder, listening):
    assert find_server.running_url(None, http=True) == f"{HOST}:8000"
    ports = listening()
    with local_servers.announced(ports):
        assert find_server.running_url(None, http=False) == f"{HOST}:{ports['grpc']}"
        assert find_server.running_url(None, http=True) == f"{HOST}:{ports['http']}"
        assert find_server.running_url("a:1", http=False) == "a:1"
        with find_server.server_url(None, http=False, start=True) as url:
            assert url == f"{HOST}:{ports['grpc']}"
    assert find_server.running_url(None, http=False) == USUAL and list(folder.iterdir()) == []


def test_a_server_that_was_killed_is_not_waited_for(folder, listening, started):
    left = another(folder, listening(), gone(), age=1)
    with find_server.server_url(None, http=False, start=True) as url:
        assert url == started, "another program may have its port"
    assert find_server.running_url(None, http=False) == USUAL
    with local_servers.announced(listening()):
        assert not left.exists()


def test_a_server_that_does_not_listen_is_not_found(folder, started):
    another(folder, {"http": free_port(), "grpc": free_port()}, os.getppid(), age=1)
    with find_server.server_url(None, http=False, start=True) as url:
        assert url == started
    with find_server.server_url(None, http=False, start=False) as url:
        assert url == USUAL


def test_a_second_server_leaves_the_first_to_be_found(folder, listening):
    first = listening()
    second = listening()
    another(folder, first, os.getppid(), age=10)
    with local_servers.announced(second):
        assert local_servers.running() == second
    assert local_servers.running() == first
