"""A section of the run: one command with a time limit of its own, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DONE = "done"
FAILED = "failed"
SKIPPED = "skipped"
CUT_OFF = "cut off"


@dataclass(frozen=True)
class Section:
    """`arguments` are those of Python; `{json}` in them is the file of its figures.

    `seconds` is its time limit, and `least` what it needs to tell anything. It is skipped without
    the packages `needs`, and where `obstacle` returns a reason. `tiny` are the arguments of a
    machine without a GPU."""

    name: str
    arguments: tuple[str, ...]
    seconds: float
    least: float = 30
    needs: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ()
    obstacle: Callable[[], str] = lambda: ""

    def reason_to_skip(self) -> str:
        """Why it cannot run here, as one clause; empty when it can."""
        missing = [name for name in self.needs if find_spec(name) is None]
        if missing:
            return (
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed here"
            )
        return self.obstacle()

    def command(self, json_path: Path, is_tiny: bool) -> list[str]:
        """The arguments for Python, with the file of the figures."""
        arguments = (*self.arguments, *(self.tiny if is_tiny else ()))
        return [str(json_path) if argument == "{json}" else argument for argument in arguments]


@dataclass
class Outcome:
    """What came of a section: its `state`, `reason` where it is not DONE, the seconds it took, and
    its `figures`."""

    name: str
    state: str
    reason: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
