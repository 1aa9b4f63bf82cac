"""A connector where a checkpoint has none: what the text encoder says is the transformer's
conditioning already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    return []


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """Nothing but its manifest."""
