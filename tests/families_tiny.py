"""A tiny checkpoint of every family, and the denoiser's lanes of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from diffusers import Flux2KleinPipeline

import flux2_dev_tiny
import klein_tiny
import kontext_tiny
import published_names
import qwen_image_21_tiny
import qwen_image_edit_tiny
import tiny
from exports import exported, made_once
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch_export.linear import linears
from tiny import round_weights

# the others have the parts of flux2-klein-kv, but for a denoiser and a text encoder that
# test_klein_plain.py and test_flux2_dev.py run
NAMES = ("instructx", "flux-kontext", "flux2-klein-kv", "qwen-image-edit", "qwen-image-21")
SIZES = {
    "flux-kontext": {"sizes": [[64, 96], [96, 64], [80, 80]]},
    "qwen-image-edit": {"area": qwen_image_edit_tiny.AREA},
    "qwen-image-21": {"area": qwen_image_21_tiny.AREA},
}


@dataclass(frozen=True)
class Exported:
    """A family's name and the repository that the lanes bf16 and fp8 of its denoiser are in; it
    edits small images."""

    name: str
    repository: Path

    def folder(self, lane: str = "bf16") -> Path:
        return self.repository / f"denoiser_{lane}" / "1"

    def denoiser(self, lane: str = "bf16", runner=OnnxBackend) -> Denoiser:
        return Denoiser(self.folder(lane), runner)


def make_small(patch) -> None:
    """Let every family read few layers and see small images, until the patch is undone."""
    klein_tiny.few_layers(patch)
    qwen_image_edit_tiny.small_images(patch)
    qwen_image_21_tiny.small_images(patch)


def make_published(name: str, path: Path) -> Path:
    """A checkpoint of random weights with the names of published files; every run makes one of a
    name."""
    make = {
        "instructx": tiny.make_checkpoint,
        "flux-kontext": _kontext,
        "flux2-klein": _klein,
        "flux2-klein-kv": _klein_kv,
        "flux2-dev": flux2_dev_tiny.make_checkpoint,
        "qwen-image-edit": _qwen_image_edit,
        "qwen-image-21": _qwen_image_21,
    }
    return made_once(name, make[name], path)


def _kontext(path: Path) -> None:
    """Weights are bfloat16 numbers, as a real checkpoint's and the other families' here are."""
    pipeline = kontext_tiny.make_pipeline()
    round_weights(pipeline.transformer)
    pipeline.save_pretrained(path)
    published_names.publish_kontext(path)


def _klein(path: Path) -> None:
    """A base checkpoint, which takes guidance."""
    published_names.publish_klein(klein_tiny.make_checkpoint(path, Flux2KleinPipeline))


def _klein_kv(path: Path) -> None:
    published_names.publish_klein(klein_tiny.make_checkpoint(path))


def _qwen_image_edit(path: Path) -> None:
    published_names.publish_qwen_vl(qwen_image_edit_tiny.make_checkpoint(path, several=True))


def _qwen_image_21(path: Path) -> None:
    published_names.shard_text_encoder(qwen_image_21_tiny.make_checkpoint(path))


def export_family(name: str, path: Path) -> Exported:
    checkpoint = make_published(name, path / "checkpoint")
    repository = path / "repository"
    denoiser = checkpoint, "--repository", repository, "--only", "denoiser", "--precision"
    exported(*denoiser, "bf16")
    family = Exported(name, repository)
    graphs = family.folder().glob("*.onnx")
    ranges = {
        graph.stem: {linear.module: 8.0 for linear in linears(ir.load(graph))} for graph in graphs
    }
    (path / "ranges.json").write_text(json.dumps(ranges))
    exported(*denoiser, "fp8", "--calibration", path / "ranges.json")
    for lane in ("bf16", "fp8"):
        manifest = family.folder(lane) / "manifest.json"
        document = json.loads(manifest.read_text())
        document["settings"] |= SIZES.get(name, {})
        manifest.write_text(json.dumps(document))
    return family


def denoise_request(
    family, size: tuple[int, int], tokens: int, seed: int = 0, share: float = 1.0, more: int = 0
) -> DenoiseRequest:
    """An edit of noise; of a `share` of the image where the family takes parts."""
    rng = np.random.default_rng(seed)
    latents, shapes = family.shapes(size, tokens)
    source, *others = (rng.standard_normal(latents, np.float32) for _ in range(1 + more))
    conditioning = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    region = rng.permutation(len(family.pack(source))) < share * len(family.pack(source))
    return DenoiseRequest(
        source, conditioning, region, seed, steps=4, extra_references=tuple(others)
    )
