"""The parser as a stage: image and instruction to meta-queries, operations and the cells that
change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL.Image import Resampling

from retouch.api.request import CELL
from retouch.api.response import Operation
from retouch.artifacts.manifest import verify
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner
from retouch.diffusion.latents import cell_centres
from retouch.families.instructx import parser_output
from retouch.families.instructx.prompt import PromptWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging.images import fit
from retouch.util.content_cache import Cache, key_of

SEEN_BYTES = 32 << 20
READ_BYTES = 8 << 20  # of images' tokens, and of what was understood
VISION = "vision"
LANGUAGE = "language"
TOKENIZER = "tokenizer.json"


@dataclass
class Parsed:
    """What one image and sentence mean.

    queries float32 [Q, D]: what the connector takes; boxes float32 [S, 2, 4]: target and value box
    of every operation slot, as shares x0, y0, x1, y1, zeros where there is none; region bool [N]:
    cells that change. `remembered` says what of it was known before: the image, or the sentence
    about it too. `pooled` [P] is one vector for the whole sentence, `against` [T, D] and
    `against_pooled` the same of a negative instruction, all empty where a family or an edit has
    none."""

    queries: np.ndarray
    boxes: np.ndarray
    operations: list[Operation]
    region: np.ndarray
    remembered: dict[str, bool] = field(default_factory=dict)
    pooled: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    against: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    against_pooled: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def nbytes(self) -> int:
        return self.queries.nbytes + self.boxes.nbytes + self.region.nbytes

    def to_json(self) -> str:
        """Everything but the queries; the region as one digit a cell."""
        return json.dumps(
            {
                "operations": [asdict(operation) for operation in self.operations],
                "boxes": np.round(self.boxes, 4).tolist(),
                "region": "".join("01"[int(cell)] for cell in self.region),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes, queries: np.ndarray) -> Parsed:
        data = json.loads(text)
        region = np.array([digit == "1" for digit in data["region"]])
        operations = [Operation(**operation) for operation in data["operations"]]
        return cls(queries, np.array(data["boxes"], np.float32), operations, region)


class Parser:
    """The vision tower, then the language model with meta-queries and heads; it remembers images
    and what was said of them.

    It sees an image at a size of its own, in tokens that need not be the transformer's cells: what
    it finds is in shares of the image."""

    def __init__(
        self,
        folder: Path,
        seen_bytes: int = SEEN_BYTES,
        read_bytes: int = READ_BYTES,
        runner: Opener = OnnxRunner,
    ):
        """ArtifactError when an artifact is not what the folder's manifest says."""
        self.seen = Cache(seen_bytes)
        self.read = Cache(read_bytes)
        self._vision = runner(folder, VISION)
        self._language = runner(folder, LANGUAGE)
        settings = verify(folder, TOKENIZER).settings
        self._writer = PromptWriter(Path(folder) / TOKENIZER, settings["queries"])
        self._layout = PatchLayout(**settings["patches"])
        self._rope = Rope(**settings["rope"])
        self._fields = settings["fields"]
        self._threshold = settings["region_threshold"]

    def parse(
        self, files: Sequence[bytes], pixels: np.ndarray, instruction: str, negative: str
    ) -> Parsed:
        """Of one image uint8 [H, W, 3], which has been decoded already; this family knows no
        negative instruction."""
        return self.run(pixels[None], [instruction])[0]

    def run(self, pixels: np.ndarray, instructions: list[str]) -> list[Parsed]:
        """Images uint8 [B, H, W, 3] of one size and a sentence for each.

        Every row runs alone: on a CPU eight rows take as long together as one after the other, and
        so none is padded to the longest sentence, nor can one change the last bits of another."""
        return [
            self._parse(image[None], instruction)
            for image, instruction in zip(pixels, instructions)
        ]

    def _parse(self, pixels: np.ndarray, instruction: str) -> Parsed:
        key = key_of(pixels)
        known = {"vision": key in self.seen, "parse": (key, instruction) in self.read}
        parsed = self.read.get(
            (key, instruction),
            lambda: self._read(
                self.seen.get(key, lambda: self._see(pixels)), pixels.shape[1:3], instruction
            ),
        )
        return replace(parsed, remembered=known)

    def _see(self, pixels: np.ndarray) -> np.ndarray:
        """The tokens of images [1, H, W, 3]."""
        seen = fit(pixels[0], self._layout.size(*pixels.shape[1:3]), Resampling.BICUBIC)
        return self._vision.run(**self._layout.inputs(seen[None]))["vision_tokens"]

    def _read(self, tokens: np.ndarray, size: tuple[int, int], instruction: str) -> Parsed:
        """Of an image that is edited at `size` in pixels."""
        seen = self._layout.grid(*self._layout.size(*size))
        grid = (size[0] // CELL, size[1] // CELL)
        prompt = self._writer.write([instruction], seen)
        cos, sin = self._rope.tables(prompt.positions)
        read = self._language.run(
            input_ids=prompt.ids,
            vision_tokens=tokens,
            image_index=prompt.image_index,
            query_index=prompt.query_index,
            rope_cos=cos,
            rope_sin=sin,
            centres=cell_centres(seen),
        )
        queries, labels, boxes, region = (
            read[name][0] for name in ("queries", "labels", "boxes", "region")
        )
        places = parser_output.places(labels, boxes, self._fields)
        return Parsed(
            queries,
            places,
            parser_output.operations(labels, boxes, self._fields),
            parser_output.region(region, self._threshold, places, seen, grid),
        )
