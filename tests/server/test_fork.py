"""Clients and forks: over gRPC a child is told what to do, over HTTP it edits; neither ever
hangs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from retouch.launcher.server import HOST, ROOT

START = """
import multiprocessing, os, sys
from pictures import file_of, scene
from retouch.client import Retouch
from retouch.api.errors import RequestError

url, http, shared = sys.argv[1], sys.argv[2] == "http", sys.argv[2] == "shared"
photo = file_of(scene())

def tell(what, value):
    os.write(1, f"{what} {value}\\n".encode())  # in one piece, beside other processes

def image_of(client):
    return client.edit_one(photo, "make it blue", seed=2).image

def child(client):
    try:
        tell("child", image_of(client) == first)
    except RequestError as refusal:
        tell("refused", "http=True" in str(refusal) and not client.ready())
"""
BY_MULTIPROCESSING = """
def left(client):
    process = multiprocessing.get_context("fork").Process(target=child, args=(client,))
    process.start()
    return process

def join(process):
    process.join()
    return process.exitcode
"""
BY_OS_FORK = """
def left(client):
    process = os.fork()
    if not process:
        child(client)
        client.close()
        sys.exit(0)
    return process

def join(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
"""
EDITS = """
with Retouch(url, http=http, shared_memory=shared, timeout=60) as client:
    first = image_of(client)
    children = [left(client) for _ in range(2)]
    tell("parent", image_of(client) == first)
    tell("exit codes", [join(process) for process in children])
    tell("parent", image_of(client) == first)
"""
OTHER_CLIENT = """
with Retouch(f"127.0.0.1:{sys.argv[3]}", http=True, timeout=60) as other:
    Retouch(url).lanes()
    first = image_of(other)
    children = [left(other), left(Retouch(url))]
    tell("exit codes", [join(process) for process in children])
"""
BEFORE_ANY_USE = """
client = Retouch(url, timeout=60)
first = image_of(Retouch(f"127.0.0.1:{sys.argv[3]}", http=True))
tell("exit codes", [join(left(client))])
tell("parent", image_of(client) == first)
"""


def lines_of(server, way: str, how: str, program: str) -> list[str]:
    """What the program and its children print, sorted."""
    port = server.http if how == "http" else server.grpc
    process = subprocess.run(
        [sys.executable, "-c", START + way + program, f"{HOST}:{port}", how, str(server.http)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))},
    )
    assert process.returncode == 0, process.stderr
    return sorted(process.stdout.splitlines())


@pytest.mark.parametrize(
    "way", [BY_MULTIPROCESSING, BY_OS_FORK], ids=["multiprocessing", "os.fork"]
)
@pytest.mark.parametrize("how", ["messages", "shared", "http"])
def test_a_used_client_survives_a_fork(server, how, way):
    child = "child True" if how == "http" else "refused True"
    lines = [child, child, "exit codes [0, 0]", "parent True", "parent True"]
    assert lines_of(server, way, how, EDITS) == sorted(lines)


def test_another_client_is_refused_too(server):
    lines = ["child True", "exit codes [0, 0]", "refused True"]
    assert lines_of(server, BY_OS_FORK, "messages", OTHER_CLIENT) == sorted(lines)


def test_a_child_may_be_the_first_to_edit(server):
    lines = ["child True", "exit codes [0]", "parent True"]
    assert lines_of(server, BY_MULTIPROCESSING, "messages", BEFORE_ANY_USE) == sorted(lines)
