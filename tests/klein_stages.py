"""Our denoiser of FLUX.2 klein beside diffusers' pipelines of the same checkpoint."""

from __future__ import annotations

import numpy as np
import torch

from klein_tiny import SENTENCES, photo
from retouch.artifacts.manifest import verify
from retouch.backends.base import joined
from retouch.families.denoise_request import DenoiseRequest
from retouch_export.checkpoint import Checkpoint
from retouch_export.parts import Part

# largest errors of latents: in torch, and relative of the float32 run of the bf16 lane
EXACT = 1e-5
EXPORTED = 1e-3


class Torch:
    """Stands in for a runner: the module that is exported, in float32."""

    def __init__(self, part: Part, checkpoint: Checkpoint, folder, graph, keep=()):
        self.manifest = verify(folder)
        self.graph = next(
            candidate for candidate in part.graphs(checkpoint) if candidate.name == graph
        )

    @torch.no_grad()
    def run(self, **inputs):
        tensors = {name: torch.from_numpy(joined(value)) for name, value in inputs.items()}
        got = self.graph.module(**tensors)
        return dict(
            zip(
                self.graph.outputs,
                (tensor.numpy() for tensor in (got if isinstance(got, tuple) else (got,))),
            )
        )


@torch.no_grad()
def denoise_request(pipeline, seed, size, sentence=SENTENCES[0], steps=2, **options):
    """What an edit asks of the denoiser, made by the pipeline's own stages."""
    latents = pipeline._encode_vae_image(
        pipeline.image_processor.preprocess(photo(size, seed)), None
    )[0].numpy()
    prompt_embeds = pipeline.encode_prompt(sentence)[0][0].numpy()
    region = np.ones(latents[0].size, bool)
    return DenoiseRequest(latents, {"prompt_embeds": prompt_embeds}, region, seed, steps, **options)


def edited(pipeline, seed, size, sentence=SENTENCES[0], steps=2, images=None, **options):
    """The pipeline's packed latents after each step, and its image in 0..1."""
    seen = []

    def keep(pipe, step, time, tensors):
        seen.append(tensors["latents"][0].numpy())
        return {}

    image = pipeline(
        images or photo(size, seed),
        sentence,
        num_inference_steps=steps,
        output_type="np",
        generator=torch.Generator().manual_seed(seed),
        callback_on_step_end=keep,
        **options,
    )
    return seen, image.images[0]


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def psnr(ours, theirs):
    return 10 * np.log10(1 / np.square(ours - theirs).mean())
