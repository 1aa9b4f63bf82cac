"""Chinese noun phrases."""

from __future__ import annotations

from training.grammar.nouns import NounPhrases
from training.grammar.references import Description
from training.vocabulary import NONE

_COLOURS = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "white": "白色",
    "black": "黑色",
}
_SIDES = {"left": "左边的", "right": "右边的", "top": "上面的", "bottom": "下面的"}


class Chinese(NounPhrases):
    """There are no spaces, no articles and no endings."""

    language = "zh"

    def definite(self, description: Description, case: str = "") -> str:
        return self.bare(description)

    def indefinite(self, description: Description, case: str = "") -> str:
        number = "一个" if self.rng.random() < 0.7 or self.plain else ""
        return number + self.bare(description)

    def bare(self, description: Description) -> str:
        text = self.noun(description.kind)
        if description.colour != NONE:
            text = f"{self.colour(description.colour)}{'的' * (self.rng.random() < 0.5)}{text}"
        if description.size != NONE:
            text = self.size(description.size) + text
        return text if description.side == NONE else _SIDES[description.side] + text

    def colour(self, colour: str, form: str = "") -> str:
        return _COLOURS.get(colour, colour)

    def join(self, text: str) -> str:
        return text

    def join_before(self, text: str) -> str:
        return text
