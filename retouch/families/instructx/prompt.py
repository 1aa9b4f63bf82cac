"""An instruction and an image's tokens as the language model's input: token ids and 3-D rotary
positions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

START = "<|im_start|>"
END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
QUERY = "<|query|>"
MAX_TOKENS = 512  # of an instruction; a longer one is cut


@dataclass(frozen=True)
class Prompts:
    """A batch of B prompts, padded on the right to T tokens. Causal attention ignores the padding.

    `ids` int64 [B, T]; `positions` int64 [3, B, T]; `image_index` int64 [B, V] and `query_index`
    int64 [B, Q] are the places of the image's tokens and of the meta-queries."""

    ids: np.ndarray
    positions: np.ndarray
    image_index: np.ndarray
    query_index: np.ndarray


class PromptWriter:
    """Writes prompts `start text vision_start image vision_end queries`. The image follows the
    text, so that its hidden states depend on the instruction."""

    def __init__(self, tokenizer: Path | Tokenizer, queries: int):
        self.tokenizer = (
            tokenizer if isinstance(tokenizer, Tokenizer) else Tokenizer.from_file(str(tokenizer))
        )
        self.tokenizer.encode_special_tokens = (
            True  # an instruction holds no special tokens: they are plain text there
        )
        self.queries = queries
        # a meta-query replaces the embedding of this token, which not every tokenizer has
        self._query = self.tokenizer.token_to_id(QUERY) or self._id(END)

    def write(self, instructions: list[str], grid: tuple[int, int]) -> Prompts:
        """Prompts of instructions, each with an image of `grid` (rows, columns) tokens; ValueError
        when the tokenizer lacks a special token."""
        cells = grid[0] * grid[1]
        texts = [self._text(instruction) for instruction in instructions]
        length = max(len(text) for text in texts) + cells + 1 + self.queries
        ids = np.full((len(texts), length), self._id(END), np.int64)
        positions = np.zeros((3, len(texts), length), np.int64)
        image_index = np.array([len(text) + np.arange(cells) for text in texts])
        query_index = image_index[:, -1:] + 2 + np.arange(self.queries)
        for row, text in enumerate(texts):
            tail = (
                [self._id(IMAGE_PAD)] * cells
                + [self._id(VISION_END)]
                + [self._query] * self.queries
            )
            ids[row, : len(text) + len(tail)] = text + tail
            positions[:, row, : len(text) + len(tail)] = _positions(
                len(text), grid, 1 + self.queries
            )
        return Prompts(ids, positions, image_index, query_index)

    def _text(self, instruction: str) -> list[int]:
        ids = self.tokenizer.encode(instruction, add_special_tokens=False).ids[:MAX_TOKENS]
        return [self._id(START), *ids, self._id(VISION_START)]

    def _id(self, token: str) -> int:
        number = self.tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"the checkpoint's tokenizer has no {token}, which Qwen2.5-VL's has")
        return number


def _positions(before: int, grid: tuple[int, int], after: int) -> np.ndarray:
    """Rotary positions [3, before + cells + after] (time, row, column) of one image between two
    texts, as in `Qwen2_5_VLModel.get_rope_index`. Text counts on in all three."""
    rows, columns = grid
    row, column = np.divmod(np.arange(rows * columns), columns)
    image = np.stack([np.zeros_like(row), row, column]) + before
    follow = before + max(grid) + np.arange(after)
    return np.concatenate([np.tile(np.arange(before), (3, 1)), image, np.tile(follow, (3, 1))], 1)
