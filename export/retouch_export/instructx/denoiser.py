"""The model `denoiser` of InstructX: the graphs `reference`, once an image, and `step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from safetensors.torch import load_file
from torch import Tensor

from retouch.api.geometry import BUCKETS, CELL, KEEP_BELOW
from retouch.diffusion.beside import channel_counts
from retouch.diffusion.latents import conditioning_ids, pack
from retouch.diffusion.preview import FILE
from retouch.networks import flux2_passes
from retouch.networks.affine import affine_width
from retouch.networks.autoencoder_kl import Encoder
from retouch_export import preview
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph, Shape
from retouch_export.instructx.vae_decoder import vae_factor
from retouch_export.kv_graphs import grid, prefixed
from retouch_export.parts import Part

FOLDER = "transformer"
PREVIEW = "preview.safetensors"
AFFINE = "affine"
PREDICTIONS = ("velocity", "sample", AFFINE)


def patch(checkpoint: Checkpoint) -> int:
    """Latents of a token in each direction; CheckpointError when a token is no cell, or none of the
    transformer's."""
    vae = checkpoint.json("vae/config.json")
    transformer = checkpoint.json(f"{FOLDER}/config.json")
    side, rest = divmod(CELL, vae_factor(vae))
    if rest or not side:
        raise CheckpointError(
            f"the autoencoder makes a latent of {vae_factor(vae)} pixels in each direction; "
            f"a token has {CELL}, which must be a multiple of it"
        )
    channels = vae["latent_channels"]
    width = channels * side**2
    is_affine = checkpoint.config.get("prediction") == AFFINE
    expected = affine_width(channels, width) if is_affine else width
    outputs = transformer.get("out_channels") or transformer["in_channels"]
    if outputs != expected:
        raise CheckpointError(
            f"the transformer has {outputs} output channels a token; the autoencoder's latents of "
            f"{CELL} x {CELL} pixels are {width}"
            + (f", for which an affine prediction has {expected}" if is_affine else "")
        )
    return side


def token_width(checkpoint: Checkpoint) -> int:
    """Numbers of a token; CheckpointError as `patch`."""
    return checkpoint.json("vae/config.json")["latent_channels"] * patch(checkpoint) ** 2


def beside(checkpoint: Checkpoint) -> int:
    """Channels of a token beside its noise; CheckpointError for a number that
    `retouch.diffusion.beside` cannot fill."""
    transformer = checkpoint.json(f"{FOLDER}/config.json")
    heads = checkpoint.json("parser_heads/config.json")
    width = token_width(checkpoint)
    channels = transformer["in_channels"] - width
    embeds = heads["queries"] * transformer.get("joint_attention_dim", 0)
    none, boxed, whole = channel_counts(width, heads["slots"], embeds)
    if channels not in (none, boxed, whole):
        raise CheckpointError(
            f"the transformer takes {channels} channels beside a token's {width}; it must be "
            f"{none}, {boxed} for the source's token and the layout, or {whole} for the prompt "
            "embeds too"
        )
    return channels


def sizes(checkpoint: Checkpoint) -> list[tuple[int, int]]:
    """The sizes (height, width) in pixels at which images are edited; CheckpointError when they are
    not of whole cells."""
    sizes = checkpoint.config.get("sizes", BUCKETS)
    if not sizes or any(side % CELL or side < CELL for size in sizes for side in size):
        raise CheckpointError(
            f"the sizes in model_index.json are {sizes}; sides must be multiples of {CELL}"
        )
    return [tuple(size) for size in sizes]


def prediction(checkpoint: Checkpoint) -> str:
    """The transformer's output: the velocity, the clean tokens ("sample"), or what becomes of the
    source's ("affine"); ValueError."""
    kind = checkpoint.config["prediction"]
    if kind not in PREDICTIONS:
        raise ValueError(
            f"the checkpoint's prediction is {kind!r}; it must be {' or '.join(PREDICTIONS)}"
        )
    if kind == AFFINE and not beside(checkpoint):
        raise ValueError(
            "the checkpoint predicts what becomes of the source's tokens, which its transformer "
            "does not take; in_channels must have room for them"
        )
    return kind


class Denoiser(Part):
    """The graphs `reference` and `step`, and the map for previews."""

    component = FOLDER
    passes = flux2_passes.__name__
    networks = {FOLDER: Flux2Transformer2DModel}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)
        parser = checkpoint.json("parser_heads/config.json")
        queries = parser["queries"]
        slots = parser["slots"]

        def conditioning(shape: Shape, count: int) -> dict[str, Tensor]:
            boxes = np.random.default_rng(0).random((shape.batch, slots, 2, 4), np.float32)
            inputs = {
                "conditioning": torch.randn(shape.batch, queries, model.config.joint_attention_dim),
                "conditioning_ids": torch.from_numpy(
                    conditioning_ids(boxes, grid(shape), queries // slots)
                ),
            }
            channels = beside(checkpoint)
            if channels:
                inputs["beside"] = torch.randn(shape.batch, count, channels)
            return inputs

        return prefixed(
            model,
            prediction(checkpoint),
            conditioning,
            token_width(checkpoint),
            checkpoint.json("vae/config.json")["latent_channels"],
        )

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """CheckpointError when the sizes of the networks do not fit one another."""
        scheduler = checkpoint.json("scheduler/scheduler_config.json")
        return {
            "patch": patch(checkpoint),
            "beside": beside(checkpoint),
            "sizes": sizes(checkpoint),
            "slots": checkpoint.json("parser_heads/config.json")["slots"],
            "shift": scheduler["shift"],
            "prediction": prediction(checkpoint),
            "default_steps": checkpoint.config["default_steps"],
            "keep_below": checkpoint.config.get("keep_below", KEEP_BELOW),
            "finest_detail": checkpoint.config.get("finest_detail", 1),
            "latent_channels": checkpoint.json("vae/config.json")["latent_channels"],
            "conditioning": [
                checkpoint.json("parser_heads/config.json")["queries"],
                checkpoint.json(f"{FOLDER}/config.json")["joint_attention_dim"],
            ],
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Write the map for previews: the checkpoint's, or one fitted to its autoencoder."""
        if (checkpoint.folder / PREVIEW).is_file():
            stored = load_file(checkpoint.file(PREVIEW))
            np.savez(
                folder / FILE, **{name: stored[name].float().numpy() for name in ("weight", "bias")}
            )
            return
        encoder = Encoder(checkpoint.load(AutoencoderKL, "vae"))
        side = patch(checkpoint)
        preview.write_encoded(folder, encoder, lambda latents: pack(latents[None], side)[0])


PART = Denoiser()
