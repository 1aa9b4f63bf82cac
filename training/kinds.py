"""The kinds of cut-outs that the checkpoint learns."""

from training.stamps import load_kinds

WAVE = 1  # kinds of later waves wait in kinds.json


def learnt() -> dict[str, dict]:
    """Files and nouns by kind, as `training.stamps.load_kinds`."""
    return load_kinds(WAVE)


def names() -> tuple[str, ...]:
    return tuple(learnt())
