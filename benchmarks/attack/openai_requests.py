"""Bodies and heads for the OpenAI endpoint: well-formed but for one place."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from benchmarks.attack.pictures import TEXTS, broken_picture, picture

PATH = "/v1/images/edits"
FIELDS: dict[str, tuple[Any, ...]] = {
    "prompt": TEXTS,
    "model": ("retouch", "", "gpt-image-1", "bf16", "nobody", 7, None),
    "n": (1, 0, -1, 11, 10**9, "2", 1.5, True, None),
    "size": ("auto", "64x64", "1x1", "0x0", "99999x99999", "x", 3),
    "quality": ("auto", "low", "high", "hd", "", 1),
    "output_format": ("png", "jpeg", "webp", "gif", "", None),
    "output_compression": (0, 100, 101, -1, "50", "x"),
    "stream": (True, False, "true", "yes", 2),
    "partial_images": (0, 1, 3, 4, -1, "1"),
    "seed": (0, 7, -1, 2**63, 1e400, "7"),
    "steps": (1, 2, 0, -1, 51, "3"),
    "guidance": (0, 2.5, -1, "nan"),
    "background": ("auto", "opaque", "transparent", ""),
    "unknown": (1, {}, []),
    "image_url": ("http://127.0.0.1:1/x.png",),
    "user": ("u", "u" * 100_000),
}
JSON_BREAKS = (b"{", b"[" * 500, b'{"a":' * 200, b"nul", b'"', b"\xff\xfe", b"", b"{}" * 3)
MAX_CHUNKS = 3


def openai_request(rng: random.Random) -> tuple[dict[str, str], bytes]:
    """Headers and body of one POST to PATH."""
    return _json(rng) if rng.random() < 0.5 else _form(rng)


def _fields(rng: random.Random) -> dict[str, Any]:
    fields: dict[str, Any] = {"prompt": TEXTS[0], "steps": 1}
    for name in rng.sample(list(FIELDS), rng.randint(0, 3)):
        fields[name] = rng.choice(FIELDS[name])
    if rng.random() < 0.1:
        fields.pop("prompt", None)
    return fields


def _file(rng: random.Random) -> bytes:
    return picture(rng) if rng.random() < 0.6 else broken_picture(rng)


def _json(rng: random.Random) -> tuple[dict[str, str], bytes]:
    fields = _fields(rng)
    source: Any = base64.b64encode(_file(rng)).decode()
    shapes = (source, [source], [source] * 5, {"image_url": source}, {"file_id": "f"}, {}, 3, None)
    fields[rng.choice(("image", "image", "images"))] = (
        rng.choice(shapes) if rng.random() < 0.3 else source
    )
    if rng.random() < 0.2:
        fields["mask"] = rng.choice(("", source, {}, 1, None))
    body = json.dumps(fields).encode()
    if rng.random() < 0.15:
        body = rng.choice((*JSON_BREAKS, body[: rng.randrange(len(body))], body + b"x"))
    return {"Content-Type": rng.choice(("application/json",) * 8 + ("text/plain", ""))}, body


def _form(rng: random.Random) -> tuple[dict[str, str], bytes]:
    boundary = rng.choice(("b", "----WebKitFormBoundaryx", "x" * 70))
    parts = [
        _part(name, str(value).encode("utf-8", "surrogatepass"))
        for name, value in _fields(rng).items()
    ]
    for name in rng.choices(
        ("image", "image[]", "mask", "image[0]", "images"), k=rng.randint(1, MAX_CHUNKS)
    ):
        filename = rng.choice(
            ('; filename="a.png"', "", '; filename=""', "; filename*=UTF-8''%e2%98%83")
        )
        parts.append(_part(name, _file(rng), filename))
    rng.shuffle(parts)
    edge = boundary.encode()
    body = (
        b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
        + b"--"
        + edge
        + b"--\r\n"
    )
    if rng.random() < 0.2:
        body = rng.choice(
            (body[: rng.randrange(len(body))], body.replace(b"\r\n", b"\n"), b"\r\n" + body)
        )
    if rng.random() < 0.05:
        boundary = "other"
    quoted = rng.choice((boundary, f'"{boundary}"'))
    return {"Content-Type": f"multipart/form-data; boundary={quoted}"}, body


def _part(name: str, body: bytes, filename: str = "") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + body
