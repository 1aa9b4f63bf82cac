"""The stage `vl_parser` of InstructX: image and instruction to meta-queries, operations and the
region."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL.Image import Resampling

from retouch.api.geometry import CELL
from retouch.api.response import Hint, Operation
from retouch.artifacts.manifest import read, verify
from retouch.backends.base import BackendFactory
from retouch.backends.batches import run_rows
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.latents import cell_centres
from retouch.families.denoise_request import Arrays, Size
from retouch.families.instructx.assessment import Assessment, Calibration
from retouch.families.instructx.heads_reader import HeadsReader
from retouch.families.instructx.hints import FILE as EXAMPLES
from retouch.families.instructx.hints import Hints
from retouch.families.instructx.prompt import PromptWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging.images import fit
from retouch.util.content_cache import Cache, key_of

IMAGE_BYTES = 32 << 20  # of cached tokens of images
PARSED_BYTES = 8 << 20  # of cached results
VISION = "vision"
LANGUAGE = "language"
TOKENIZER = "tokenizer.json"


@dataclass
class Parsed:
    """What the stage finds in one image and instruction.

    - `queries` float32 [Q, D]: the connector's input.
    - `boxes` float32 [S, 2, 4]: target and value box of every operation slot, as shares x0, y0, x1,
      y1; zeros where there is none.
    - `operations`: for the answer's INFO.
    - `region` bool [N]: the cells that change.
    - `assessment`: whether the instruction is understood, None in families without a parser.
    - `hint`: what to send instead of an instruction that is not.
    - `cached`: which results were in the cache, by name ("vision", "parse").
    - `pooled_prompt_embeds` float32 [P]: one vector for the whole instruction; empty in families
      without.
    - `negative_embeds` float32 [T, D], `pooled_negative_embeds` float32 [P]: of a negative
      instruction; empty without one."""

    queries: np.ndarray
    boxes: np.ndarray
    operations: list[Operation]
    region: np.ndarray
    cached: dict[str, bool] = field(default_factory=dict)
    pooled_prompt_embeds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    negative_embeds: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    pooled_negative_embeds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    assessment: Assessment | None = None
    hint: Hint | None = None

    @property
    def nbytes(self) -> int:
        return self.queries.nbytes + self.boxes.nbytes + self.region.nbytes

    def to_json(self) -> str:
        """Operations, boxes and the region, which has one digit a cell; not the arrays of the
        networks."""
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


@dataclass(frozen=True, eq=False)
class ParseInput:
    """What a parser reads: encoded photos, the edited one first; that one's pixels uint8 [H, W, 3]
    at the size at which it is edited; an instruction and, unless it is None, a negative one."""

    files: Sequence[bytes]
    pixels: np.ndarray
    instruction: str
    negative: str | None = None


class Parser:
    """The vision tower, then the language model with meta-queries and heads. Images' tokens and
    results are cached.

    The vision tower takes an image at a size of its own, and its tokens need not be the
    transformer's cells. Boxes are therefore in shares of the image."""

    def __init__(
        self,
        folder: Path,
        image_bytes: int = IMAGE_BYTES,
        parsed_bytes: int = PARSED_BYTES,
        backend: BackendFactory = OnnxBackend,
    ):
        """ArtifactError when an artifact does not match the folder's manifest."""
        self.images = Cache(image_bytes)
        self.parsed = Cache(parsed_bytes)
        self._vision = backend(folder, VISION)
        self._language = backend(folder, LANGUAGE)
        self.batches = self._language.batches
        self.compiles = self._language.compiles
        has_examples = EXAMPLES in read(folder).files
        settings = verify(folder, TOKENIZER, *[EXAMPLES] * has_examples).settings
        self._writer = PromptWriter(Path(folder) / TOKENIZER, settings["queries"])
        self._layout = PatchLayout(**settings["patches"])
        self._rope = Rope(**settings["rope"])
        calibration = Calibration(**settings.get("calibration", {}))
        fields = settings["fields"]
        self._heads = HeadsReader(fields, settings["region_threshold"], calibration)
        self._hints = Hints.of(folder, fields, calibration.unsupported)

    def run(self, pixels: np.ndarray, instructions: list[str]) -> list[Parsed]:
        """Images uint8 [B, H, W, 3] of one size, with an instruction each."""
        return self.parse(
            [ParseInput((), image, sentence) for image, sentence in zip(pixels, instructions)]
        )

    def parse(self, rows: Sequence[ParseInput]) -> list[Parsed]:
        """Parse images of any sizes. Their files are not used, and this family has no negative
        instruction.

        Rows of equal sizes share a run where the backend gains by it. No row is padded to the
        longest instruction."""
        keys = [(key_of(row.pixels), row.instruction) for row in rows]
        images = {key: row.pixels for (key, _), row in zip(keys, rows)}
        cached = [{"vision": key[0] in self.images, "parse": key in self.parsed} for key in keys]

        def parse(missing: list[tuple[str, str]]) -> list[Parsed]:
            tokens = self.images.get_all(
                [key for key, _ in missing],
                lambda absent: self.encode_images([images[key] for key in absent]),
            )
            sizes = [(len(images[key]), images[key].shape[1]) for key, _ in missing]
            return self.encode_texts(tokens, sizes, [sentence for _, sentence in missing])

        return [
            replace(parsed, cached=hits)
            for parsed, hits in zip(self.parsed.get_all(keys, parse), cached)
        ]

    def encode_image(self, pixels: np.ndarray) -> np.ndarray:
        """Images uint8 [1, H, W, 3] → vision tokens float32 [1, V, width]."""
        return self.encode_images([pixels[0]])[0]

    def encode_images(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`encode_image` of images [H, W, 3]."""
        sizes = [self._layout.size(*image.shape[:2]) for image in images]
        resized = [fit(image, size, Resampling.BICUBIC) for image, size in zip(images, sizes)]
        rows = [self._layout.inputs(image[None]) for image in resized]
        return [outputs["vision_tokens"] for outputs in run_rows(self._vision, rows)]

    def encode_text(self, tokens: np.ndarray, size: Size, instruction: str) -> Parsed:
        """Run the language model on an image's vision tokens [1, V, width] and an instruction. The
        image is edited at `size` (height, width) in pixels."""
        return self.encode_texts([tokens], [size], [instruction])[0]

    def encode_texts(
        self, tokens: Sequence[np.ndarray], sizes: Sequence[Size], instructions: Sequence[str]
    ) -> list[Parsed]:
        """`encode_text` of several images and instructions."""
        rows = [
            self._inputs(image, self._layout.grid(*self._layout.size(*size)), instruction)
            for image, size, instruction in zip(tokens, sizes, instructions)
        ]
        outputs = run_rows(self._language, rows, shared=("centres",))
        return [
            self._parsed(row, size, instruction)
            for row, size, instruction in zip(outputs, sizes, instructions)
        ]

    def _inputs(self, tokens: np.ndarray, token_grid: Size, instruction: str) -> Arrays:
        prompt = self._writer.write([instruction], token_grid)
        cos, sin = self._rope.tables(prompt.positions)
        return {
            "input_ids": prompt.ids,
            "vision_tokens": tokens,
            "image_index": prompt.image_index,
            "query_index": prompt.query_index,
            "rope_cos": cos,
            "rope_sin": sin,
            "centres": cell_centres(token_grid),
        }

    def _parsed(self, outputs: Arrays, size: Size, instruction: str) -> Parsed:
        """The language model's outputs for one image that is edited at `size`."""
        token_grid = self._layout.grid(*self._layout.size(*size))
        grid = (size[0] // CELL, size[1] // CELL)
        row = {name: output[0] for name, output in outputs.items()}
        reading = self._heads.read(
            row["labels"], row["boxes"], row["region"], row.get("presence"), token_grid, grid
        )
        return Parsed(
            row["queries"],
            reading.boxes,
            reading.assessment.operations,
            reading.region,
            assessment=reading.assessment,
            hint=self._hints.hint(instruction, reading.assessment),
        )
