"""What the shipped checkpoint can do, in sentences made of the words that its parser's heads know.

It does not refuse what it does not know yet, so the page, `retouch edit` and README.md say what it
knows."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retouch.api.response import EditInfo
from retouch.artifacts.manifest import ArtifactError
from retouch.families.instructx.parser_output import NONE
from retouch.launcher.secret import is_loopback
from retouch.launcher.server import ROOT
from retouch.serving.repository import lane_manifest

SHIPPED = ROOT / "checkpoints" / "shapes"
HEADS = "parser_heads/config.json"
SHORT = 12  # digits of a checkpoint's digest in an answer
BACKGROUND = "background"  # the operation that is not about a shape
NUMBERS = ("no", "one", "two", "three", "four")
UNKNOWN = "It does not refuse what it does not know: other pictures and sentences are edited wrongly or not at all."


@dataclass(frozen=True)
class Abilities:
    """The words of a checkpoint whose parser has heads, and how many changes it takes from one
    sentence."""

    operations: tuple[str, ...]
    colours: tuple[str, ...]
    kinds: tuple[str, ...]
    sizes: tuple[str, ...]
    places: tuple[str, ...]
    changes: int

    @classmethod
    def of(cls, checkpoint: Path) -> Abilities | None:
        """None for a checkpoint without these heads, or where there is none."""
        try:
            heads = json.loads((checkpoint / HEADS).read_text())
        except OSError:
            return None
        fields = heads["fields"]
        names = ("op", "value_colour", "target_kind", "value_size", "value_place")
        lists = (tuple(word for word in fields[name] if word != NONE) for name in names)
        return cls(*lists, changes=heads["slots"])

    def sentences(self) -> list[str]:
        verbs = _listed([name for name in self.operations if name != BACKGROUND], "or")
        background = ", or change the background's colour" if BACKGROUND in self.operations else ""
        count = NUMBERS[self.changes] if self.changes < len(NUMBERS) else str(self.changes)
        return [
            f"The shipped checkpoint edits drawings of simple shapes: {_listed([f'{kind}s' for kind in self.kinds], 'and')} "
            f"in {_listed(self.colours, 'and')}.",
            f"It can {verbs} a shape{background}, with at most {count} change{'s' * (self.changes != 1)} a sentence.",
            f"Its {_named('size', self.sizes)}, its {_named('place', self.places, verb=False)}.",
            UNKNOWN,
        ]


def shipped() -> str:
    """What the shipped checkpoint can do; "" where it is not beside the code."""
    abilities = Abilities.of(SHIPPED)
    return " ".join(abilities.sentences()) if abilities else ""


def behind(info: EditInfo) -> str:
    """The same where it has made an answer; "" for any other checkpoint."""
    checkpoint = info.versions.get("checkpoint", "")
    return shipped() if checkpoint and checkpoint == _digest()[:SHORT] else ""


def expected_at(address: str) -> str:
    """The same where a server at `address` (host:port) serves it by all that is known before an
    edit: the server is on this machine, and the models here were exported from it."""
    if not is_loopback(address.rpartition(":")[0]):
        return ""
    try:
        manifest = lane_manifest(ROOT / "model_repository")
    except (ArtifactError, OSError):
        return ""
    return shipped() if manifest and manifest.checkpoint_sha256 == _digest() else ""


@functools.cache
def _digest() -> str:
    """Of the shipped checkpoint, as manifests have it; "" where it is not beside the code."""
    from retouch_export.staleness import checkpoint_digest

    return checkpoint_digest(SHIPPED) if SHIPPED.is_dir() else ""


def _listed(words: Sequence[str], last: str) -> str:
    """red, green or blue"""
    *first, final = words
    return f"{', '.join(first)} {last} {final}" if first else final


def _named(noun: str, words: Sequence[str], verb: bool = True) -> str:
    """sizes are small and large; places left and right; size is tiny"""
    several = len(words) > 1
    return f"{noun}{'s' * several} {('are ' if several else 'is ') * verb}{_listed(words, 'and')}"
