"""What the shipped checkpoint can do, in sentences built from its parser heads' vocabulary.

The page, `retouch edit` and README.md list what it supports: a checkpoint may edit by instructions
that it does not know."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retouch.api.response import EditInfo
from retouch.artifacts.manifest import ArtifactError
from retouch.families.instructx.parser_output import UNKNOWN, WITHOUT_BOXES
from retouch.launcher.secret import is_loopback
from retouch.launcher.server import ROOT
from retouch.serving.repository import lane_manifest

SHIPPED = ROOT / "checkpoints" / "shapes"
HEADS = "parser_heads/config.json"
DIGEST_DIGITS = 12  # of a checkpoint's digest in EditInfo
BACKGROUND = "background"  # the only operation without a shape
NUMBERS = ("no", "one", "two", "three", "four")
NO_REJECTION = (
    "It does not reject other images or instructions: it edits them wrongly or not at all."
)
REJECTION = "It says so where it does not understand an instruction."


@dataclass(frozen=True)
class Abilities:
    """The vocabulary of a checkpoint whose parser has heads, and its changes per instruction."""

    operations: tuple[str, ...]
    colours: tuple[str, ...]
    kinds: tuple[str, ...]
    sizes: tuple[str, ...]
    places: tuple[str, ...]
    changes: int
    rejects: bool = False  # instructions that it does not understand

    @classmethod
    def of(cls, checkpoint: Path) -> Abilities | None:
        """None if the checkpoint is absent or has no parser heads."""
        try:
            heads = json.loads((checkpoint / HEADS).read_text())
        except OSError:
            return None
        fields = heads["fields"]
        names = ("op", "value_colour", "target_kind", "value_size", "value_place")
        lists = (
            tuple(word for word in fields[name] if word not in WITHOUT_BOXES) for name in names
        )
        return cls(*lists, changes=heads["slots"], rejects=UNKNOWN in fields["op"])

    def sentences(self) -> list[str]:
        verbs = _listed([name for name in self.operations if name != BACKGROUND], "or")
        background = ", or change the background's colour" if BACKGROUND in self.operations else ""
        count = NUMBERS[self.changes] if self.changes < len(NUMBERS) else str(self.changes)
        plural = "s" * (self.changes != 1)
        kinds = _listed([f"{kind}s" for kind in self.kinds], "and")
        colours = _listed(self.colours, "and")
        return [
            f"The shipped checkpoint edits drawings of simple shapes: {kinds} in {colours}.",
            f"It can {verbs} a shape{background}, with at most {count} change{plural} "
            "per instruction.",
            f"Its {_named('size', self.sizes)}, its {_named('place', self.places, verb=False)}.",
            REJECTION if self.rejects else NO_REJECTION,
        ]


def shipped() -> str:
    """What the shipped checkpoint can do; "" if it is not beside the code."""
    abilities = Abilities.of(SHIPPED)
    return " ".join(abilities.sentences()) if abilities else ""


def behind(info: EditInfo) -> str:
    """`shipped()` if the shipped checkpoint made this edit; "" for any other checkpoint."""
    checkpoint = info.versions.get("checkpoint", "")
    return shipped() if checkpoint and checkpoint == _digest()[:DIGEST_DIGITS] else ""


def expected_at(address: str) -> str:
    """`shipped()` if the server at `address` (host:port) seems to serve the shipped checkpoint.

    That is, the server is on this machine and the models here were exported from it."""
    if not is_loopback(address.rpartition(":")[0]):
        return ""
    try:
        manifest = lane_manifest(ROOT / "model_repository")
    except (ArtifactError, OSError):
        return ""
    return shipped() if manifest and manifest.checkpoint_sha256 == _digest() else ""


@functools.cache
def _digest() -> str:
    """The shipped checkpoint's digest, as in manifests; "" if it is not beside the code."""
    from retouch_export.staleness import checkpoint_digest

    return checkpoint_digest(SHIPPED) if SHIPPED.is_dir() else ""


def _listed(names: Sequence[str], conjunction: str) -> str:
    """`red, green or blue`"""
    *first, last = names
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def _named(noun: str, names: Sequence[str], verb: bool = True) -> str:
    """`sizes are small and large`, `places left and right`, `size is tiny`"""
    several = len(names) > 1
    return f"{noun}{'s' * several} {('are ' if several else 'is ') * verb}{_listed(names, 'and')}"
