"""One edit as a plain loop over the stages of a family that has a reader, in one process: what its lanes are calibrated
and tested by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retouch import images
from retouch.denoiser import Denoiser
from retouch.denoising import Progress, Wanted
from retouch.manifest import read
from retouch.plain_loop import PlainLoop
from retouch.readers import READERS, reader_of
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner
from retouch.types import EditRequest
from retouch.vae import VaeDecoder, VaeEncoder


class ReaderLoop:
    """The stages of a model repository, one after the other, on the whole image."""

    def __init__(self, repository: Path, lane: str = "bf16", runner: Opener = OnnxRunner, text: Opener = OnnxRunner):
        """`runner` is the denoiser's, `text` the reader's."""
        folder = Path(repository)
        self.reader = reader_of(folder / "text_encoder" / "1", text)
        self.encoder, self.decoder = VaeEncoder(folder / "vae_encoder" / "1"), VaeDecoder(folder / "vae_decoder" / "1")
        self.denoiser = Denoiser(folder / f"denoiser_{lane}" / "1", runner)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, of the size at which the image is edited."""
        photo = images.decode(request.image)
        pixels = images.fit(photo, self.denoiser.family.size(*photo.shape[:2]))
        *_, last = self.denoise([pixels], request.instruction, request.seed, request.steps, request.guidance)
        return images.encode(self.decoder.run(last.latents[None])[0])

    def denoise(self, photos: list[np.ndarray], instruction: str, *knobs: float) -> Iterator[Progress]:
        """Progress of the denoiser on the first of the photos uint8 [H, W, 3]; `knobs` are seed, steps, guidance and
        previews."""
        first, *more = (self.encoder.run(photo[None])[0] for photo in photos)
        rows, columns = self.denoiser.family.grid(first)
        said, region = self.reader.read(instruction, photos), np.ones(rows * columns, bool)
        return self.denoiser.run(Wanted(first, said, region, *knobs, more=tuple(more)))


def loop_of(repository: Path, runner: Opener = OnnxRunner) -> PlainLoop | ReaderLoop:
    """The loop over the bf16 lane of a repository of any family."""
    family = read(Path(repository) / "denoiser_bf16" / "1").family
    return (ReaderLoop if family in READERS else PlainLoop)(repository, runner=runner)
