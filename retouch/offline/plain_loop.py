"""One edit as a plain loop over the stages in one process: what serving is measured against, and
what is evaluated."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retouch.api.request import EditRequest
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit_state import Progress
from retouch.families.connector import Connector
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.instructx.parser import Parsed, Parser
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.routing.router import choose
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess, region_of


class PlainLoop:
    """The stages of a model repository, one after the other."""

    def __init__(self, repository: Path, lane: str = "bf16", runner: Opener = OnnxRunner):
        """`runner` is the denoiser's."""

        def stage(kind: type, name: str):
            return kind(Path(repository) / name / "1")

        self.lane = lane
        self.parser = stage(Parser, "vl_parser")
        self.connector = stage(Connector, "connector")
        self.encoder = stage(VaeEncoder, "vae_encoder")
        self.decoder = stage(VaeDecoder, "vae_decoder")
        self.denoiser = Denoiser(Path(repository) / f"denoiser_{lane}" / "1", runner)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result: the very bytes that the server answers."""
        prepared = preprocess(
            request, choose(request.precision, (self.lane,)), self.denoiser.family
        )
        knobs = (
            request.seed,
            request.steps,
            request.guidance,
            request.previews,
            request.step_cache,
        )
        parsed = self.parser.run(prepared.pixels[None], [request.instruction])[0]
        cells = region_of(prepared.mask, parsed.region)
        *_, last = self.denoise(prepared.pixels, parsed, cells, *knobs)
        edited = self.decoder.run(last.latents[None])[0]
        return postprocess(
            prepared.source, cells, edited, (last.step, last.steps), prepared.info
        ).image

    def denoise(
        self, pixels: np.ndarray, parsed: Parsed, cells: np.ndarray, *knobs: float
    ) -> Iterator[Progress]:
        """Progress of the denoiser on uint8 [H, W, 3] of a bucket; `knobs` are seed, steps,
        guidance, previews and the step cache's threshold."""
        latents = self.encoder.run(pixels[None])[0]
        said = {"conditioning": self.connector.run(parsed.queries[None])[0], "boxes": parsed.boxes}
        return self.denoiser.run(DenoiseRequest(latents, said, cells, *knobs))
