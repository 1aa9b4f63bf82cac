"""What FluxKontextPipeline makes of an edit, and what its transformer was told on the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from diffusers import FluxKontextPipeline
from PIL import Image
from torch import Tensor

from kontext_tiny import T5_LENGTH
from retouch.diffusion.latents import unpack

SENTENCES = ("make the red circle blue", "remove the green square", "a white background, please")


@dataclass(frozen=True)
class Case:
    """One edit; `number` tells edits apart that are of one size. `guidance` 0 is the checkpoint's
    default."""

    size: tuple[int, int]
    seed: int
    steps: int
    guidance: float = 0.0
    negative: str | None = None
    true_cfg: float = 1.0
    number: int = 0

    @property
    def sentence(self) -> str:
        return SENTENCES[self.number]

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3]"""
        return np.random.default_rng(self.number).integers(0, 256, (*self.size, 3), np.uint8)

    def another(self, number: int) -> Case:
        """Of the same size, with another photo, sentence, seed, and more steps and guidance."""
        return replace(
            self,
            number=number,
            seed=self.seed + number,
            steps=self.steps + number % 2,
            guidance=self.guidance + number if self.guidance else 0.0,
        )


@dataclass
class Run:
    """`calls` are the transformer's inputs by name, one for each of its `velocities` [1, S, C];
    `sigmas` [steps + 1]; `latents` [N, C] the last tokens, `image` uint8 [H, W, 3]."""

    size: tuple[int, int]
    calls: list[dict[str, Tensor]] = field(default_factory=list)
    velocities: list[Tensor] = field(default_factory=list)
    sigmas: np.ndarray | None = None
    latents: np.ndarray | None = None
    image: np.ndarray | None = None

    @property
    def source(self) -> np.ndarray:
        """The photo's latents [C, h, w], out of the tokens that stand behind the target's."""
        rows = self.size[0] // 16
        columns = self.size[1] // 16
        return unpack(
            self.calls[0]["hidden_states"][:, rows * columns :].numpy(), (rows, columns), 2
        )[0]


class Theirs:
    """Edits by a pipeline, each done once."""

    def __init__(self, pipeline: FluxKontextPipeline, guidance: float = 2.5):
        """`guidance` is the strength where a case names none."""
        self.pipeline = pipeline
        self.guidance = guidance
        self._done = {}

    def run(self, case: Case) -> Run:
        if case not in self._done:
            self._done[case] = self._run(case)
        return self._done[case]

    def _run(self, case: Case) -> Run:
        run = Run(case.size)
        (height, width) = case.size

        def watch(module, args, inputs, velocity) -> None:
            run.calls.append(inputs)
            run.velocities.append(velocity[0])

        def keep(pipeline, step, timestep, tensors) -> dict[str, Tensor]:
            run.latents = tensors["latents"][0].numpy()
            return tensors

        hook = self.pipeline.transformer.register_forward_hook(watch, with_kwargs=True)
        try:
            images = self.pipeline(
                Image.fromarray(case.pixels),
                case.sentence,
                negative_prompt=case.negative,
                true_cfg_scale=case.true_cfg,
                height=height,
                width=width,
                max_area=height * width,
                _auto_resize=False,
                num_inference_steps=case.steps,
                guidance_scale=case.guidance or self.guidance,
                generator=torch.Generator().manual_seed(case.seed),
                max_sequence_length=T5_LENGTH,
                callback_on_step_end=keep,
            ).images
        finally:
            hook.remove()
        run.sigmas = self.pipeline.scheduler.sigmas.numpy()
        run.image = np.asarray(images[0])
        return run
