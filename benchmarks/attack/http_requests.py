"""JSON requests to tritonserver's own HTTP endpoints, wrong in their tree or in their bytes."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from benchmarks.attack.pictures import TEXTS, broken_picture, picture

JSON_VALUES = (None, True, -1, 2**70, 1e308, "", "x" * 10_000, [], {}, [[[]]], {"a": {}})
# 2.51 itself is ended by deeper nesting (SECURITY.md)
DEPTH = 60


def http_request(rng: random.Random, model: str) -> tuple[str, bytes]:
    """Path and body of one POST."""
    build = rng.choice((_generate, _infer))
    path, tree = build(rng, model)
    for _ in range(rng.choice((0, 1, 1, 2))):
        _bend(rng, tree)
    body = json.dumps(tree).encode()
    if rng.random() < 0.1:
        body = rng.choice(
            (body[: rng.randrange(len(body))], b"[" * DEPTH, body + b"}", b"\xff" + body)
        )
    return path, body


def _generate(rng: random.Random, model: str) -> tuple[str, dict[str, Any]]:
    ending = "generate" if model == "edit_sync" else "generate_stream"
    fields = {"IMAGE": _image_text(rng), "INSTRUCTION": rng.choice(TEXTS), "STEPS": 1}
    fields["FORMAT"] = rng.choice(("png;base64", "jpeg;base64", "gif"))
    return f"/v2/models/{model}/{ending}", fields


def _infer(rng: random.Random, model: str) -> tuple[str, dict[str, Any]]:
    data = {"IMAGE": _image_text(rng), "INSTRUCTION": rng.choice(TEXTS), "FORMAT": "png;base64"}
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": "BYTES", "data": [value]}
        for name, value in data.items()
    ]
    inputs.append({"name": "STEPS", "shape": [1, 1], "datatype": "INT32", "data": [1]})
    return f"/v2/models/{model}/infer", {"inputs": inputs, "outputs": [{"name": "STEP"}]}


def _image_text(rng: random.Random) -> str:
    file = picture(rng) if rng.random() < 0.7 else broken_picture(rng)
    return base64.b64encode(file).decode()


def _bend(rng: random.Random, tree: Any) -> None:
    """Replace, remove or double one node of the tree, in place."""
    nodes = list(_nodes(tree))
    if not nodes:
        return
    parent, key = rng.choice(nodes)
    act = rng.random()
    if act < 0.6:
        parent[key] = rng.choice(JSON_VALUES)
    elif act < 0.8:
        del parent[key]
    elif isinstance(parent, list):
        parent.append(parent[key])
    else:
        parent[f"{key}{rng.choice(('', 'X', ' '))}"] = rng.choice(JSON_VALUES)


def _nodes(tree: Any) -> Any:
    keys = range(len(tree)) if isinstance(tree, list) else list(tree)
    for key in keys:
        yield tree, key
        if isinstance(tree[key], (list, dict)):
            yield from _nodes(tree[key])
