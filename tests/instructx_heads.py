"""Heads of a tiny InstructX checkpoint that understand a few sentences about one photo as a test
says, by least squares on the hidden states that random weights give them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from retouch.families.instructx.hints import FILE
from retouch.families.instructx.parser_output import ordered
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.networks.instructx import ParserHeads
from shape_fields import SHAPE_FIELDS

SURE = 12.0  # logit of what a slot is to say, and of a target that is there
RIGHT = 64.0  # so far right of its bend a GELU is the identity
FULL_FIELDS = SHAPE_FIELDS | {
    "op": [*SHAPE_FIELDS["op"], "nothing", "unknown"],
    "amount": ["none", "slight", "strong"],
    "where": ["none", "left half", "dark parts"],
}


@dataclass(frozen=True)
class Reading:
    """What the first slot is to say of a sentence, and whether its target is in the picture; the
    other slots say "none"."""

    values: Mapping[str, str] = field(default_factory=dict)
    present: bool = True


RED_CIRCLE = {"target_colour": "red", "target_kind": "circle"}
READINGS = {
    "make the red circle blue": Reading({"op": "recolour", **RED_CIRCLE, "value_colour": "blue"}),
    "leave it as it is": Reading({"op": "nothing"}),
    "sing me a song": Reading({"op": "unknown"}),
    "make the purple star red": Reading(
        {"op": "recolour", "target_colour": "purple", "target_kind": "star"}, present=False
    ),
}
EXAMPLES = [
    {"sentence": "make the red circle blue", "op": "recolour"},
    {"sentence": "make the blue star red", "op": "recolour"},
    {"sentence": "remove the green square", "op": "remove"},
    {"sentence": "move the red star [to the left]", "op": "move"},
]


def teach(pipeline: RetouchPipeline, photo: np.ndarray) -> None:
    """Set the heads of `pipeline` so that they give READINGS of `photo`, uint8 [H, W, 3] at a size
    at which it is edited."""
    slots, seen = (np.concatenate(rows) for rows in zip(*_states(pipeline, photo)))
    count = len(slots) // len(READINGS)
    labels = []
    presence = []
    for reading in READINGS.values():
        labels += [_logits(reading.values), *[_logits({})] * (count - 1)]
        presence += [SURE if reading.present else -SURE, *[SURE] * (count - 1)]
    heads = pipeline.parser_heads
    _set(heads.labels, slots, np.array(labels))
    first, _, last = heads.target
    for layer in (first, last):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    line = torch.nn.Linear(seen.shape[1], 1)
    _set(line, seen, np.array(presence)[:, None])
    with torch.no_grad():
        first.weight[0] = line.weight[0]
        first.bias[0] = line.bias[0] + RIGHT
        last.weight[0, 0] = 1
        last.bias[0] = -RIGHT


@torch.no_grad()
def never_nothing(heads: ParserHeads) -> None:
    """Let no instruction ask for nothing, as heads of random weights may read any."""
    heads.labels.bias[FULL_FIELDS["op"].index("nothing")] = -4 * SURE


def write_examples(checkpoint: Path) -> None:
    (checkpoint / FILE).write_text(json.dumps(EXAMPLES))


def _states(pipeline: RetouchPipeline, photo: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The inputs of the layers `labels` and `target` for every sentence, a row a slot."""
    heads = pipeline.parser_heads
    rows: list[list[np.ndarray]] = []

    def keep(_, inputs):
        rows[-1].append(inputs[0][0].numpy())

    hooks = [layer.register_forward_pre_hook(keep) for layer in (heads.labels, heads.target)]
    for sentence in READINGS:
        rows.append([])
        pipeline.parse(photo, sentence)
    for hook in hooks:
        hook.remove()
    by_layer = [sorted(row, key=lambda states: states.shape[1]) for row in rows]
    return [(slots, seen) for slots, seen in by_layer]


def _logits(values: Mapping[str, str]) -> np.ndarray:
    return np.concatenate(
        [
            [SURE * (value == values.get(name, "none")) for value in options]
            for name, options in ordered(FULL_FIELDS).items()
        ]
    )


@torch.no_grad()
def _set(layer: torch.nn.Linear, inputs: np.ndarray, outputs: np.ndarray) -> None:
    """Weights and bias by which the layer gives these outputs for these inputs."""
    middle = inputs.mean(0)
    weight = (np.linalg.pinv(np.float64(inputs - middle)) @ (outputs - outputs.mean(0))).T
    layer.weight.copy_(torch.from_numpy(weight))
    layer.bias.copy_(torch.from_numpy(outputs.mean(0) - weight @ middle))
