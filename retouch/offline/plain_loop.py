"""One edit as a plain loop over the stages in one process, for families with a parser. Serving is
measured against it, and it is what is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retouch.api.adapters import Adapters, parse_adapters
from retouch.api.lanes import LANES
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.artifacts.typed_folder import exported_folder
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit_state import Progress
from retouch.families.connector import Connector
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.instructx.parser import Parsed, Parser
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.routing.router import choose
from retouch.serving import on_unknown
from retouch.serving.parser_tensors import describe
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess, region_of


class PlainLoop:
    """The stages of a model repository, run one after the other."""

    def __init__(
        self,
        repository: Path,
        lane: str = "bf16",
        backend: BackendFactory = OnnxBackend,
        others: BackendFactory = OnnxBackend,
        parts: str = "",
        adapters: Path | None = None,
    ):
        """`backend` is the denoiser's, `others` the other stages'. `parts` is the precision of
        parser and connector; the autoencoder beside them is bf16. "" are the graphs in the version
        folders. `adapters` is the folder of adapters. ArtifactError."""

        def folder(name: str, precision: str = "") -> Path:
            return exported_folder(Path(repository) / name / "1", precision)

        autoencoder = LANES[0] if parts else ""
        self.lane = lane
        self.parser = Parser(folder("vl_parser", parts), backend=others)
        self.connector = Connector(folder("connector", parts), others)
        self.encoder = VaeEncoder(folder("vae_encoder", autoencoder), backend=others)
        self.decoder = VaeDecoder(folder("vae_decoder", autoencoder), others)
        self.denoiser = Denoiser(folder(f"denoiser_{lane}"), backend, adapters=adapters)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, byte for byte what the server answers."""
        return self.answer(request).image

    def answer(self, request: EditRequest) -> EditAnswer:
        """The result with its INFO, without times. RequestError for an instruction that is
        refused."""
        prepared = preprocess(
            request, choose(request.precision, (self.lane,)), self.denoiser.family
        )
        parsed = self.parser.run(prepared.pixels[None], [request.instruction])[0]
        describe(parsed, prepared.info)
        on_unknown.apply(request.on_unknown, prepared.info)
        if prepared.info.asks_for_nothing:
            no_pixels = np.zeros((0, 0, 3), np.uint8)
            return postprocess(prepared.source, parsed.region, no_pixels, (0, 0), prepared.info)
        cells = region_of(prepared.mask, parsed.region)
        *_, last = self.denoise(
            prepared.pixels,
            parsed,
            cells,
            request.seed,
            request.steps,
            request.guidance,
            request.previews,
            request.step_cache,
            request.finds_region,
            parse_adapters(request.adapter),
        )
        cells = cells if last.cells is None else last.cells
        edited = self.decoder.run(last.result[None])[0]
        return postprocess(prepared.source, cells, edited, (last.step, last.steps), prepared.info)

    def denoise(
        self,
        pixels: np.ndarray,
        parsed: Parsed,
        cells: np.ndarray,
        seed: int,
        steps: int = 0,
        guidance: float = 0.0,
        previews: int = 0,
        step_cache: float = 0.0,
        find_region: bool = False,
        adapters: Adapters = (),
    ) -> Iterator[Progress]:
        """The denoiser's progress on `pixels` uint8 [H, W, 3] of a bucket's size, for `cells` bool
        [N]."""
        latents = self.encoder.run(pixels[None])[0]
        prompt_embeds = self.connector.run(parsed.queries[None])[0]
        return self.denoiser.run(
            DenoiseRequest(
                latents,
                {"prompt_embeds": prompt_embeds, "boxes": parsed.boxes},
                cells,
                seed,
                steps,
                guidance,
                previews,
                step_cache,
                find_region=find_region,
                adapters=adapters,
            )
        )
