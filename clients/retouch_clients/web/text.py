"""An edit's INFO as sentences for the page, and errors with the next step."""

from __future__ import annotations

from retouch.api.errors import RequestError
from retouch.api.response import EditInfo, Operation, Region

SENTENCES = {
    "recolour": "Make the {target} {value}",
    "remove": "Remove the {target}",
    "replace": "Replace the {target} by {a} {value}",
    "add": "Add {a} {value}",
    "move": "Move the {target} to the {value}",
    "resize": "Make the {target} {value}",
    "background": "Make the background {value}",
    "nothing": "Leave the picture as it is",
}
STAGES = {
    "preprocess": "read the picture",
    "vl_parser": "understand the sentence",
    "vae_encoder": "encode the picture",
    "reference": "look at the picture",
    "connector": "pass the meaning on",
    "denoiser": "denoise",
    "vae_decoder": "decode",
    "postprocess": "write the picture",
}
FIELDS = {
    "IMAGE": "The picture",
    "INSTRUCTION": "The sentence",
    "SEED": "The seed",
    "STEPS": "The number of steps",
    "REGION": "The mask",
    "NEGATIVE": "The negative",
    "DEADLINE_MS": "The deadline in milliseconds",
}
DEADLINE = "DEADLINE_EXCEEDED"
BUSY = "UNAVAILABLE"


def understood(operations: list[Operation]) -> list[str]:
    """A sentence for each operation, in the order of the instruction."""
    return [_sentence(operation) for operation in operations]


def hint(info: EditInfo) -> str:
    """Why the sentence was not understood; "" where it was."""
    return _named(info.hint.message, "INSTRUCTION") if info.hint else ""


def extent(region: Region | None) -> str:
    """How much of the picture may change."""
    if region is None or not region.share:
        return "Nothing to change was found in the picture."
    if region.share == 1:
        return "All of the picture may change."
    return f"{region.share:.0%} of the picture may change; the rest stays as it is, pixel by pixel."


def figures(info: EditInfo) -> list[tuple[str, str]]:
    """(name, value) of what reproduces this result."""
    reused = f", {info.steps_reused} of them reused" if info.steps_reused else ""
    lane = f"{info.lane}: {info.lane_reason}" if info.lane_reason else info.lane
    return [("Seed", str(info.seed)), ("Steps", f"{info.steps}{reused}"), ("Lane", lane)]


def times(info: EditInfo) -> list[tuple[str, float]]:
    """(stage, milliseconds), with the total last. Stages overlap: it can be below their sum."""
    spent = dict(info.milliseconds)
    total = spent.pop("total", sum(spent.values()))
    stages = [
        *(stage for stage in STAGES if stage in spent),
        *(stage for stage in spent if stage not in STAGES),
    ]
    return [*((STAGES.get(stage, stage), spent[stage]) for stage in stages), ("total", total)]


def done(info: EditInfo) -> str:
    """The status line of a finished edit."""
    if info.asks_for_nothing:
        return "The sentence asks for no change. The next one edits this picture."
    total = info.milliseconds.get("total", 0.0)
    spent = f"{total:.0f} ms" if total < 1000 else f"{total / 1000:.1f} s"
    return f"Done in {spent}, seed {info.seed}. The next sentence edits this picture."


def trouble(failure: RequestError, running: bool, address: str) -> str:
    """A failed edit in a sentence, with the next step.

    `running`: whether a server answers at `address`."""
    if not running:
        return (
            f"No server answers at {address}: start one with “make serve” in a terminal, "
            "then press Edit again."
        )
    if failure.code == BUSY and failure.retry_after:
        seconds = max(1, round(failure.retry_after))
        return f"The server is busy with other edits: press Edit again in about {seconds} s."
    if failure.code == BUSY:
        return f"The server cannot take the edit now ({failure}): press Edit again in a moment."
    if failure.code == DEADLINE:
        return f"{_sentence_of(failure)} The deadline is under Advanced; 0 means no deadline."
    return _sentence_of(failure)


def _sentence(operation: Operation) -> str:
    """A sentence for an operation of the shipped checkpoint; others are printed as they are."""
    if operation.op not in SENTENCES:
        return " ".join(filter(None, (operation.op, operation.target, operation.value))) + "."
    a = "an" if operation.value[:1] in tuple("aeiou") else "a"
    return SENTENCES[operation.op].format(a=a, target=operation.target, value=operation.value) + "."


def _sentence_of(failure: RequestError) -> str:
    """The server's message, with fields named as on the page."""
    return _named(failure.message, failure.field)


def _named(message: str, field: str | None) -> str:
    """A message about a field as a sentence that begins with the page's name of it."""
    message = message.strip().rstrip(".")
    if field in FIELDS and message.startswith(field):
        message = FIELDS[field] + message.removeprefix(field)
    return f"{message[:1].upper()}{message[1:]}."
