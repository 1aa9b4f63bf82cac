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
OTHERS = ((64, 80), (80, 64))  # of the references beside the edited photo


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


def photos(seed, size, references=1):
    """The edited photo and the references beside it."""
    sizes = (size, *OTHERS[: references - 1])
    return [photo(own, seed + number) for number, own in enumerate(sizes)]


def referring_request(pipeline, seed, size, references, **options):
    """`denoise_request` of `photos`."""
    others = tuple(
        denoise_request(pipeline, seed + number, other).latents
        for number, other in enumerate(OTHERS[: references - 1], start=1)
    )
    return denoise_request(pipeline, seed, size, extra_references=others, **options)


def follow(torched, plain, edit, theirs):
    """Hold an edit against the pipeline's packed latents: after every step in torch, and of the
    exported lane at the end."""
    running = torched.begin(edit)
    for packed in theirs:
        (progress,) = torched.step([running])
        assert np.abs(running.tokens - packed).max() <= EXACT
    assert progress.latents is not None
    torched.end(running)
    *_, last = plain.denoiser.run(edit)
    assert relative(plain.denoiser.family.pack(last.latents), theirs[-1]) <= EXPORTED


def feel_references_and_guidance(pipeline, size):
    """Hold that both change the pipeline's latents by more than the bounds of `follow`."""
    alone, with_others, guided = (
        edited(
            pipeline,
            1,
            size,
            steps=1,
            images=photos(1, size, references),
            guidance_scale=guidance,
        )[0][-1]
        for references, guidance in ((1, 1.0), (3, 1.0), (1, 4.0))
    )
    assert np.abs(alone - with_others).max() > 100 * EXACT
    assert np.abs(alone - guided).max() > 100 * EXACT


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
