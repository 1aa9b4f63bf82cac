"""French and Spanish noun phrases: genders, agreement, elision."""

from __future__ import annotations

import re

from training.grammar.forms import FEMININE, PLURAL
from training.grammar.nouns import NounPhrases
from training.grammar.references import Description
from training.vocabulary import NONE

_AGREEING = re.compile(r"([^\W\d_]+)@")
# "la", "le", "de" before a vowel or a mute h
_SOUND = "(?:[aeiouyàâéèêëîïôûœ]|h(?:élico|ippo|ôtel|omme))"
_ELISION = re.compile(rf"\b([LlDd])[ae] (?={_SOUND})")
_CONTRACTION = re.compile(rf"\b(de|à) le (?!{_SOUND})")


class Romance(NounPhrases):
    """What French and Spanish share: adjectives agree, colours follow the noun.

    `colours` have the four forms masculine, feminine and their plurals. `_feminine` is the article
    that says that a noun is feminine."""

    colours: dict[str, tuple[str, str, str, str]] = {}
    sides: dict[str, str] = {}
    articles: dict[str, str] = {}
    masculine = ""
    feminine = ""

    def definite(self, description: Description, case: str) -> str:
        article, phrase = self._phrase(description)
        return f"{article} {phrase}"

    def indefinite(self, description: Description, case: str) -> str:
        article, phrase = self._phrase(description)
        return f"{self.articles[article]} {phrase}"

    def bare(self, description: Description) -> str:
        return self._phrase(description)[1]

    def colour(self, colour: str, form: str = "") -> str:
        """`form` is m, f, mp or fp; "" agrees with the last noun phrase."""
        forms = self.colours.get(colour, (colour,) * 4)
        form = form or gender(self.mark)
        return forms[("m", "f", "mp", "fp").index(form)]

    def agree(self, text: str) -> str:
        form = gender(self.mark)
        return _AGREEING.sub(lambda match: self.adjective(match.group(1), form), text)

    def adjective(self, stem: str, form: str) -> str:
        """An adjective in one of the four forms."""
        raise NotImplementedError

    def _noun(self, kind: str) -> tuple[str, str]:
        if kind in self.kinds:
            article, noun = self.kinds[kind][self.language]
            return article, noun
        section = f"noun {'shape' if kind == NONE else kind}"
        text = self.term(section) if section in self.forms.sections else kind
        article, _, noun = text.partition(" ")
        return (article, noun) if noun else (self.masculine, kind)

    def _phrase(self, description: Description) -> tuple[str, str]:
        """Article and the rest; the mark is that of the noun."""
        article, noun = self._noun(description.kind)
        feminine = article.startswith(self.feminine)
        self.mark = FEMININE * feminine + PLURAL * article.endswith("s")
        parts = [noun]
        if description.colour != NONE:
            parts.append(self.colour(description.colour))
        if description.size != NONE:
            self.add_size(parts, self.size(description.size))
        if description.side != NONE:
            parts.append(self.sides[description.side])
        return article, " ".join(parts)

    def add_size(self, parts: list[str], size: str) -> None:
        """Puts an adjective of size at its place among the noun and the colour."""
        raise NotImplementedError


class French(Romance):
    language = "fr"
    masculine = "le"
    feminine = "la"
    articles = {"le": "un", "la": "une", "les": "des"}
    verbs = {
        "it_is": (("est",), ("sont",)),
        "it_isnt": (("n'est pas",), ("ne sont pas",)),
    }
    colours = {
        "red": ("rouge", "rouge", "rouges", "rouges"),
        "orange": ("orange", "orange", "orange", "orange"),
        "yellow": ("jaune", "jaune", "jaunes", "jaunes"),
        "green": ("vert", "verte", "verts", "vertes"),
        "blue": ("bleu", "bleue", "bleus", "bleues"),
        "purple": ("violet", "violette", "violets", "violettes"),
        "white": ("blanc", "blanche", "blancs", "blanches"),
        "black": ("noir", "noire", "noirs", "noires"),
    }
    sides = {"left": "à gauche", "right": "à droite", "top": "en haut", "bottom": "en bas"}

    def adjective(self, stem: str, form: str) -> str:
        if stem.endswith("x"):
            return stem if form in ("m", "mp") else f"{stem[:-1]}se{'s' * (form == 'fp')}"
        feminine = {"net": "nette", "vif": "vive", "moyen": "moyenne"}.get(
            stem, stem if stem.endswith("e") else f"{stem}e"
        )
        return (feminine if form in ("f", "fp") else stem) + "s" * (form in ("mp", "fp"))

    def add_size(self, parts: list[str], size: str) -> None:
        adjective = self.adjective(size, gender(self.mark))
        parts.insert(1 if size == "moyen" else 0, adjective)

    def finish(self, text: str) -> str:
        """Contractions and elisions."""
        text = _CONTRACTION.sub(lambda match: "du " if match.group(1) == "de" else "au ", text)
        text = text.replace(" de les ", " des ").replace(" à les ", " aux ")
        return _ELISION.sub(r"\1'", text)


class Spanish(Romance):
    language = "es"
    masculine = "el"
    feminine = "la"
    articles = {"el": "un", "la": "una", "los": "unos", "las": "unas"}
    verbs = {
        "it_is": (("está",), ("están",)),
        "it_isnt": (("no está",), ("no están",)),
    }
    colours = {
        "red": ("rojo", "roja", "rojos", "rojas"),
        "orange": ("naranja", "naranja", "naranjas", "naranjas"),
        "yellow": ("amarillo", "amarilla", "amarillos", "amarillas"),
        "green": ("verde", "verde", "verdes", "verdes"),
        "blue": ("azul", "azul", "azules", "azules"),
        "purple": ("morado", "morada", "morados", "moradas"),
        "white": ("blanco", "blanca", "blancos", "blancas"),
        "black": ("negro", "negra", "negros", "negras"),
    }
    sides = {
        "left": "de la izquierda",
        "right": "de la derecha",
        "top": "de arriba",
        "bottom": "de abajo",
    }

    def adjective(self, stem: str, form: str) -> str:
        if stem.endswith("e"):
            return stem + "s" * (form in ("mp", "fp"))
        if stem.endswith("ón"):
            return {"m": stem, "f": f"{stem[:-2]}ona"}.get(form, f"{stem[:-2]}ones")
        return stem + {"m": "o", "f": "a", "mp": "os", "fp": "as"}[form]

    def add_size(self, parts: list[str], size: str) -> None:
        parts.append(self.adjective(size.removesuffix("o"), gender(self.mark)))

    def finish(self, text: str) -> str:
        return re.sub(r"\bde el ", "del ", text)


def gender(mark: str) -> str:
    """m, f, mp or fp: the form that a noun phrase's mark asks for."""
    return ("f" if FEMININE in mark else "m") + "p" * (PLURAL in mark)
