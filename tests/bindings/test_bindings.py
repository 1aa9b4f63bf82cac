"""Our TensorRT code against NVIDIA's own bindings, of both versions: they cannot be loaded into one
process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from exports import made_once

sys.path.insert(0, os.path.dirname(__file__))

import parts  # noqa: E402
from fetch import HERE, VERSIONS, Unavailable, fetch  # noqa: E402


@pytest.fixture
def repository(tmp_path):
    return made_once("parts", parts.make, tmp_path / "repository")


@pytest.fixture(params=VERSIONS)
def version(request):
    try:
        fetch(request.param)
    except Unavailable as reason:
        pytest.skip(str(reason))
    return request.param


def test_everything_holds_with(version, repository):
    folders = fetch(version)
    env = {
        **os.environ,
        "RETOUCH_TENSORRT": version,
        parts.FOLDER: str(repository),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
    }
    tests = HERE / "held"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--confcutdir={tests}",
        str(tests),
    ]
    done = subprocess.run(command, cwd=HERE.parents[1], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
