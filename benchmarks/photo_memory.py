"""A second edit of a photo against the first and against diffusers, by Qwen-Image 2.1's network.

    python -m benchmarks.photo_memory [--json PATH]          the real size, in BF16 on a GPU
    python -m benchmarks.photo_memory --tiny --device cpu    7 million parameters, 256 px, float32

Weights are random. An edit is the transformer's part alone: the photo's block, the instruction's
and the steps. The second edit has another instruction and another seed. diffusers' side is the loop
of its pipeline with its cache, which keeps nothing of an edit. The text encoder, the vision tower
and the autoencoder, which the second edit also runs less of, come on top."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import QwenImage21Transformer2DModel
from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21KVCache
from torch import Tensor

from benchmarks.device import device_of
from benchmarks.interleave import Ways, medians
from benchmarks.table import FASTER, Row, save, show
from retouch.diffusion.noise import randn
from retouch.diffusion.sigmas import TRAINED_STEPS, euler_step
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.families.qwen_image_21.sampling import Family
from retouch.networks.qwen_image_21_passes import Prefix, Reference, Step
from retouch_export.dtype import parameters_in

STEPS = (8, 40)
TEXT_BEFORE = 9  # tokens before the photo
INSTRUCTION = 25  # tokens after it
TINY = {
    "num_layers": 4,
    "num_attention_heads": 6,
    "attention_head_dim": 64,
    "context_in_dim": 384,
    "axes_dims_rope": (16, 24, 24),
}


class Bench:
    """Ours and diffusers' edits of one photo with one network."""

    def __init__(self, is_tiny: bool, device: torch.device):
        torch.manual_seed(0)
        self._device = device
        self.is_cpu = device.type == "cpu"
        self.dtype = torch.float32 if self.is_cpu else torch.bfloat16
        with parameters_in(self.dtype), device:
            model = QwenImage21Transformer2DModel(**(TINY if is_tiny else {}))
        self.model = model.eval().requires_grad_(False)
        config = self.model.config
        self.side = 256 if is_tiny else 1024
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
        """The same by diffusers' model, as its pipeline calls it."""
        embeds = torch.from_numpy(self.request(seed).conditioning["prompt_embeds"])[None]
        slots = self.latents[0].size // 4
        before = embeds[:, :TEXT_BEFORE]
        photo = embeds.new_zeros(1, slots, embeds.shape[-1])
        text = torch.cat([before, photo, embeds[:, TEXT_BEFORE:]], 1).to(self._device, self.dtype)
        is_image = torch.zeros(1, text.shape[1] + slots, dtype=torch.bool, device=self._device)
        is_image[:, TEXT_BEFORE : TEXT_BEFORE + slots] = True
        is_image[:, text.shape[1] :] = True
        source = torch.from_numpy(self.family.pack(self.latents))[None]
        grid = (1, *self.family.grid(self.latents))
        cache = QwenImage21KVCache(len(self.model.transformer_blocks))
        modes = iter(["extract"] + ["cached"] * (steps - 1))

        def velocity(tokens: np.ndarray, sigma: np.float32) -> np.ndarray:
            both = torch.cat([source, torch.from_numpy(tokens)[None]], 1)
            time = torch.tensor([sigma * TRAINED_STEPS]).to(self._device, self.dtype)
            predicted = self.model(
                hidden_states=both.to(self._device, self.dtype),
                encoder_hidden_states=text,
                timestep=time / TRAINED_STEPS,
                img_shapes=[[grid, grid]],
                img_mask=is_image,
                kv_cache=cache,
                kv_cache_mode=next(modes),
                return_dict=False,
            )[0]
            return predicted[0, -len(tokens) :].float().cpu().numpy()

        return self._denoised(seed, steps, velocity)

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
            ("diffusers' loop", "theirs", f"latents within {error:.0e}; {bound}"),
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
    bench = Bench(options.tiny, device_of(options.device))
    rows = [row for steps in STEPS for row in rows_of(bench, steps, options.count)]
    show(f"Qwen-Image 2.1's transformer, {bench.side} px, {bench.dtype}", rows)
    save(rows, options.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photo_memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tiny", action="store_true", help="a network of 7 million parameters")
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--count", type=int, default=3, help="edits of each kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
