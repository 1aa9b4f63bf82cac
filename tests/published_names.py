"""Tiny checkpoints renamed to what published files hold: older names, types and files than the
libraries write now."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from retouch_export.flux_kontext.vl_parser import PREFIX

CLIP = "text_encoder/model.safetensors"
T5 = "text_encoder_2/model.safetensors"
VAE_ATTENTION = {
    ".to_q.": ".query.",
    ".to_k.": ".key.",
    ".to_v.": ".value.",
    ".to_out.0.": ".proj_attn.",
}


def publish_kontext(folder: Path) -> Path:
    """CLIP with its prefix and the places of its tokens, T5 with both of its embeddings and in two
    files, the transformer in bfloat16, an autoencoder with the older names of its attention."""
    clip = {PREFIX + name: value for name, value in load_file(folder / CLIP).items()}
    places = torch.arange(clip[f"{PREFIX}embeddings.position_embedding.weight"].shape[0])[None]
    save(folder / CLIP, clip | {f"{PREFIX}embeddings.position_ids": places})
    t5 = load_file(folder / T5)
    shard(folder / T5, t5 | {"encoder.embed_tokens.weight": t5["shared.weight"].clone()})
    transformer = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    save(transformer, {name: value.bfloat16() for name, value in load_file(transformer).items()})
    rename_attention(folder / "vae" / "diffusion_pytorch_model.safetensors")
    return folder


def publish_qwen_vl(folder: Path) -> Path:
    """Its text model with the names that transformers wrote before 4.52, in two files."""
    file = folder / "text_encoder" / "model.safetensors"
    shard(file, {older_qwen_vl(name): value for name, value in load_file(file).items()})
    return folder


def shard_text_encoder(folder: Path) -> Path:
    """Its text model in two files."""
    file = folder / "text_encoder" / "model.safetensors"
    shard(file, load_file(file))
    return folder


def publish_klein(folder: Path) -> Path:
    """All of it in bfloat16 but the count of its batch norm, the text encoder in two files."""
    for name in (
        "transformer/diffusion_pytorch_model",
        "vae/diffusion_pytorch_model",
        "text_encoder/model",
    ):
        file = folder / f"{name}.safetensors"
        half = {
            key: value if "num_batches" in key else value.bfloat16()
            for key, value in load_file(file).items()
        }
        (shard if name.startswith("text") else save)(file, half)
    return folder


def older_qwen_vl(name: str) -> str:
    for new, old in (("model.language_model.", "model."), ("model.visual.", "visual.")):
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def rename_attention(file: Path) -> None:
    tensors = {}
    for name, value in load_file(file).items():
        for new, old in VAE_ATTENTION.items():
            name = name.replace(new, old)
        tensors[name] = value
    save(file, tensors)


def shard(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Two files and their index in the place of one."""
    file.unlink()
    names = sorted(tensors)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard_file = file.with_name(f"{file.stem}-{number:05}-of-00002.safetensors")
        save(shard_file, {name: tensors[name] for name in part})
        places |= dict.fromkeys(part, shard_file.name)
    file.with_name(f"{file.name}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": places})
    )


def save(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: value.contiguous() for name, value in tensors.items()}, file, {"format": "pt"})
