"""A lane whose config.pbtxt chooses the torch runner, on the CPU, beside the same lane by ONNX
Runtime."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from beside import psnr
from retouch.backends.torch import DEVICE
from retouch.client import Retouch
from retouch.launcher.server import REPOSITORY, Server

LANES = ("bf16", "fp8")
SENTENCE = "make the red circle blue"


@pytest.fixture()
def torch_client(tmp_path, monkeypatch):
    repository = shutil.copytree(
        REPOSITORY,
        tmp_path / "repository",
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__", "denoiser_fp4"),
    )
    for lane in LANES:
        config = repository / f"denoiser_{lane}" / "config.pbtxt"
        config.write_text(
            config.read_text().replace('string_value: "onnx"', 'string_value: "torch"')
        )
        assert '"torch"' in config.read_text()
    monkeypatch.setenv(DEVICE, "cpu")
    with (
        Server(repository, log=tmp_path / "server.log") as server,
        Retouch(f"127.0.0.1:{server.grpc}") as kept,
    ):
        yield kept


def pixels(client, photo, lane):
    """uint8 [H, W, 3] of the same edit by the same name of a lane."""
    *_, answer = client.edit(photo, SENTENCE, precision=lane, seed=3)
    assert answer.info.lane == lane
    with Image.open(io.BytesIO(answer.image)) as image:
        return np.asarray(image)


def test_the_server_answers_the_same_picture(client, torch_client, photo):
    for lane in LANES:
        ours, onnx = (pixels(one_client, photo, lane) for one_client in (torch_client, client))
        assert 40 <= psnr(ours, onnx) < np.inf
