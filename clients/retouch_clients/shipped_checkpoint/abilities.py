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
from retouch.families.instructx.parser_output import SAYS, UNKNOWN, WITHOUT_BOXES
from retouch.launcher.secret import is_loopback
from retouch.launcher.server import ROOT
from retouch.serving.repository import lane_manifest
from retouch_clients.shipped_checkpoint import SHIPPED

HEADS = "parser_heads/config.json"
DIGEST_DIGITS = 12  # of a checkpoint's digest in EditInfo
BACKGROUND = "background"  # the operation of a drawing without a shape
SHAPES = ("circle", "square", "triangle", "star", "diamond")  # the kinds that it draws
MOST_OBJECTS = 6  # of other kinds in a sentence
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
    amounts: tuple[str, ...]
    parts: tuple[str, ...]  # of a picture
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
        names = (
            "op",
            "value_colour",
            "target_kind",
            "value_size",
            "value_place",
            "amount",
            "where",
        )
        left_out = {*WITHOUT_BOXES, *heads.get("unsupported", ())}
        lists = (
            tuple(word for word in fields.get(name, ()) if word not in left_out) for name in names
        )
        return cls(*lists, changes=heads["slots"], rejects=UNKNOWN in fields["op"])

    def sentences(self) -> list[str]:
        count = NUMBERS[self.changes] if self.changes < len(NUMBERS) else str(self.changes)
        plural = "s" * (self.changes != 1)
        return [
            *self._photographs(),
            *self._objects(),
            *self._shapes(),
            f"An instruction may ask for at most {count} change{plural}.",
            REJECTION if self.rejects else NO_REJECTION,
        ]

    def _photographs(self) -> list[str]:
        """Of the operations on a whole picture or a part of it."""
        tones = [name for name in self.operations if name not in SAYS]
        if not tones:
            return ["The shipped checkpoint edits drawings of simple shapes."]
        sentences = [f"The shipped checkpoint edits photographs: {_listed(tones, 'and')}."]
        if self.amounts:
            sentences.append(f"Amounts are usual, {_listed(self.amounts, 'and')}.")
        if self.parts:
            sentences.append(f"It can change a part alone: {_listed(self.parts, 'or')}.")
        return sentences

    def _objects(self) -> list[str]:
        """Of the kinds that it can take away, but not draw."""
        objects = [kind for kind in self.kinds if kind not in SHAPES]
        if not objects or "remove" not in self.operations:
            return []
        shown = objects[:MOST_OBJECTS]
        more = len(objects) - len(shown)
        names = [*shown, f"{more} other kinds"] if more else shown
        return [f"It can remove objects: {_listed(names, 'and')}."]

    def _shapes(self) -> list[str]:
        shapes = [kind for kind in self.kinds if kind in SHAPES]
        verbs = [name for name in self.operations if name in SAYS and name != BACKGROUND]
        if not shapes or not verbs:
            return []
        background = ", and change a drawing's background" if BACKGROUND in self.operations else ""
        return [
            f"It can {_listed(verbs, 'or')} simple shapes{background}.",
            f"Its {_named('shape', shapes)}, its {_named('colour', self.colours, verb=False)}.",
            f"Its {_named('size', self.sizes)}, its {_named('place', self.places, verb=False)}.",
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
