"""A checkpoint in diffusers layout. Its components are loaded one at a time, in float32, for
inference."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from retouch_export.adapter import Adapter
from retouch_export.checkpoint_files import CheckpointError, read_json
from retouch_export.pipelines import PIPELINES
from retouch_export.plain_layout import link_plain
from retouch_export.safetensors_index import Stored, stored

INDEX = "model_index.json"


class Checkpoint:
    """A pipeline on disk. `config` is its `model_index.json`: class, components and settings.

    An `adapter`, if set, is merged into the weights that are loaded. Components that have weights
    of the `variant` are loaded from those. `origin` is the repository of the hub and the commit
    that it was downloaded from."""

    adapter: Adapter | None = None
    origin: str = ""

    def __init__(self, folder: Path, variant: str | None = None):
        self.folder = Path(folder)
        self.variant = variant
        self._plain: tempfile.TemporaryDirectory | None = None
        if not self.folder.is_dir():
            raise CheckpointError(
                f"{folder} is no folder; give the folder of a checkpoint in diffusers layout, "
                f"with its {INDEX}"
                if self.folder.exists()
                else f"there is no {folder}"
            )
        if not (self.folder / INDEX).is_file():
            raise CheckpointError(
                f"{folder} is no checkpoint: it has no {INDEX}; "
                "give the folder of a whole diffusers pipeline"
            )
        self.config = self.json(INDEX)
        name = self.config.get("_class_name")
        if not isinstance(name, str) or name not in PIPELINES:
            pipeline = f"a {name}" if isinstance(name, str) else "a pipeline without a class name"
            raise CheckpointError(
                f"{folder} holds {pipeline}; supported are {', '.join(PIPELINES)}"
            )
        self.pipeline = PIPELINES[name]

    @property
    def family(self) -> str:
        return self.pipeline.family

    @property
    def components(self) -> dict[str, tuple[str, str]]:
        """Library and class of the pipeline's components, by folder name. Absent optional
        components are left out."""
        listed = {
            name: value
            for name, value in self.config.items()
            if isinstance(value, list) and len(value) == 2
        }
        return {
            name: tuple(value)
            for name, value in listed.items()
            if all(isinstance(part, str) for part in value)
        }

    def load(self, kind: type, name: str, rounded: bool = False) -> Any:
        """The component in folder `name` as a `kind`, any class of diffusers or transformers.

        With `rounded` its parameters are rounded to bfloat16, as in a typed graph."""
        import torch  # slow, and not needed to reject a folder

        model = (
            kind.from_pretrained(self.plain(name), torch_dtype=torch.float32)
            .eval()
            .requires_grad_(False)
        )
        changes = self.adapter.changes if self.adapter and name == self.adapter.component else {}
        for key, parameter in model.named_parameters():
            if key in changes:
                parameter += torch.from_numpy(changes[key].numbers())
            if rounded:
                parameter.copy_(parameter.bfloat16())
        return model

    def typed(self, kind: type, name: str, outline: bool) -> Any:
        """The component in float32 with parameters that are rounded to bfloat16, or with `outline`
        without weights."""
        return self.outline(kind, name) if outline else self.load(kind, name, rounded=True)

    def outline(self, kind: type, name: str, dtype: Any = None) -> Any:
        """The component made from its config alone, in bfloat16 or torch's `dtype`. In torch's
        FakeTensorMode it takes no memory."""
        import torch

        from retouch.networks.by_config import by_config, untyped
        from retouch_export.dtype import parameters_in

        with parameters_in(dtype or torch.bfloat16):
            return (
                by_config(kind, untyped(self.json(f"{name}/config.json")))
                .eval()
                .requires_grad_(False)
            )

    def description(self, kind: type, name: str) -> dict[str, Any]:
        """Library, class and config of the component as a manifest has them."""
        from retouch.networks.by_config import description

        return description(kind, self.json(f"{name}/config.json"))

    def file(self, *names: str) -> Path:
        """The first of these files that exists; CheckpointError when none does."""
        for name in names:
            if (self.folder / name).exists():
                return self.folder / name
        raise CheckpointError(f"the checkpoint {self.folder} lacks {' or '.join(names)}")

    def stored(self, name: str) -> dict[str, Stored]:
        """The stored tensors of a component, by name; CheckpointError."""
        return stored(self.folder / name, self.variant)

    def plain(self, name: str) -> Path:
        """A copy of a component's folder, made of links, for the loaders of the libraries.

        Its weights have their plain names, and its settings no byte-order mark. It exists as long
        as this object."""
        self._plain = self._plain or tempfile.TemporaryDirectory(prefix="retouch-")
        target = Path(self._plain.name) / name
        if not target.is_dir():
            link_plain(self.file(name), target, self.variant)
        return target

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file; CheckpointError when it cannot be read."""
        return read_json(self.file(name), name)
