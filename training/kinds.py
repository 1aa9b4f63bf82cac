"""The named cut-outs that instructions can speak of: `kinds.json`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "kinds.json"


@cache
def load_kinds() -> dict[str, dict[str, Any]]:
    """Files and nouns by kind: `files`, `en` (nouns, the usual one first), `de`, `fr`, `es`
    (article and noun), `zh` (noun)."""
    return json.loads(PATH.read_text(encoding="utf-8"))


def learnt() -> dict[str, dict[str, Any]]:
    """The kinds that the checkpoint learns; those of a later wave wait in the file."""
    return {kind: entry for kind, entry in load_kinds().items() if entry.get("wave", 1) == 1}


def names() -> tuple[str, ...]:
    return tuple(learnt())
