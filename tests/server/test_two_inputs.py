"""IMAGE and INSTRUCTION alone are an edit at every door; the client takes what holds a file over
both protocols."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import urllib.request

import pytest
from PIL import Image

from retouch.client import AsyncRetouch, Retouch

SENTENCE = "make the red circle blue"


@pytest.mark.parametrize(
    "options", [{}, {"SEED": 5}, {"STEPS": 2, "REGION": "full"}], ids=["two", "seed", "steps"]
)
@pytest.mark.parametrize("door", ["edit", "edit_sync", "edit_ensemble"])
def test_absent_inputs_have_defaults(server, photo, door, options):
    method = "generate" if door == "edit_sync" else "generate_stream"
    body = {
        "IMAGE": base64.b64encode(photo).decode(),
        "INSTRUCTION": SENTENCE,
        "FORMAT": "png;base64",
        **options,
    }
    url = f"http://127.0.0.1:{server.http}/v2/models/{door}/{method}"
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(body).encode()), timeout=60
    ) as response:
        answer = json.loads(response.read().decode().strip().removeprefix("data: "))
    image = answer.get("IMAGE") or answer["EDITED"]
    info = json.loads(answer["INFO"]) if isinstance(answer["INFO"], str) else answer["INFO"]
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert info["seed"] == options.get("SEED", info["seed"]) and answer["STEP"][0] == options.get(
        "STEPS", answer["STEP"][1]
    )


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_all_kinds_of_files_give_the_same_bytes(server, photo, tmp_path, http):
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    url = f"127.0.0.1:{server.http if http else server.grpc}"
    inputs = [
        photo,
        bytearray(photo),
        path,
        io.BytesIO(photo),
        Image.open(path),
        base64.b64encode(photo),
    ]

    async def beside():
        async with AsyncRetouch(url, http) as client:
            return [
                (await client.edit_one(image, SENTENCE, seed=1)).image
                for image in (path, io.BytesIO(photo))
            ]

    with Retouch(url, http) as client:
        images = [client.edit_one(image, SENTENCE, seed=1).image for image in inputs]
        with pytest.raises(TypeError, match="image must be bytes"):
            client.edit_one(3, SENTENCE)
    assert len({*images, *asyncio.run(beside())}) == 1
