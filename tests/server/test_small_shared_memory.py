"""A server whose /dev/shm is too small for large images, as a container's is by default: they fail
in a sentence, small ones do not, and nothing waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT

ROOM = 'mount -t tmpfs -o size=24m tmpfs /dev/shm && exec "$0" "$@"'
ALONE = ("unshare", "--mount", "sh", "-c", ROOM)  # a mount that nobody else sees
EDITS = """
import json
import sys
from pathlib import Path
import numpy as np
from one_lane import one_lane
from pictures import file_of, scene
from retouch.client import Retouch
from retouch.launcher.server import Server
from retouch.api.errors import RequestError

noise = np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), np.uint8)
large = file_of(noise, compress_level=1)
outcomes = []
with Server(one_lane(Path(sys.argv[1]))) as server:
    client = Retouch(f"127.0.0.1:{server.grpc}", timeout=60)
    for image in (file_of(scene()), large, large, file_of(scene())):
        try:
            outcomes.append(["", client.edit_one(image, "make the red circle blue", seed=1).final])
        except RequestError as failure:
            outcomes.append([failure.code, str(failure)])
print(json.dumps(outcomes))
"""


@pytest.fixture
def alone():
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("mounting wants root, and leave to do so")


def test_large_images_fail_in_a_sentence_and_small_ones_do_not(alone, tmp_path):
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", EDITS, str(tmp_path)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    before, *large, after = json.loads(done.stdout.splitlines()[-1])
    assert before == after == ["", True]
    for status, message in large:
        assert status == "INTERNAL" and ("--shm-size" in message or "its log says why" in message)
        assert "/dev/shm/" not in message and "retouch_" not in message
    assert any("--shm-size" in message for _, message in large)
