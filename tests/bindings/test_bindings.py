"""Our TensorRT code against NVIDIA's own bindings, of both versions: they cannot be loaded into one
process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from fetch import HERE, VERSIONS, Unavailable, fetch  # noqa: E402


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_holds_with(version):
    try:
        folders = fetch(version)
    except Unavailable as reason:
        pytest.skip(str(reason))
    env = {
        **os.environ,
        "RETOUCH_TENSORRT": version,
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
