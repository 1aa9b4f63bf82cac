"""A second edit of a photo against the first and against diffusers, by Qwen-Image 2.1's network.

    python -m benchmarks.photo_memory [--json PATH]       the real size, in BF16 on a GPU
    python -m benchmarks.photo_memory --size medium --device cpu    512 px, in float32
    python -m benchmarks.photo_memory --size tiny --device cpu      256 px, in float32

Weights are random. An edit is the transformer's part alone: the photo's block, the instruction's
and the steps. The second edit has another instruction and another seed. diffusers' side is its
pipeline with its cache, which keeps nothing of an edit, and without its text encoder and
autoencoder. What the second edit saves of those comes on top."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor, nn

from benchmarks.device import device_of
from benchmarks.interleave import Ways, medians
from benchmarks.table import FASTER, Row, save, show
from retouch.backends.torch import Kept
from retouch.diffusion.noise import randn
from retouch.diffusion.sigmas import euler_step
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.families.qwen_image_21.sampling import Family
from retouch.networks.qwen_image_21_passes import Prefix, Reference, Step
from retouch_export.dtype import parameters_in

STEPS = (8, 40)
TEXT_BEFORE = 9  # tokens before the photo
INSTRUCTION = 25  # tokens after it
SMALL = {
    "num_layers": 4,
    "num_attention_heads": 6,
    "attention_head_dim": 64,
    "context_in_dim": 384,
    "axes_dims_rope": (16, 24, 24),
}


@dataclass(frozen=True)
class Size:
    """A photo's side in pixels, and what differs from the real network."""

    side: int
    network: dict[str, Any]


SIZES = {
    "tiny": Size(256, SMALL),
    "medium": Size(512, SMALL),
    "real": Size(1024, {}),
}


class TransformerAlone(QwenImage21Pipeline):
    """diffusers' pipeline with the prompt embeds and the photo's latents that it would compute, for
    a transformer and its own scheduler."""

    latents: np.ndarray
    embeds: Tensor

    def __init__(
        self,
        scheduler: Any,
        vae: None,
        text_encoder: None,
        processor: None,
        transformer: nn.Module,
        sample_sigmas: None = None,
    ):
        DiffusionPipeline.__init__(self)
        self.register_modules(
            transformer=transformer,
            scheduler=scheduler,
            vae=vae,
            text_encoder=text_encoder,
            processor=processor,
        )
        self.register_to_config(sample_sigmas=sample_sigmas)
        self.vae_scale_factor = 16
        self.image_processor = VaeImageProcessor(vae_scale_factor=16)
        self.set_progress_bar_config(disable=True)

    def encode_prompt(self, **_: Any) -> tuple[Tensor, None, Tensor]:
        """Embeds with places for the photo, no mask, and which places are the photo's."""
        slots = self.latents[0].size // 4
        before, after = self.embeds.split((TEXT_BEFORE, INSTRUCTION), 1)
        photo = before.new_zeros(1, slots, before.shape[-1])
        is_photo = torch.zeros(1, TEXT_BEFORE + slots + INSTRUCTION, dtype=torch.bool)
        is_photo[:, TEXT_BEFORE : TEXT_BEFORE + slots] = True
        embeds = torch.cat([before, photo, after], 1).to(self.device, self.transformer.dtype)
        return embeds, None, is_photo.to(self.device)

    def _encode_vae_image(self, image: Tensor, generator: Any) -> Tensor:
        return torch.from_numpy(self.latents)[None, :, None].to(image)


class Bench:
    """Ours and diffusers' edits of one photo with one network."""

    def __init__(self, size: Size, device: torch.device):
        torch.manual_seed(0)
        self._device = device
        self.is_cpu = device.type == "cpu"
        self.dtype = torch.float32 if self.is_cpu else torch.bfloat16
        with parameters_in(self.dtype), device:
            model = QwenImage21Transformer2DModel(**size.network)
        self.model = model.eval().requires_grad_(False)
        config = self.model.config
        self.side = size.side
        self.family = Family(
            {
                "area": self.side**2,
                "axes": config["axes_dims_rope"],
                "attention": [
                    config["num_layers"],
                    config["num_attention_heads"],
                    config["attention_head_dim"],
                ],
                "text_before": [TEXT_BEFORE],
                "scheduler": {"use_dynamic_shifting": True},
            }
        )
        self.latents = randn(1, (config["in_channels"], self.side // 16, self.side // 16))
        self._passes = Reference(self.model), Prefix(self.model), Step(self.model)
        self._reference: tuple[Tensor, ...] | None = None

    def request(self, seed: int) -> DenoiseRequest:
        width = self.model.config["context_in_dim"]
        embeds = randn(seed, (TEXT_BEFORE + INSTRUCTION, width))
        embeds[:TEXT_BEFORE] = randn(0, (TEXT_BEFORE, width))  # the same in every edit
        region = np.ones(self.latents[0].size, bool)
        return DenoiseRequest(self.latents, {"prompt_embeds": embeds}, region, seed)

    def forget(self) -> None:
        self._reference = None

    @torch.no_grad()
    def ours(self, seed: int, steps: int) -> np.ndarray:
        """Tokens [N, C] after an edit; the photo's keys and values are computed once."""
        reference, prefix, step = self._passes
        request = self.request(seed)
        images = (request.latents,)
        if self._reference is None:
            inputs = self.family.reference_inputs(images, request.conditioning)
            self._reference = reference(**self._tensors(inputs))
        kept = dict(zip(Reference.outputs, self._reference))
        inputs = self._tensors(self.family.prefix_inputs(images, request.conditioning))
        kept |= dict(zip(Prefix.outputs, prefix(**inputs, **kept)))
        cells = np.arange(self.latents[0].size)
        fixed = self._tensors(self.family.constant_inputs(request, request.conditioning, cells))

        def velocity(tokens: np.ndarray, sigma: np.float32) -> np.ndarray:
            varying = self._tensors(self.family.step_inputs(request, tokens, sigma))
            return step(**varying, **fixed, **kept)[0].cpu().numpy()

        return self._denoised(seed, steps, velocity)

    @torch.no_grad()
    def theirs(self, seed: int, steps: int) -> np.ndarray:
        """The same by diffusers' pipeline."""
        scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
        pipeline = TransformerAlone(scheduler, None, None, None, self.model)
        pipeline.latents = self.latents
        pipeline.embeds = torch.from_numpy(self.request(seed).conditioning["prompt_embeds"])[None]
        generator = torch.Generator().manual_seed(seed)
        tokens = pipeline(
            image=Image.new("RGBA", (self.side, self.side)),
            prompt="as the prompt embeds are",
            num_inference_steps=steps,
            generator=generator,
            output_resolution=self.side,
            output_type="latent",
        ).images[0]
        return tokens.float().cpu().numpy()

    def decibels(self, exact: np.ndarray, seed: int, steps: int, fp8: str) -> tuple[float, float]:
        """How far rounding is below the kept values, and below the latents `exact` after an edit,
        when the keys and values named in `fp8` are kept in E4M3."""
        kept = dict(zip(Reference.outputs, self._reference or ()))
        rounded = {name: Kept(kept[name]).in_fp8().wide().tensor for name in fp8}
        values = min(below(kept[name].cpu(), rounded[name].cpu()) for name in fp8)
        self._reference = tuple((kept | rounded).values())
        latents = below(exact, self.ours(seed, steps))
        self._reference = tuple(kept.values())
        return values, latents

    def _denoised(self, seed: int, steps: int, velocity: Callable) -> np.ndarray:
        tokens = self.family.noise(seed, self.latents)
        sigmas = self.family.sigmas(steps, len(tokens))
        for sigma, following in zip(sigmas[:-1], sigmas[1:]):
            tokens = euler_step(tokens, velocity(tokens, sigma), sigma, following)
        return tokens

    def _tensors(self, inputs: Arrays) -> dict[str, Tensor]:
        tensors = {name: torch.tensor(array) for name, array in inputs.items()}
        return {
            name: tensor.to(self._device, self.dtype if name.startswith("past_") else None)
            for name, tensor in tensors.items()
        }

    def steps_saved(self) -> float:
        """The operations of the photo's block by those of a step: products with weights, and
        attention."""
        config = self.model.config
        width = config["num_attention_heads"] * config["attention_head_dim"]
        cells = self.latents[0].size
        products = cells * 2 * (4 + 3 * 3) * width**2  # the MLP has three layers, each 3 wide

        def layer(seen: int) -> int:
            return products + 4 * cells * seen * width

        return layer(cells + TEXT_BEFORE) / layer(2 * cells + TEXT_BEFORE + INSTRUCTION)


def below(exact: Any, rounded: Any) -> float:
    """Decibels by which the error lies below the signal."""
    error = ((exact - rounded) ** 2).mean()
    return 10 * math.log10((exact**2).mean() / error)


def rows_of(bench: Bench, steps: int, count: int) -> list[Row]:
    """The second edit against the first and against diffusers, in turns."""

    def first(turn: int) -> None:
        bench.forget()
        bench.ours(1 + turn, steps)

    tokens = {}

    def second(turn: int) -> None:
        tokens["ours"] = bench.ours(101 + turn, steps)

    def theirs(turn: int) -> None:
        tokens["theirs"] = bench.theirs(101 + turn, steps)

    ways = {"first": first, "second": second, "theirs": theirs}
    spent = _in_turns(ways, count, time.process_time if bench.is_cpu else time.perf_counter)
    median = medians(spent)
    ours = tokens["ours"]
    expected = tokens["theirs"]
    error = float(np.abs(ours - expected).max() / np.abs(expected).max())
    saved = bench.steps_saved()
    bound = f"by operations {1 + saved / steps:.3f} times"
    work = f"a second edit of a photo, {steps} steps"
    return [
        Row(work, against, median["second"], median[way], "ms", FASTER, 1.0, quality, bound, spent)
        for against, way, quality in (
            ("the first edit", "first", f"the same network; {bound}"),
            ("diffusers' pipeline", "theirs", f"latents within {error:.0e}; {bound}"),
        )
    ]


def _in_turns(ways: Ways, count: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Milliseconds of `count` calls of each way by a clock. On a CPU it is the processor time of
    this process, on which other programs have less effect."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(count):
        for name, way in ways.items():
            begin = clock()
            way(turn)
            spent[name].append((clock() - begin) * 1000)
    return spent


def main() -> None:
    options = parse()
    bench = Bench(SIZES[options.size], device_of(options.device))
    rows = [row for steps in STEPS for row in rows_of(bench, steps, options.count)]
    exact = bench.ours(1, STEPS[0])
    for fp8 in ("v", "kv"):
        values, latents = bench.decibels(exact, 1, STEPS[0], fp8)
        print(
            f"{fp8} kept in E4M3: its rounding is {values:.1f} dB below the values and "
            f"{latents:.1f} dB below the latents, with random weights"
        )
    parameters = sum(weight.numel() for weight in bench.model.parameters())
    print(f"{parameters:,} parameters, {bench.latents[0].size} tokens a photo and a target")
    show(f"Qwen-Image 2.1's transformer, {bench.side} px, {bench.dtype}", rows)
    save(rows, options.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photo_memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", choices=SIZES, default="real", help="of the network and photo")
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--count", type=int, default=3, help="edits of each kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
