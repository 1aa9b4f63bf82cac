"""A lane of a wide random transformer, of the shipped checkpoint's architecture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import nn

from retouch.launcher.server import ROOT

CHECKPOINT = ROOT / "checkpoints" / "photo"
HEADS = 16
HEAD_SIZE = 64
AXES = (8, 24, 24, 8)  # of the rotary embedding, together a head's size


def export_wide(folder: Path) -> Path:
    """The version folder of its bf16 lane, 129 M parameters."""
    checkpoint = folder / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    shutil.rmtree(checkpoint / "transformer")
    shipped = json.loads((CHECKPOINT / "transformer" / "config.json").read_text())
    config = {name: value for name, value in shipped.items() if not name.startswith("_")}
    config |= {
        "num_attention_heads": HEADS,
        "attention_head_dim": HEAD_SIZE,
        "axes_dims_rope": AXES,
    }
    torch.manual_seed(0)
    model = Flux2Transformer2DModel(**config)
    nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(checkpoint / "transformer")
    repository = folder / "repository"
    command = [sys.executable, "-m", "retouch_clients", "export", str(checkpoint)]
    command += ["--repository", str(repository), "--only", "denoiser"]
    subprocess.run(command, check=True, capture_output=True)
    return repository / "denoiser_bf16" / "1"
