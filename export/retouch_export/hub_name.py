"""The name of a checkpoint on the Hugging Face Hub: ORG/NAME or ORG/NAME@REVISION."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MAIN = "main"
PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
NAME = re.compile(rf"(?P<repository>{PART}/{PART})(?:@(?P<revision>{PART}(?:/{PART})*))?")


@dataclass(frozen=True)
class HubName:
    """A repository of the hub, and a branch, tag or commit of it."""

    repository: str
    revision: str = MAIN

    def __str__(self) -> str:
        is_main = self.revision == MAIN
        return self.repository if is_main else f"{self.repository}@{self.revision}"


def hub_name(path: Path) -> HubName | None:
    """The name that an argument of a command has the form of. None for other forms and for a path
    in an existing folder: a mistyped one is not asked of the hub."""
    is_local = path.exists() or path.parent.is_dir()
    match = None if is_local else NAME.fullmatch(str(path))
    return HubName(match["repository"], match["revision"] or MAIN) if match else None
