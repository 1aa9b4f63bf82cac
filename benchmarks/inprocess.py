"""One edit as a plain loop over the stages in one process: what serving is measured against, and what is evaluated."""

from pathlib import Path

from retouch.connector import Connector
from retouch.denoiser import Denoiser
from retouch.parser import Parser
from retouch.postprocess import postprocess
from retouch.preprocess import preprocess, region_of
from retouch.types import EditRequest
from retouch.vae import VaeDecoder, VaeEncoder


class PlainLoop:
    """The stages of a model repository, one after the other."""

    def __init__(self, repository: Path, lane: str = "bf16"):
        def stage(kind: type, name: str):
            return kind(Path(repository) / name / "1")

        self.lane = lane
        self.parser, self.connector = stage(Parser, "vl_parser"), stage(Connector, "connector")
        self.encoder, self.decoder = stage(VaeEncoder, "vae_encoder"), stage(VaeDecoder, "vae_decoder")
        self.denoiser = stage(Denoiser, f"denoiser_{lane}")

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result: the very bytes that the server answers."""
        prepared = preprocess(request, (self.lane,))
        parsed = self.parser.run(prepared.pixels[None], [request.instruction])[0]
        latents = self.encoder.run(prepared.pixels[None])[0]
        conditioning = self.connector.run(parsed.queries[None])[0]
        cells = region_of(prepared.mask, parsed.region)
        knobs = (request.seed, request.steps, request.guidance, request.previews)
        *_, last = self.denoiser.run(latents, conditioning, cells, *knobs, boxes=parsed.boxes)
        edited = self.decoder.run(last.latents[None])[0]
        source = (request.image, request.region, request.format)
        return postprocess(source, cells, edited, None, (last.step, last.steps), prepared.info).image
