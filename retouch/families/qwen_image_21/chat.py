"""The chat of Qwen-Image 2.1 as Qwen3-VL's input, in chunks: one up to the end of every photo, and
one with the instruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from retouch.families.qwen_vl.chat import SPECIAL, photo_positions

SYSTEM = "<|im_start|>system\nComprehend and analyze the provided prompt.<|im_end|>\n"
USER = "<|im_start|>user\n"
PICTURE = "<image{}><|vision_start|>"
NEXT = "<|vision_end|> "  # between a photo and the tag of the next
BEFORE = "<|vision_end|>"  # the instruction
AFTER = "<|im_end|>\n<|im_start|>assistant\n"
PHOTO = "<|image_pad|>"
NO_INSTRUCTION = " "  # of the pipeline, for an empty one


@dataclass(frozen=True)
class Chunk:
    """A part of a chat. `ids` int64 [T]; `positions` int64 [3, T] (time, row, column); `texts` [T]
    marks the tokens that are no photo's. The next chunk's positions begin at `end`."""

    ids: np.ndarray
    positions: np.ndarray
    texts: np.ndarray
    end: int


class ChunkWriter:
    """Special tokens are recognised in the template. In an instruction they are plain text."""

    def __init__(self, tokenizer: Path | Tokenizer):
        self.tokenizer = (
            tokenizer if isinstance(tokenizer, Tokenizer) else Tokenizer.from_file(str(tokenizer))
        )
        self.tokenizer.encode_special_tokens = True
        self.system = len(list(self._template(SYSTEM)))  # tokens

    def photos(self, grids: Sequence[tuple[int, int]]) -> Iterator[Chunk]:
        """A chunk for each photo, of `grids` (rows, columns) of tokens: the text before it, and its
        tokens."""
        at = 0
        for number, grid in enumerate(grids, start=1):
            text = list(self._template(self._before(number)))
            cells = grid[0] * grid[1]
            ids = [*text, *[self.tokenizer.token_to_id(PHOTO)] * cells]
            photo = photo_positions(grid, at + len(text))
            positions = np.concatenate([_text_positions(at, len(text)), photo], 1)
            at += len(text) + max(grid)
            texts = np.arange(len(ids)) < len(text)
            yield Chunk(np.array(ids), positions, texts, at)

    def instruction(self, instruction: str, start: int) -> Chunk:
        """The chunk after all photos, from position `start`."""
        sentence = self.tokenizer.encode(instruction or NO_INSTRUCTION, add_special_tokens=False)
        ids = [*self._template(BEFORE), *sentence.ids, *self._template(AFTER)]
        positions = _text_positions(start, len(ids))
        return Chunk(np.array(ids), positions, np.ones(len(ids), bool), start + len(ids))

    def text_before(self, photos: int) -> list[int]:
        """Tokens of the texts before the first `photos` photos, without the system's."""
        counts = [len(list(self._template(self._before(n + 1)))) for n in range(photos)]
        return [counts[0] - self.system, *counts[1:]]

    def _before(self, number: int) -> str:
        return (SYSTEM + USER if number == 1 else NEXT) + PICTURE.format(number)

    def _template(self, text: str) -> Iterator[int]:
        for piece in SPECIAL.split(text):
            token = self.tokenizer.token_to_id(piece) if SPECIAL.fullmatch(piece) else None
            if token is None:
                yield from self.tokenizer.encode(piece, add_special_tokens=False).ids
            else:
                yield token


def _text_positions(start: int, count: int) -> np.ndarray:
    return np.tile(start + np.arange(count), (3, 1))
