"""The diffusion transformer's two graphs: `reference`, once an image, and `step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, Flux2Transformer2DModel
from safetensors.torch import load_file
from torch import Tensor

from retouch.api.request import BUCKETS, CELL
from retouch.diffusion.box_features import CHANNELS
from retouch.diffusion.latents import conditioning_ids, pack
from retouch.diffusion.preview import FILE
from retouch.networks import flux2_passes
from retouch_export import preview
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph, Shape
from retouch_export.instructx.vae_decoder import vae_factor
from retouch_export.instructx.vae_encoder import Encoder
from retouch_export.kv_graphs import grid, prefixed
from retouch_export.parts import Part

FOLDER = "transformer"
PREVIEW = "preview.safetensors"
PREDICTIONS = ("velocity", "sample")


def patch(checkpoint: Checkpoint) -> int:
    """Latents of a token in each direction; CheckpointError when such a token is no cell of ours or
    none of the transformer's."""
    vae = checkpoint.json("vae/config.json")
    transformer = checkpoint.json(f"{FOLDER}/config.json")
    found, rest = divmod(CELL, vae_factor(vae))
    if rest or not found:
        raise CheckpointError(
            f"the autoencoder makes a latent of {vae_factor(vae)} pixels in each direction; a token "
            f"has {CELL}, which must be a multiple of it"
        )
    width = vae["latent_channels"] * found**2
    if _width(transformer) != width:
        raise CheckpointError(
            f"the transformer answers {_width(transformer)} channels a token; the autoencoder's "
            f"latents of {CELL} x {CELL} pixels are {width}"
        )
    return found


def beside(checkpoint: Checkpoint) -> int:
    """Channels that a token has beside its noise: the source's and the layout's, or 0;
    CheckpointError for others."""
    transformer = checkpoint.json(f"{FOLDER}/config.json")
    slots = checkpoint.json("parser_heads/config.json")["slots"]
    width = _width(transformer)
    found = transformer["in_channels"] - width
    whole = width + slots * 2 * CHANNELS
    if found not in (0, whole):
        raise CheckpointError(
            f"the transformer takes {found} channels beside a token's {width}; it must be 0, or "
            f"{whole} for the source's token and the layout"
        )
    return found


def sizes(checkpoint: Checkpoint) -> list[tuple[int, int]]:
    """(height, width) in pixels at which images are edited; CheckpointError when they are no whole
    cells."""
    found = checkpoint.config.get("sizes", BUCKETS)
    if not found or any(side % CELL or side < CELL for size in found for side in size):
        raise CheckpointError(
            f"the sizes in model_index.json are {found}; sides must be multiples of {CELL}"
        )
    return [tuple(size) for size in found]


def _width(transformer: dict[str, Any]) -> int:
    return transformer.get("out_channels") or transformer["in_channels"]


def prediction(checkpoint: Checkpoint) -> str:
    """What the transformer predicts: the velocity, or the clean tokens ("sample")."""
    kind = checkpoint.config["prediction"]
    if kind not in PREDICTIONS:
        raise ValueError(
            f"the checkpoint's prediction is {kind!r}; it must be {' or '.join(PREDICTIONS)}"
        )
    return kind


class Denoiser(Part):
    """The graphs `reference` and `step`, and the map for previews."""

    component = FOLDER

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)
        parser = checkpoint.json("parser_heads/config.json")
        queries = parser["queries"]
        slots = parser["slots"]

        def said(shape: Shape, count: int) -> dict[str, Tensor]:
            boxes = np.random.default_rng(0).random((shape.batch, slots, 2, 4), np.float32)
            told = {
                "conditioning": torch.randn(shape.batch, queries, model.config.joint_attention_dim),
                "conditioning_ids": torch.from_numpy(
                    conditioning_ids(boxes, grid(shape), queries // slots)
                ),
            }
            channels = beside(checkpoint)
            return told | (
                {"beside": torch.randn(shape.batch, count, channels)} if channels else {}
            )

        return prefixed(model, prediction(checkpoint), said)

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """CheckpointError when the parts' sizes do not fit one another."""
        scheduler = checkpoint.json("scheduler/scheduler_config.json")
        return {
            "patch": patch(checkpoint),
            "beside": bool(beside(checkpoint)),
            "sizes": sizes(checkpoint),
            "slots": checkpoint.json("parser_heads/config.json")["slots"],
            "shift": scheduler["shift"],
            "prediction": prediction(checkpoint),
            # for a backend that makes the network itself
            "transformer": checkpoint.json(f"{FOLDER}/config.json"),
            "passes": flux2_passes.__name__,
            "default_steps": checkpoint.config["default_steps"],
            "latent_channels": checkpoint.json("vae/config.json")["latent_channels"],
            "conditioning": [
                checkpoint.json("parser_heads/config.json")["queries"],
                checkpoint.json(f"{FOLDER}/config.json")["joint_attention_dim"],
            ],
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        """The map for previews: the checkpoint's, or one that is fitted to its autoencoder."""
        if (checkpoint.folder / PREVIEW).is_file():
            found = load_file(checkpoint.file(PREVIEW))
            np.savez(
                folder / FILE, **{name: found[name].float().numpy() for name in ("weight", "bias")}
            )
            return
        encoder = Encoder(checkpoint.load(AutoencoderKL, "vae"))
        side = patch(checkpoint)

        @torch.no_grad()
        def tokens(pixels: np.ndarray) -> np.ndarray:
            return pack(encoder(torch.from_numpy(pixels[None])).numpy(), side)[0]

        preview.write(folder, tokens)


PART = Denoiser()
