"""Saves the results of a benchmark as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def save_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write `path` and its folder. Does nothing without a path."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")
