"""The words that the grammar knows in any sense: a typing error must not make one of them."""

from __future__ import annotations

import re
from functools import lru_cache

from training.grammar.forms import FOLDER, LANGUAGES
from training.grammar.kinds import cached_by_kinds
from training.grammar.nouns import Kinds
from training.grammar.word_lists import all_terms
from training.vocabulary import COLOURS

_SLOT = re.compile(r"\{\w+\}")
_WORD = re.compile(r"[^\W\d_]+")


@cached_by_kinds
def lexicon(kinds: Kinds) -> frozenset[str]:
    """Lower-case words of all forms, of the lists outside the vocabulary, and of the kinds."""
    nouns = {noun.lower() for kind in kinds.values() for noun in _nouns(kind)}
    return frozenset(_form_terms() | nouns | set(kinds))


@lru_cache
def _form_terms() -> frozenset[str]:
    terms = set(COLOURS) | {term.lower() for term in all_terms()}
    for language in LANGUAGES:
        path = FOLDER / f"{language}.txt"
        if path.exists():
            text = _SLOT.sub(" ", path.read_text(encoding="utf-8").lower())
            terms.update(_WORD.findall(text))
    american = {term.replace("colour", "color").replace("grey", "gray") for term in terms}
    return frozenset(terms | american | {"center", "posterize", "pixelize", "minimize"})


def _nouns(kind) -> list[str]:
    return [noun for language in LANGUAGES for noun in kind.get(language, [])]
