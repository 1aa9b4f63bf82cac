"""Lists of words outside the vocabulary: text files in the folder `lists`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from training.grammar.forms import LANGUAGES
from training.grammar.kinds import cached_by_kinds, english_nouns
from training.grammar.nouns import Kinds
from training.stamps import load_kinds
from training.vocabulary import COLOURS

FOLDER = Path(__file__).parent / "lists"
# terms of the lists that the grammar itself knows, and is therefore not outside
_KNOWN = {"grey", "gray", "sepia", "box", "disc", "text", "stain", "scratch", "date", "shape"}


@lru_cache
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """Lines of a file of lists by section, without comments."""
    result: dict[str, list[str]] = {}
    section = ""
    for row in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        row = row.strip()
        if row.startswith("[") and row.endswith("]"):
            section = row[1:-1]
        elif row and not row.startswith("# "):
            result.setdefault(section, []).append(row)
    return {section: tuple(rows) for section, rows in result.items()}


@lru_cache
def outside_terms(section: str) -> tuple[str, ...]:
    """Terms of a section of outside.txt; hyphens of compound terms are spaces."""
    rows = sections("outside")[section]
    compound = any("|" in row for row in rows)
    terms = "|".join(rows).split("|") if compound else " ".join(rows).split()
    return tuple(dict.fromkeys(term.replace("-", " ") for term in terms))


@lru_cache
def all_terms() -> frozenset[str]:
    """Words of all terms outside the vocabulary."""
    return frozenset(
        part
        for section in sections("outside")
        for term in outside_terms(section)
        for part in term.split()
    )


@cached_by_kinds
def outside_nouns(kinds: Kinds) -> tuple[str, ...]:
    """Nouns that no kind and no shape has."""
    return _outside(kinds, "noun")


@cached_by_kinds
def foreign_nouns(kinds: Kinds) -> dict[str, tuple[str, ...]]:
    """Nouns that no kind has, with their articles, by language.

    The kinds of training/kinds.json that are none of `kinds` are among them."""
    others = [kind for name, kind in load_kinds().items() if name not in kinds]
    return {
        language: (
            *outside_terms(f"{language} noun"),
            *(" ".join(kind[language]) for kind in others if language in kind),
        )
        for language in LANGUAGES
        if language != "en"
    }


@cached_by_kinds
def outside_parts(kinds: Kinds) -> tuple[str, ...]:
    """Parts of pictures that no kind is."""
    return _outside(kinds, "part")


def _outside(kinds: Kinds, section: str) -> tuple[str, ...]:
    known = {noun.lower() for noun in english_nouns(kinds)} | {*kinds, *COLOURS, *_KNOWN}
    return tuple(noun for noun in outside_terms(section) if noun not in known)
