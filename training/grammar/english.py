"""English noun phrases and spelling."""

from __future__ import annotations

import re

from training.grammar.nouns import NounPhrases
from training.grammar.references import Description
from training.vocabulary import NONE

_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou]|8|11 |18|hour)")
_LIKE_CONSONANT = re.compile(r"\b([Aa])n (?=uni|one|eu|use|usu|uk)")
_AMERICAN = (
    ("colour", "color"),
    ("grey", "gray"),
    ("centre", "center"),
    ("osteris", "osteriz"),
    ("ixelis", "ixeliz"),
    ("inimise", "inimize"),
)
_BRITISH = re.compile("|".join(british for british, _ in _AMERICAN))
_ARTICLES = re.compile(
    r"\b(the (?!same)|an? (?!bit|little|lot|touch|tad|few|shade|whole|great|go))"
)


class English(NounPhrases):
    """Phrases with "the" and "a"; `finish` makes "an" of "a" where it must."""

    language = "en"
    verbs = {
        "it_is": (("is", "'s"), ("are",)),
        "it_looks": (("looks", "seems", "appears"), ("look", "seem")),
        "it_needs": (("needs",), ("need",)),
        "it_has": (("has",), ("have",)),
        "it_lacks": (("lacks",), ("lack",)),
        "it_uses": (("could use",), ("could use",)),
        "it_isnt": (("isn't", "is not"), ("aren't", "are not")),
    }

    def definite(self, description: Description, case: str = "") -> str:
        return "the " + self.bare(description)

    def indefinite(self, description: Description, case: str = "") -> str:
        return "a " + self.bare(description)

    def bare(self, description: Description) -> str:
        text = self.noun(description.kind)
        if description.colour != NONE:
            text = f"{description.colour} {text}"
        if description.size != NONE:
            text = f"{self.size(description.size)} {text}"
        if description.side in ("left", "right"):
            return f"{text} on the {description.side}"
        return text if description.side == NONE else f"{text} at the {description.side}"

    def finish(self, text: str) -> str:
        """Articles before vowels; American spelling in half of the sentences and in plain ones;
        articles left out in a few."""
        if not self.plain and self.rng.random() < 0.05:
            text = _ARTICLES.sub("", text)
        text = _LIKE_CONSONANT.sub(r"\1 ", _BEFORE_VOWEL.sub(r"\1n ", text))
        if _BRITISH.search(text) and (self.plain or self.rng.random() < 0.55):
            for british, american in _AMERICAN:
                text = text.replace(british, american)
        return text
