"""A client that was used before a fork works in the child and in the parent, and neither hangs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from retouch.server import HOST, ROOT

EDITS = """
import multiprocessing, os, sys
from pictures import file_of, scene
from retouch.client import Retouch

def child(client, how):
    answer = client.edit_one(photo, "make it blue", seed=2).image
    if how == "closes":
        client.close()
    print("child", answer == first, flush=True)

url, how, shared = sys.argv[1], sys.argv[2], sys.argv[3] == "shared"
photo = file_of(scene())
with Retouch(url, shared_memory=shared, timeout=60) as client:
    first = client.edit_one(photo, "make it blue", seed=2).image
    children = [multiprocessing.get_context("fork").Process(target=child, args=(client, how)) for _ in range(2)]
    for process in children:
        process.start()
    print("parent", client.edit_one(photo, "make it blue", seed=2).image == first, flush=True)
    for process in children:
        process.join()
    print("ended", [process.exitcode for process in children], client.edit_one(photo, "make it blue").final)
"""


@pytest.mark.parametrize("how", ["closes", "leaves"])
@pytest.mark.parametrize("memory", ["messages", "shared"])
def test_a_client_in_a_with_block_survives_a_fork(server, how, memory):
    done = subprocess.run([sys.executable, "-c", EDITS, f"{HOST}:{server.grpc}", how, memory], cwd=ROOT, text=True,
                          capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))})
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == ["", "child True", "child True", "ended [0, 0] True", "parent True"], done.stdout
