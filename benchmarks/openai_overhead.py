"""Overhead of the OpenAI-compatible server: the same edit through it and over gRPC, in turns.

    python -m benchmarks.openai_overhead [--count 200] [--json PATH]

All ways edit one image of 128 px with the same cached state, and must return the same bytes."""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.interleave import alike, in_turns, medians
from benchmarks.openai_server import openai_server
from benchmarks.packages import need
from benchmarks.table import MORE, Row, save, show
from retouch.client import Retouch
from retouch.launcher.server import HOST, ROOT, RUNTIME, Server

need("openai")
import openai  # noqa: E402

SAMPLE = ROOT / "checkpoints" / "photo" / "shapes.png"
PROMPT = "make the red circle blue"
LANE = "bf16"
AIM = 10.0
WARM_UP = 10  # milliseconds; turns
WORDS = {
    "form": "a multipart form, by a plain HTTP client",
    "json": "JSON, by a plain HTTP client",
    "stream": "a stream, by a plain HTTP client",
    "sdk": "openai's SDK",
}
BOUND = "reading and writing HTTP, two base64 texts and one more process on the way"

Edit = Callable[[int], bytes]


def main() -> None:
    options = parse()
    image = SAMPLE.read_bytes()
    with (
        Server(log=RUNTIME / "benchmark.log") as server,
        openai_server(f"{HOST}:{server.grpc}") as url,
        Retouch(f"{HOST}:{server.grpc}") as grpc,
        openai.OpenAI(base_url=url, api_key="none") as sdk,
    ):
        ways = {
            "grpc": lambda seed: grpc.edit_one(image, PROMPT, seed=seed, precision=LANE).image,
            **Plain(url, image).ways(),
            "sdk": lambda seed: _by_sdk(sdk, image, seed),
        }
        alike(ways)
        spent = in_turns(ways, options.count, WARM_UP)
    middle = medians(spent)
    rows = [
        Row(
            title,
            "gRPC",
            middle[name],
            middle["grpc"],
            "ms",
            MORE,
            AIM,
            "same bytes",
            BOUND,
            {"runs": spent[name]},
        )
        for name, title in WORDS.items()
    ]
    show(
        f"One edit of 128 px through the OpenAI-compatible server, medians of {options.count}", rows
    )
    save(rows, options.json)


class Plain:
    """Requests by Python's own HTTP client, over one connection."""

    def __init__(self, url: str, image: bytes):
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port)
        self._path = f"{parts.path}/images/edits"
        self._image = image
        self._text = base64.b64encode(image).decode()

    def ways(self) -> dict[str, Edit]:
        return {"form": self.form, "json": self.json, "stream": self.stream}

    def form(self, seed: int) -> bytes:
        body, kind = form(self._image, prompt=PROMPT, model=f"retouch-{LANE}", seed=str(seed))
        return base64.b64decode(json.loads(self._answer(body, kind))["data"][0]["b64_json"])

    def json(self, seed: int) -> bytes:
        return base64.b64decode(
            json.loads(self._answer(self._body(seed), "application/json"))["data"][0]["b64_json"]
        )

    def stream(self, seed: int) -> bytes:
        event = self._answer(self._body(seed, stream=True), "application/json")
        return base64.b64decode(json.loads(event.split(b"data: ", 1)[1])["b64_json"])

    def _body(self, seed: int, **more: object) -> bytes:
        asked = {
            "image": self._text,
            "prompt": PROMPT,
            "model": f"retouch-{LANE}",
            "seed": seed,
            **more,
        }
        return json.dumps(asked).encode()

    def _answer(self, body: bytes, kind: str) -> bytes:
        self._connection.request("POST", self._path, body, {"Content-Type": kind})
        answer = self._connection.getresponse()
        read = answer.read()
        if answer.status != 200:
            sys.exit(f"{answer.status}: {read.decode()}")
        return read


def form(image: bytes, **fields: str) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    boundary = secrets.token_hex(16)
    begin = f"--{boundary}\r\nContent-Disposition: form-data; name="
    end = f"\r\n--{boundary}--\r\n"
    parts = "".join(f'{begin}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    head = f'{parts}{begin}"image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return head.encode() + image + end.encode(), f"multipart/form-data; boundary={boundary}"


def _by_sdk(sdk: openai.OpenAI, image: bytes, seed: int) -> bytes:
    answer = sdk.images.edit(
        image=("a.png", image), prompt=PROMPT, model=f"retouch-{LANE}", extra_body={"seed": seed}
    )
    return base64.b64decode(answer.data[0].b64_json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.openai_overhead", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=200, help="edits of each way")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
