"""Qwen-Image 2.1's text encoder, a Qwen3-VL: it sees the photos and the instruction. The outputs of
its last layer, before the final norm, are the prompt embeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import verify
from retouch.backends.base import CACHED, BackendFactory
from retouch.backends.batches import run_rows
from retouch.backends.onnx import OnnxBackend
from retouch.families.denoise_request import Arrays
from retouch.families.qwen_image_21.chat import Chunk, ChunkWriter
from retouch.families.qwen_image_21.patches import Qwen3PatchLayout
from retouch.families.qwen_image_edit.sampling import dimensions
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging.images import fit
from retouch.util.content_cache import Cache, key_of, size_of

STATE_BYTES = 1 << 30  # of cached states of photos
VISION = "vision"
LANGUAGE = "language"
TOKENIZER = "tokenizer.json"
Photos = Sequence[np.ndarray]


@dataclass(frozen=True)
class PhotoStates:
    """What the text encoder keeps of a chat up to the end of a photo: `texts` [t, J], the prompt
    embeds so far, and the keys and values of all tokens."""

    texts: np.ndarray
    past: Arrays

    @property
    def nbytes(self) -> int:
        return size_of([self.texts, self.past])


@dataclass(frozen=True)
class Photo:
    """A photo of a chat as the vision tower takes it, uint8 [H, W, 3], and the chunk that ends with
    it. `key` is that of all photos up to this one."""

    pixels: np.ndarray
    chunk: Chunk
    key: str


class TextEncoder:
    """As `QwenImage21Pipeline.encode_prompt`, without the hidden states at the photos' tokens: the
    transformer does not read them.

    The states of the system's text and the photos are cached in `states`, by the photos: a further
    instruction runs its own tokens alone. Photos of which the first are equal share those. They lie
    in host memory: the language model takes them to its device in milliseconds."""

    def __init__(
        self, folder: Path, backend: BackendFactory = OnnxBackend, state_bytes: int = STATE_BYTES
    ):
        """ArtifactError when an artifact does not match the folder's manifest."""
        self.states = Cache(state_bytes)
        self._vision = backend(folder, VISION)
        self._language = backend(folder, LANGUAGE)
        self.batches = self._language.batches
        self.compiles = self._language.compiles
        settings = verify(folder, TOKENIZER).settings
        self._layout = Qwen3PatchLayout(**settings["patches"])
        self._writer = ChunkWriter(Path(folder) / TOKENIZER)
        self._rope = Rope(**settings["rope"])
        self._area = settings["area"]
        self._photos = settings["photos"]
        self._attention = settings["attention"]  # layers, heads of keys, and their size
        self._width = settings["width"]
        self._vision_width = settings["vision_width"]

    def encode_text(self, instruction: str, photos: Photos) -> Arrays:
        """`prompt_embeds` float32 [T, J]. `photos` are uint8 [H, W, 3]; ValueError for none, or for
        more than the checkpoint takes."""
        return self.encode_texts([(instruction, [*map(self.prepared, photos)])])[0]

    def encode_texts(self, rows: Sequence[tuple[str, Photos]]) -> list[Arrays]:
        """`encode_text` of several instructions with their photos as `prepared` makes them."""
        for _, photos in rows:
            self._check(photos)
        chats = [self._chat(photos) for _, photos in rows]
        states = self._states(chats)
        inputs = []
        for (instruction, _), chat, state in zip(rows, chats, states):
            chunk = self._writer.instruction(instruction, chat[-1].chunk.end)
            inputs.append(self._inputs(chunk, self._no_tokens()) | state.past)
        outputs = run_rows(self._language, inputs)
        return [
            {"prompt_embeds": np.concatenate([state.texts, output["hidden"][0]])}
            for state, output in zip(states, outputs)
        ]

    def prepared(self, photo: np.ndarray) -> np.ndarray:
        """A photo uint8 [H, W, 3] at the size that the vision tower takes."""
        scaled = fit(photo, dimensions(self._area, *photo.shape[:2]))
        return fit(scaled, self._layout.size(*scaled.shape[:2]))

    def _check(self, photos: Photos) -> None:
        if not 1 <= len(photos) <= self._photos:
            raise ValueError(
                f"there are {len(photos)} photos; this checkpoint takes 1 to {self._photos}"
            )

    def _chat(self, pixels: Photos) -> list[Photo]:
        chunks = self._writer.photos([self._layout.grid(*photo.shape[:2]) for photo in pixels])
        return [
            Photo(photo, chunk, key_of(*pixels[: place + 1]))
            for place, (photo, chunk) in enumerate(zip(pixels, chunks))
        ]

    def _states(self, chats: Sequence[Sequence[Photo]]) -> list[PhotoStates]:
        """The states after the last photo of every chat. The first photos of all chats run together
        where the backend gains by it, then the second ones."""
        states = [self._nothing()] * len(chats)
        for place in range(max(map(len, chats))):
            rows = [row for row, chat in enumerate(chats) if len(chat) > place]
            keys = [chats[row][place].key for row in rows]
            pairs = {key: (chats[row][place], states[row]) for key, row in zip(keys, rows)}
            reached = self.states.get_all(
                keys, lambda missing, pairs=pairs: self._encode([pairs[key] for key in missing])
            )
            for row, state in zip(rows, reached):
                states[row] = state
        return states

    def _encode(self, pairs: Sequence[tuple[Photo, PhotoStates]]) -> list[PhotoStates]:
        """The states after photos, from those before them."""
        vision = run_rows(
            self._vision, [self._layout.inputs(photo.pixels[None]) for photo, _ in pairs]
        )
        inputs = [
            self._inputs(photo.chunk, output["vision_tokens"]) | before.past
            for (photo, before), output in zip(pairs, vision)
        ]
        return [
            self._after(photo, before, outputs)
            for (photo, before), outputs in zip(pairs, run_rows(self._language, inputs))
        ]

    def _after(self, photo: Photo, before: PhotoStates, outputs: Arrays) -> PhotoStates:
        """The states before a photo and the language model's outputs for it as one."""
        texts = outputs["hidden"][0][photo.chunk.texts]
        own = texts if len(before.texts) else texts[self._writer.system :]
        past = {f"past_{name}": outputs[name] for name in CACHED}
        return PhotoStates(np.concatenate([before.texts, own]), past)

    def _inputs(self, chunk: Chunk, vision_tokens: np.ndarray) -> Arrays:
        """The language model's inputs without the past."""
        cos, sin = self._rope.tables(chunk.positions)
        return {
            "input_ids": chunk.ids[None],
            "vision_tokens": vision_tokens,
            "image_index": np.flatnonzero(~chunk.texts)[None],
            "rope_cos": cos[None],
            "rope_sin": sin[None],
        }

    def _no_tokens(self) -> np.ndarray:
        return np.zeros((1, 0, self._vision_width), np.float32)

    def _nothing(self) -> PhotoStates:
        layers, heads, size = self._attention
        empty = np.zeros((1, layers, 0, heads, size), np.float32)
        texts = np.zeros((0, self._width), np.float32)
        return PhotoStates(texts, {"past_k": empty, "past_v": empty})
