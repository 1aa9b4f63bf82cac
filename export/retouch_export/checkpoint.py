"""A checkpoint in diffusers layout, its parts loaded one by one, in float32 and for inference."""

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
STORED_TYPES = (
    "dtype",
    "torch_dtype",
)  # what configs of transformers call the type of their weights


class Checkpoint:
    """`config` is `model_index.json`: the pipeline's class, its components, and its own settings.
    An `adapter` that is given to it is merged into what is loaded of it. Of components that have
    weights of the `variant`, those are read."""

    adapter: Adapter | None = None

    def __init__(self, folder: Path, variant: str | None = None):
        self.folder = Path(folder)
        self.variant = variant
        self._plain: tempfile.TemporaryDirectory | None = None
        if not self.folder.is_dir():
            raise CheckpointError(
                f"{folder} is no folder; give that of a checkpoint in diffusers layout, with its {INDEX}"
                if self.folder.exists()
                else f"there is no {folder}"
            )
        if not (self.folder / INDEX).is_file():
            raise CheckpointError(
                f"{folder} is no checkpoint: it has no {INDEX}; give the folder of a whole diffusers "
                "pipeline"
            )
        self.config = self.json(INDEX)
        name = self.config.get("_class_name")
        if not isinstance(name, str) or name not in PIPELINES:
            what = (
                f"a {name}"
                if isinstance(name, str)
                else "a pipeline that no class of diffusers is named for"
            )
            raise CheckpointError(f"{folder} holds {what}; supported are {', '.join(PIPELINES)}")
        self.pipeline = PIPELINES[name]

    @property
    def family(self) -> str:
        return self.pipeline.family

    @property
    def components(self) -> dict[str, tuple[str, str]]:
        """Library and class of each component that the pipeline lists and has, by the name of its
        folder."""
        listed = {
            name: value
            for name, value in self.config.items()
            if isinstance(value, list) and len(value) == 2
        }
        return {
            name: tuple(value)
            for name, value in listed.items()
            if all(isinstance(each, str) for each in value)
        }

    def load(self, kind: type, name: str, rounded: bool = False) -> Any:
        """The component in folder `name` as a `kind`, any diffusers or transformers model; with
        `rounded` its parameters are the bfloat16 numbers that a typed graph holds."""
        import torch  # not needed to find out that a folder is no checkpoint

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
        """The component with bfloat16 numbers for parameters, in float32, or in `outline` without
        any."""
        return self.outline(kind, name) if outline else self.load(kind, name, rounded=True)

    def outline(self, kind: type, name: str, dtype: Any = None) -> Any:
        """The same component by its config alone, in bfloat16 or in torch's `dtype`; under torch's
        FakeTensorMode it takes no memory."""
        import torch

        from retouch_export.dtype import parameters_in
        from retouch_export.meta_init import by_config

        with parameters_in(dtype or torch.bfloat16):
            return (
                by_config(kind, _untyped(self.json(f"{name}/config.json")))
                .eval()
                .requires_grad_(False)
            )

    def file(self, *names: str) -> Path:
        """The first of these that exists; CheckpointError when none does."""
        for name in names:
            if (self.folder / name).exists():
                return self.folder / name
        raise CheckpointError(f"the checkpoint {self.folder} lacks {' or '.join(names)}")

    def stored(self, name: str) -> dict[str, Stored]:
        """The tensors of a component by name; CheckpointError."""
        return stored(self.folder / name, self.variant)

    def plain(self, name: str) -> Path:
        """A component's folder as the libraries' own loaders take it, of links: weights under their
        plain names and no others, settings without a byte-order mark. It stays as long as the
        checkpoint is used."""
        self._plain = self._plain or tempfile.TemporaryDirectory(prefix="retouch-")
        target = Path(self._plain.name) / name
        if not target.is_dir():
            link_plain(self.file(name), target, self.variant)
        return target

    def json(self, name: str) -> dict[str, Any]:
        """A component's settings; CheckpointError when they cannot be read."""
        return read_json(self.file(name), name)


def _untyped(config: dict[str, Any]) -> dict[str, Any]:
    """Without the type that weights are stored in, of the parts of a config too: a network is the
    same in any."""
    return {
        name: _untyped(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in STORED_TYPES
    }
