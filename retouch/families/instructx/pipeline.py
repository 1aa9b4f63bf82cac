"""The whole edit in torch, as a diffusers pipeline: the reference for training, export and parity
tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from retouch.api.geometry import BUCKETS, CELL, KEEP_BELOW
from retouch.api.response import Operation
from retouch.diffusion.beside import beside
from retouch.diffusion.latents import (
    cell_centres,
    conditioning_ids,
    noise,
    pack,
    reference_ids,
    target_ids,
    unpack,
)
from retouch.diffusion.preview import to_uint8
from retouch.families.instructx.adapter import ADAPTER, without_adapter
from retouch.families.instructx.assessment import Assessment, Calibration
from retouch.families.instructx.heads_reader import HeadsReader
from retouch.families.instructx.prompt import PromptWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging import images
from retouch.networks.flux2 import reference, step
from retouch.networks.flux2_passes import velocity
from retouch.networks.instructx import Connector, MetaQueries, ParserHeads
from retouch.networks.qwen_vl import encode_image, encode_queries


@dataclass
class Reading:
    """The parser's result for one edit: conditioning [1, Q, J], boxes [1, S, 2, 4], assessment,
    region bool [N]."""

    conditioning: Tensor
    boxes: np.ndarray
    assessment: Assessment
    region: np.ndarray

    @property
    def operations(self) -> list[Operation]:
        return self.assessment.operations


@dataclass
class Edited:
    """`image` is a PIL image or latents [1, C, h, w]; `region` bool [N] are the edited cells."""

    image: Image.Image | np.ndarray
    assessment: Assessment
    region: np.ndarray
    seed: int

    @property
    def operations(self) -> list[Operation]:
        return self.assessment.operations


class RetouchPipeline(DiffusionPipeline):
    """InstructX's parts: vision-language model, meta-queries, connector, and a K/V diffusion
    transformer."""

    model_cpu_offload_seq = "text_encoder->connector->transformer->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: Qwen2_5_VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        meta_queries: MetaQueries,
        parser_heads: ParserHeads,
        connector: Connector,
        transformer: Flux2Transformer2DModel,
        scheduler: FlowMatchEulerDiscreteScheduler,
        prediction: str = "sample",
        default_steps: int = 8,
        region_threshold: float = 0.5,
        sizes: Sequence[tuple[int, int]] = BUCKETS,
        keep_below: int = KEEP_BELOW,
        finest_detail: int = 1,
    ):
        """`prediction` is the transformer's output: "velocity", "sample" (the clean tokens) or
        "affine" (what becomes of the source's tokens, which it then takes beside the noise).
        `sizes` are the (height, width) in pixels at which images are edited, of whole cells. The
        parser takes images at a size of its own, within the limits of the checkpoint's image
        processor. A pixel that an edit changes by fewer than `keep_below` grey levels keeps the
        source's value. The autoencoder blurs what is smaller than `finest_detail` pixels."""
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            meta_queries=meta_queries,
            parser_heads=parser_heads,
            connector=connector,
            transformer=transformer,
            scheduler=scheduler,
        )
        self.register_to_config(
            prediction=prediction,
            default_steps=default_steps,
            region_threshold=region_threshold,
            sizes=[list(size) for size in sizes],
            keep_below=keep_below,
            finest_detail=finest_detail,
        )
        self.layout = PatchLayout.of(text_encoder.config.to_dict()["vision_config"])

    # -- the stages --------------------------------------------------------------------------------

    @property
    def patch(self) -> int:
        """Latents a token covers in each direction."""
        return CELL >> (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def parse(self, pixels: np.ndarray, instruction: str) -> Reading:
        """Pixels uint8 [H, W, 3] of a bucket's size, and an instruction."""
        height, width, _ = pixels.shape
        size = self.layout.size(height, width)
        model = self.text_encoder.model
        seen = self.layout.grid(*size)
        grid = (height // CELL, width // CELL)
        patches = self.layout.inputs(images.fit(pixels, size, Image.Resampling.BICUBIC)[None])
        tokens = encode_image(model.visual, *map(torch.from_numpy, patches.values()))
        writer = PromptWriter(self.tokenizer.backend_tokenizer, self.meta_queries.config.count)
        prompts = writer.write([instruction], seen)
        rope = Rope.of(self.text_encoder.config.text_config)
        arrays = (
            prompts.ids,
            prompts.image_index,
            prompts.query_index,
            *rope.tables(prompts.positions),
        )
        inputs = map(torch.from_numpy, arrays)
        queries, cells = encode_queries(model, self.meta_queries, tokens, *inputs)
        outputs = self.parser_heads(queries, cells, torch.from_numpy(cell_centres(seen)))
        heads = self.parser_heads.config
        calibration = Calibration(heads.temperature, heads.refuse_below, heads.unsupported)
        reader = HeadsReader(heads.fields, self.config["region_threshold"], calibration)
        labels, boxes, changing = (
            output[0].numpy() for output in (outputs.labels, outputs.boxes, outputs.region)
        )
        presence = None if outputs.presence is None else outputs.presence[0].numpy()
        reading = reader.read(labels, boxes, changing, presence, seen, grid)
        return Reading(
            self.connector(queries), reading.boxes[None], reading.assessment, reading.region
        )

    @torch.no_grad()
    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → normalised latents [1, C, h, w]."""
        scaled = torch.tensor(pixels[None]).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = self.vae.encode(scaled).latent_dist.mode()
        return ((latents - self.vae.config.shift_factor) * self.vae.config.scaling_factor).numpy()

    @torch.no_grad()
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Normalised latents [1, C, h, w] → uint8 [H, W, 3]."""
        scaled = (
            torch.from_numpy(latents) / self.vae.config.scaling_factor
            + self.vae.config.shift_factor
        )
        pixels = self.vae.decode(scaled).sample[0].permute(1, 2, 0).numpy()
        return to_uint8(pixels)

    @torch.no_grad()
    def denoise(
        self,
        latents: np.ndarray,
        reading: Reading,
        region: np.ndarray,
        seed: int,
        steps: int,
        on_step: Callable[[int, np.ndarray], None] | None = None,
    ) -> np.ndarray:
        """Latents [1, C, h, w] with the cells of `region` bool [N] edited. `on_step(done, clean
        tokens [n, D])` is called after every step."""
        grid = latents.shape[2] // self.patch, latents.shape[3] // self.patch
        source = pack(latents, self.patch)
        cells = np.flatnonzero(region)
        everywhere = torch.from_numpy(reference_ids(grid)[None])
        keys, values = reference(self.transformer, torch.from_numpy(source), everywhere)
        ids = target_ids(grid)[cells][None]
        free = self.transformer.config.in_channels - source.shape[-1]
        embeds = reading.conditioning.numpy()
        channels = torch.from_numpy(
            beside(free, source[:, cells], reading.boxes, ids, grid, embeds)
        )
        per_slot = reading.conditioning.shape[1] // reading.boxes.shape[1]
        positions = (
            torch.from_numpy(ids),
            torch.from_numpy(conditioning_ids(reading.boxes, grid, per_slot)),
        )
        tokens = torch.from_numpy(noise(seed, *source.shape[1:])[cells][None])
        kind = self.config["prediction"]
        self.scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
        for done, (time, sigma) in enumerate(
            zip(self.scheduler.timesteps, self.scheduler.sigmas), start=1
        ):
            seen = torch.cat([tokens, channels], -1)
            predicted = step(
                self.transformer, seen, sigma[None], reading.conditioning, *positions, keys, values
            )
            direction = velocity(kind, predicted, tokens, sigma, channels, latents.shape[1])
            if on_step:
                on_step(done, (tokens - sigma * direction)[0].numpy())
            tokens = self.scheduler.step(direction, time, tokens, return_dict=False)[0]
        source[0, cells] = tokens[0].numpy()
        return unpack(source, grid, self.patch)

    # -- an edit -----------------------------------------------------------------------------------

    def __call__(
        self,
        image: Image.Image,
        instruction: str,
        seed: int = 0,
        steps: int = 0,
        region: np.ndarray | str = "auto",
        output_type: str = "pil",
    ) -> Edited:
        """Edit one image. `region` is "auto" (the parser's), "full", or bool [N] cells. `steps` 0
        is the default.

        `output_type` "latent" returns the latents. Outside the region the result has the source's
        pixels. An instruction that asks for no change changes none."""
        whole = np.asarray(image.convert("RGB"))
        height, width, _ = whole.shape
        size = images.bucket(height, width, self.config["sizes"])
        pixels = images.fit(whole, size)
        reading = self.parse(pixels, instruction)
        cells = _cells(region, reading.region)
        latents = self.encode(pixels)
        if not reading.assessment.asks_for_nothing:
            steps = steps or self.config["default_steps"]
            latents = self.denoise(latents, reading, cells, seed, steps)
        if output_type == "latent":
            answer = latents
        elif reading.assessment.asks_for_nothing:
            answer = Image.fromarray(whole)
        else:
            mask = images.mask_of_cells(cells, size, height, width)
            edited = self.decode(latents)
            keep_below = self.config["keep_below"]
            answer = Image.fromarray(images.paste_back(whole, edited, mask, keep_below))
        return Edited(answer, reading.assessment, cells, seed)

    # -- disk --------------------------------------------------------------------------------------

    def save_pretrained(self, save_directory: str | Path, **options) -> None:
        """As in diffusers. An adapter of the language model is written beside its base, not merged
        into it."""
        adapted = self.text_encoder
        if getattr(adapted, "_hf_peft_config_loaded", False):
            self.text_encoder = without_adapter(adapted)
            adapted.save_pretrained(Path(save_directory) / ADAPTER)
        try:
            super().save_pretrained(save_directory, **options)
        finally:
            self.text_encoder = adapted

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **options
    ) -> RetouchPipeline:
        """As in diffusers, with float32 as the default type. The language model's adapter, if any,
        is loaded."""
        options = {"torch_dtype": torch.float32} | options
        pipeline = super().from_pretrained(pretrained_model_name_or_path, **options)
        vision = pipeline.text_encoder.config.to_dict()["vision_config"]
        pipeline.layout = PatchLayout.of_checkpoint(vision, Path(pretrained_model_name_or_path))
        adapter = Path(pretrained_model_name_or_path) / ADAPTER
        if adapter.is_dir():
            pipeline.text_encoder.load_adapter(str(adapter))
        return pipeline


def _cells(region: np.ndarray | str, parsed: np.ndarray) -> np.ndarray:
    if isinstance(region, str):
        return {"auto": parsed, "full": np.ones_like(parsed)}[region]
    return region
