"""A checkpoint in diffusers layout, its parts loaded one by one, in float32 and for inference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FAMILIES = {"RetouchPipeline": "instructx", "FluxKontextPipeline": "flux-kontext",
            "QwenImageEditPipeline": "qwen-image-edit", "QwenImageEditPlusPipeline": "qwen-image-edit"}


class CheckpointError(RuntimeError):
    """A folder that is no checkpoint we can export: one sentence that says why."""


class Checkpoint:
    """`config` is `model_index.json`: the pipeline's class, its components, and its own settings."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        index = self.folder / "model_index.json"
        if not index.is_file():
            raise CheckpointError(f"{folder} is no checkpoint: it has no model_index.json")
        self.config = _json(index, index.name)
        name = self.config.get("_class_name")
        if name not in FAMILIES:
            raise CheckpointError(f"{folder} holds a {name}; supported are {', '.join(FAMILIES)}")
        self.family = FAMILIES[name]

    def load(self, kind: type, name: str, rounded: bool = False) -> Any:
        """The component in folder `name` as a `kind`, any diffusers or transformers model; with `rounded` its parameters
        are the bfloat16 numbers that a typed graph holds."""
        import torch  # not needed to find out that a folder is no checkpoint

        model = kind.from_pretrained(self.file(name), torch_dtype=torch.float32).eval().requires_grad_(False)
        for parameter in model.parameters() if rounded else ():
            parameter.copy_(parameter.bfloat16())
        return model

    def typed(self, kind: type, name: str, outline: bool) -> Any:
        """The component with bfloat16 numbers for parameters, in float32, or in `outline` without any."""
        return self.outline(kind, name) if outline else self.load(kind, name, rounded=True)

    def outline(self, kind: type, name: str) -> Any:
        """The same component by its config alone, in bfloat16; under torch's FakeTensorMode it takes no memory."""
        import torch

        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            config = self.json(f"{name}/config.json")
            made = kind.from_config(config) if hasattr(kind, "from_config") else kind(kind.config_class.from_dict(config))
            return made.eval().requires_grad_(False)
        finally:
            torch.set_default_dtype(before)

    def file(self, *names: str) -> Path:
        """The first of these that exists; CheckpointError when none does."""
        for name in names:
            if (self.folder / name).exists():
                return self.folder / name
        raise CheckpointError(f"the checkpoint {self.folder} lacks {' or '.join(names)}")

    def json(self, name: str) -> dict[str, Any]:
        """A component's settings; CheckpointError when they cannot be read."""
        return _json(self.file(name), name)


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise CheckpointError(f"{name} of the checkpoint is damaged; copy it again") from None
