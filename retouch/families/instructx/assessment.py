"""Whether an instruction is understood, and how surely, by the logits of the parser's heads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from retouch.api.response import NOTHING, Operation, Reason
from retouch.families.instructx import parser_output
from retouch.families.instructx.parser_output import NONE, UNKNOWN, Fields

PRESENT = 0.5  # probability from which on a target is in the picture


@dataclass(frozen=True)
class Calibration:
    """Of a checkpoint's confidence. All logits are divided by `temperature`. An instruction whose
    confidence is below `refuse_below` is not understood. Operations, kinds of targets and parts of
    the picture that are `unsupported` are read, but what the checkpoint makes of them is not good
    enough."""

    temperature: float = 1.0
    refuse_below: float = 0.0
    unsupported: Collection[str] = ()


@dataclass(frozen=True)
class Assessment:
    """Of one instruction. `confidence` is the probability that its operations are the right ones
    and that their targets are in the picture. `reason` is None where it is understood. `missing`
    are the operations whose targets are not in the picture."""

    operations: list[Operation]
    confidence: float
    reason: Reason | None
    missing: list[Operation] = field(default_factory=list)

    @property
    def understood(self) -> bool:
        return self.reason is None

    @property
    def asks_for_nothing(self) -> bool:
        return self.understood and self.operations[0].op == NOTHING


def assess(
    labels: np.ndarray,
    boxes: np.ndarray,
    fields: Fields,
    presence: np.ndarray | None = None,
    calibration: Calibration = Calibration(),
) -> Assessment:
    """The assessment of an instruction by the logits `labels` [S, K] of its slots, as in
    `parser_output.operations`.

    `presence` [S] is the logit that a slot's target is in the picture; without it every target is.
    The operation `nothing` counts where there is no other."""
    certain = np.full(len(labels), np.inf) if presence is None else presence
    slots = _slots(labels, boxes, fields, certain, calibration.temperature)
    used = [slot for slot in slots if slot.op != NONE]
    edits = [slot for slot in used if slot.op != NOTHING] or used[:1]
    confidence = _confidence(slots, edits)
    return Assessment(
        [slot.operation for slot in edits if slot.op != UNKNOWN],
        confidence,
        _reason(edits, confidence, calibration),
        [slot.operation for slot in edits if slot.presence < PRESENT],
    )


@dataclass(frozen=True)
class _Slot:
    """One slot's operation, its op, kind of target and part of the picture as `named` in the
    fields, the probability of its op, and that of its target being there."""

    operation: Operation
    named: frozenset[str]
    probability: float
    presence: float

    @property
    def op(self) -> str:
        return self.operation.op

    @property
    def confidence(self) -> float:
        """That the slot is understood: an unknown one is by as much as it may be known."""
        known = 1 - self.probability if self.op == UNKNOWN else self.probability
        return known * self.presence


def _slots(
    labels: np.ndarray,
    boxes: np.ndarray,
    fields: Fields,
    presence: np.ndarray,
    temperature: float,
) -> list[_Slot]:
    slots = []
    every = parser_output.slot_operations(labels, boxes, fields)
    for index, (row, operation) in enumerate(zip(labels, every)):
        logits = parser_output.split(row, fields)["op"] / temperature
        there = _sigmoid(presence[index] / temperature) if operation.target else 1.0
        values = parser_output.likeliest(row, fields)
        named = frozenset(values.get(name, NONE) for name in ("op", "target_kind", "where"))
        slots.append(_Slot(operation, named, float(_softmax(logits).max()), there))
    return slots


def _confidence(slots: list[_Slot], edits: list[_Slot]) -> float:
    """The product over the slots that are used; without one, that the first is used after all."""
    if not edits:
        return 1 - slots[0].probability
    return float(np.prod([slot.confidence for slot in edits]))


def _reason(edits: list[_Slot], confidence: float, calibration: Calibration) -> Reason | None:
    if not edits or any(slot.op == UNKNOWN for slot in edits):
        return "unknown_instruction"
    if any(not slot.named.isdisjoint(calibration.unsupported) for slot in edits):
        return "unsupported"
    if any(slot.presence < PRESENT for slot in edits):
        return "target_not_found"
    return "low_confidence" if confidence < calibration.refuse_below else None


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.float64(logits) - logits.max())
    return powers / powers.sum()


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(np.float64(logit), -500, 500))))
