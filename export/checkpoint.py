"""A checkpoint in diffusers layout, its parts loaded one by one, in float32 and for inference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FAMILIES = {"RetouchPipeline": "instructx"}


class CheckpointError(RuntimeError):
    """A folder that is no checkpoint we can export: one sentence that says why."""


class Checkpoint:
    """`config` is `model_index.json`: the pipeline's class, its components, and its own settings."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        index = self.folder / "model_index.json"
        if not index.is_file():
            raise CheckpointError(f"{folder} is no checkpoint: it has no model_index.json")
        self.config: dict[str, Any] = json.loads(index.read_text())
        name = self.config.get("_class_name")
        if name not in FAMILIES:
            raise CheckpointError(f"{folder} holds a {name}; supported are {', '.join(FAMILIES)}")
        self.family = FAMILIES[name]

    def load(self, kind: type, name: str) -> Any:
        """The component in folder `name` as a `kind`, any diffusers or transformers model."""
        import torch  # not needed to find out that a folder is no checkpoint

        model = kind.from_pretrained(self.file(name), torch_dtype=torch.float32)
        return model.eval().requires_grad_(False)

    def file(self, *names: str) -> Path:
        """The first of these that exists; CheckpointError when none does."""
        for name in names:
            if (self.folder / name).exists():
                return self.folder / name
        raise CheckpointError(f"the checkpoint {self.folder} lacks {' or '.join(names)}")

    def json(self, name: str) -> dict[str, Any]:
        return json.loads(self.file(name).read_text())
