"""German noun phrases: articles, cases and endings."""

from __future__ import annotations

from training.grammar.nouns import NounPhrases
from training.grammar.references import Description
from training.vocabulary import NONE

_DEFINITE = {
    "nominative": {"der": "der", "die": "die", "das": "das"},
    "accusative": {"der": "den", "die": "die", "das": "das"},
    "dative": {"der": "dem", "die": "der", "das": "dem"},
}
_INDEFINITE = {
    "nominative": {"der": "ein", "die": "eine", "das": "ein"},
    "accusative": {"der": "einen", "die": "eine", "das": "ein"},
    "dative": {"der": "einem", "die": "einer", "das": "einem"},
}
# endings of adjectives behind an indefinite article; "en" elsewhere
_MIXED = {
    "nominative": {"der": "er", "die": "e", "das": "es"},
    "accusative": {"der": "en", "die": "e", "das": "es"},
}
_COLOURS = {
    "red": ("rot",),
    "orange": ("orange",),
    "yellow": ("gelb",),
    "green": ("grün",),
    "blue": ("blau",),
    "purple": ("lila", "violett"),
    "white": ("weiß",),
    "black": ("schwarz",),
}
# masculine nouns with an ending outside of the nominative, beside those in -e
_WEAK = {"Bär": "en", "Elefant": "en", "Astronaut": "en", "Planet": "en"}
_SIDES = {"left": "links", "right": "rechts", "top": "oben", "bottom": "unten"}


class German(NounPhrases):
    """The noun's article of the nominative says its gender."""

    language = "de"
    verbs = {
        "it_is": (("ist",), ("sind",)),
        "it_shall": (("soll",), ("sollen",)),
    }

    def definite(self, description: Description, case: str) -> str:
        article, noun = self._noun(description.kind)
        ending = "e" if case == "nominative" or (case != "dative" and article != "der") else "en"
        phrase = self._phrase(description, noun, ending, article, case)
        return f"{_DEFINITE[case][article]} {phrase}"

    def indefinite(self, description: Description, case: str) -> str:
        article, noun = self._noun(description.kind)
        ending = "en" if case == "dative" else _MIXED[case][article]
        phrase = self._phrase(description, noun, ending, article, case)
        return f"{_INDEFINITE[case][article]} {phrase}"

    def bare(self, description: Description) -> str:
        article, noun = self._noun(description.kind)
        return self._phrase(description, noun, _MIXED["nominative"][article], article, "nominative")

    def colour(self, colour: str, form: str = "") -> str:
        """`form` is an ending, "noun" for "Rot", "es_noun" for "Rote"; "" has no ending."""
        options = _COLOURS.get(colour, (colour,))
        stem = options[0 if self.plain else int(self.rng.random() * len(options))]
        if form == "noun":
            return stem.capitalize()
        if form == "es_noun":
            return _inflected(stem, "e").capitalize()
        return _inflected(stem, form)

    def finish(self, text: str) -> str:
        text = text.replace(",,", ",").replace(" in in ", " in ").rstrip(" ,")
        return text if self.plain or self.rng.random() < 0.5 else text.lower()

    def _noun(self, kind: str) -> tuple[str, str]:
        """Article of the nominative, and noun."""
        if kind in self.kinds:
            article, noun = self.kinds[kind]["de"]
            return article, noun
        section = f"noun {'shape' if kind == NONE else kind}"
        text = self.term(section) if section in self.forms.sections else kind
        article, _, noun = text.partition(" ")
        return (article, noun) if noun else ("das", kind)

    def _phrase(
        self, description: Description, noun: str, ending: str, article: str, case: str
    ) -> str:
        if article == "der" and case != "nominative":
            noun += _WEAK.get(noun, "n" if noun.endswith("e") else "")
        adjectives = []
        if description.size != NONE:
            adjectives.append(_inflected(self.size(description.size), ending))
        if description.colour != NONE:
            adjectives.append(self.colour(description.colour, ending))
        side = [] if description.side == NONE else [_SIDES[description.side]]
        return " ".join([*adjectives, noun, *side])


def _inflected(stem: str, ending: str) -> str:
    """An adjective with its ending; "lila" and "rosa" have none."""
    if not ending or stem in ("lila", "rosa"):
        return stem
    return stem.removesuffix("e") + ending
