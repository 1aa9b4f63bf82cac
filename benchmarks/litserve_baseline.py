"""The opponent: the checkpoint's diffusers pipeline in torch on LitServe, batching on, on loopback.

    python -m benchmarks.litserve_baseline PORT FOLDER

LitServe gathers requests, and the pipeline takes their images one by one: `RetouchPipeline` knows
no batch."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import litserve
from PIL import Image

from benchmarks.baselines import BATCH, WAIT
from retouch.launcher.server import HOST

PATIENCE = 120  # seconds for one request


class Pipeline(litserve.LitAPI):
    """Requests are JSON: base64 `image`, and the pipeline's `instruction`, `seed`, `steps` and
    `region`."""

    def __init__(self, folder: Path):
        super().__init__(max_batch_size=BATCH, batch_timeout=WAIT)
        self.folder = folder

    def setup(self, device: str) -> None:
        from retouch.families.instructx.pipeline import (
            RetouchPipeline,  # torch, in the worker alone
        )

        self.pipeline = RetouchPipeline.from_pretrained(self.folder)

    def decode_request(self, request: dict) -> dict:
        return request | {"image": Image.open(io.BytesIO(base64.b64decode(request["image"])))}

    def predict(self, batch: list[dict]) -> list[Image.Image]:
        return [self.pipeline(**request).image for request in batch]

    def encode_response(self, output: Image.Image) -> dict:
        out = io.BytesIO()
        output.save(out, "PNG")
        return {"image": base64.b64encode(out.getvalue()).decode()}


def main() -> None:
    port = int(sys.argv[1])
    folder = Path(sys.argv[2])
    server = litserve.LitServer(Pipeline(folder), accelerator="cpu", timeout=PATIENCE)
    server.run(host=HOST, port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
