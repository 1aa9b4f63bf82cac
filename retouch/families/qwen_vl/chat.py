"""A chat template with photos and an instruction as Qwen2.5-VL's input: token ids and 3-D rotary
positions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from retouch.families.instructx.prompt import IMAGE_PAD

SPECIAL = re.compile(r"(<\|\w+\|>)")


@dataclass(frozen=True)
class Chat:
    """`ids` int64 [T]; `positions` int64 [3, T] (time, row, column); `image_index` int64 [V], the
    places of the photos' tokens."""

    ids: np.ndarray
    positions: np.ndarray
    image_index: np.ndarray


class ChatWriter:
    """Fills a chat template. `template` has {} for the instruction. Before it comes `picture` once
    a photo, with {} for its number.

    Special tokens are recognised in the template. In an instruction they are plain text."""

    def __init__(self, tokenizer: Path | Tokenizer, template: str, picture: str):
        self.tokenizer = (
            tokenizer if isinstance(tokenizer, Tokenizer) else Tokenizer.from_file(str(tokenizer))
        )
        self.tokenizer.encode_special_tokens = True
        self._before, self._after = template.split("{}")
        self._picture = picture

    def write(self, instruction: str, grids: list[tuple[int, int]]) -> Chat:
        """The chat of an instruction and of photos with `grids` (rows, columns) of tokens."""
        pictures = "".join(self._picture.format(number + 1) for number in range(len(grids)))
        ids = []
        positions = []
        image_index = []
        photos = iter(grids)
        at = 0
        for token in self._tokens(self._before + pictures, instruction, self._after):
            if token == self.tokenizer.token_to_id(IMAGE_PAD):
                grid = next(photos)
                image_index.append(len(ids) + np.arange(grid[0] * grid[1]))
                ids += [token] * (grid[0] * grid[1])
                positions.append(photo_positions(grid, at))
                at += max(grid)
            else:
                ids.append(token)
                positions.append(np.full((3, 1), at))
                at += 1
        return Chat(np.array(ids), np.concatenate(positions, 1), np.concatenate(image_index))

    def _tokens(self, before: str, instruction: str, after: str) -> Iterator[int]:
        """The instruction is tokenised with the template's text around it, because a token may
        cross their border."""
        *start, ahead = SPECIAL.split(before)
        behind, *end = SPECIAL.split(after)
        for piece in start:
            yield from self._encoded(piece)
        yield from self.tokenizer.encode(ahead + instruction + behind, add_special_tokens=False).ids
        for piece in end:
            yield from self._encoded(piece)

    def _encoded(self, piece: str) -> list[int]:
        if SPECIAL.fullmatch(piece):
            token = self.tokenizer.token_to_id(piece)
            assert token is not None  # it is the template's
            return [token]
        return self.tokenizer.encode(piece, add_special_tokens=False).ids


def photo_positions(grid: tuple[int, int], start: int) -> np.ndarray:
    """Positions int64 [3, rows × columns] of a photo's tokens, as in
    `Qwen2_5_VLModel.get_rope_index`. The next token's is `start` and the photo's longer side."""
    row, column = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return start + np.stack([np.zeros_like(row), row, column])
