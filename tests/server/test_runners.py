"""A server whose models run by other runners on the CPU: by onnx-cuda and auto the pictures of the
runner onnx, bit for bit, and by the profile torch nearly."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from beside import psnr
from retouch.client import Retouch
from retouch.launcher.server import REPOSITORY, Server
from retouch.launcher.write_profiles import STAGES
from retouch.util import env

SENTENCE = "make the red circle blue"
MODELS = (*STAGES, "denoiser_bf16")


def pixels(client, photo, lane):
    """uint8 [H, W, 3] of the same edit in a lane."""
    *_, answer = client.edit(photo, SENTENCE, precision=lane, seed=3)
    with Image.open(io.BytesIO(answer.image)) as image:
        return np.asarray(image)


@pytest.fixture(params=("onnx-cuda", "auto"))
def runner_log_client(request, tmp_path, monkeypatch):
    repository = shutil.copytree(
        REPOSITORY,
        tmp_path / "repository",
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__", "denoiser_fp?"),
    )
    for model in MODELS:
        config = repository / model / "config.pbtxt"
        runner = f'string_value: "{request.param}"'
        config.write_text(config.read_text().replace('string_value: "onnx"', runner))
        assert runner in config.read_text()
    monkeypatch.setenv(env.DEVICE.name, "cpu")
    log = tmp_path / "server.log"
    with Server(repository, log=log) as server, Retouch(f"127.0.0.1:{server.grpc}") as client:
        yield request.param, log.read_text, client


def test_the_same_picture(client, runner_log_client, photo):
    runner, log, other = runner_log_client
    answers = [
        list(one.edit(photo, SENTENCE, precision="bf16", seed=3))[-1] for one in (client, other)
    ]
    assert answers[0].image == answers[1].image
    # auto says once a model what runs it and why
    for model in MODELS:
        line = f"{model} runs by onnx: tensorrt: RETOUCH_DEVICE is cpu"
        assert log().count(line) == (runner == "auto"), model


def test_the_profile_torch(client, tmp_path, monkeypatch, photo):
    """Every network by torch, on the CPU."""
    monkeypatch.setenv(env.DEVICE.name, "cpu")
    with (
        Server(profile="torch", log=tmp_path / "server.log") as server,
        Retouch(f"127.0.0.1:{server.grpc}") as other,
    ):
        for lane in ("bf16", "fp8"):
            assert psnr(pixels(other, photo, lane), pixels(client, photo, lane)) >= 40
