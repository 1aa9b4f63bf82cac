"""The models of a repository that a checkpoint is exported into, and what each is made by.

Every family has a folder here, named in `retouch.families.registry`, and in it one module for each
of STAGES with a `PART`. Imports no torch before a part is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retouch.api.lanes import LANES
from retouch.artifacts.typed_folder import typed_folder
from retouch.families.registry import package_of

if TYPE_CHECKING:
    from retouch.families.base import Family
    from retouch_export.checkpoint import Checkpoint
    from retouch_export.graph import Graph, Shape
    from retouch_export.safetensors_index import TensorSource

OPSET = 20
DENOISER = "denoiser"
STAGES = ("vl_parser", "connector", "vae_encoder", "vae_decoder", DENOISER)
STREAMED = ("vl_parser", DENOISER)  # too large to be loaded: their weights go from file to file
WIDE = "bf16"  # the precision that the others are made from
# precisions of typed graphs: an autoencoder's convolutions stay bfloat16 in every lane
TYPED = {
    "vl_parser": LANES,
    "connector": LANES,
    "vae_encoder": (WIDE,),
    "vae_decoder": (WIDE,),
}
PREFIX = "model."  # how the parameters of a graph's only network begin


class Part:
    """What a family exports as one model of the repository; as it stands, a model without graphs.

    `component` is the checkpoint's folder with the parameters of a streamed part. `prefixes` are
    how their names begin in the graphs. `arithmetic` names the number formats of the graphs, None
    for those of the lane. `passes` names the module of `retouch.networks` whose PASSES make
    the modules of the graphs. `networks` are the classes of their networks by the checkpoint's
    folder."""

    component = ""
    passes = ""
    networks: Mapping[str, type] = {}
    prefixes: tuple[str, ...] = (PREFIX,)
    arithmetic: str | None = None

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The graphs with the checkpoint's weights. In `outline` a streamed part has no weights,
        and its parameters have the types of the exported ones."""
        return []

    def typed_graphs(self, checkpoint: Checkpoint) -> list[Graph]:
        """The graphs that compute in bfloat16; those of a streamed part without weights."""
        return self.graphs(checkpoint, outline=True)

    def shapes(self, checkpoint: Checkpoint, family: Family, graph: str) -> list[Shape]:
        """Shapes of a graph's inputs that its stage runs, the usual one first. A plan is built for
        the smallest to the largest of them. As it stands, edits and prompt embeds of the family's
        sizes."""
        from retouch_export.graph import Shape  # imports torch

        edit = family.size_ranges[0]
        least, usual, most = (
            Shape(1, *size, tokens, 0) for size, tokens in zip(edit, family.text_tokens)
        )
        return [usual, least, most]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The manifest's `settings`, for the stage that runs the graphs; CheckpointError,
        ValueError."""
        return {}

    def all_settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """`settings`, and what a backend needs that makes the graphs' modules itself."""
        if not self.passes:
            return self.settings(checkpoint)
        networks = {
            name: checkpoint.description(kind, name) for name, kind in self.networks.items()
        }
        about = {"passes": self.passes, "networks": networks}
        return self.settings(checkpoint) | about

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Write the files that lie beside the graphs, as a tokenizer."""

    def parameter_name(self, name: str) -> str:
        """The network's name for a tensor of the checkpoint."""
        return name

    def parameters(self, checkpoint: Checkpoint) -> dict[str, TensorSource]:
        """The parameters of a streamed part's graphs by their names there, the checkpoint's adapter
        merged."""
        stored = checkpoint.stored(self.component)
        merged = checkpoint.adapter.merged(stored) if checkpoint.adapter else stored
        return {PREFIX + self.parameter_name(name): tensor for name, tensor in merged.items()}


@dataclass(frozen=True)
class Stage:
    """One model of the repository, and the family whose checkpoint it is exported from."""

    name: str
    family: str

    @property
    def is_streamed(self) -> bool:
        return self.name in STREAMED

    @property
    def module(self) -> str:
        """The name of the module that exports it."""
        return f"{__package__}.{package_of(self.family)}.{self.name}"

    def part(self) -> Part:
        """What exports it; imports torch."""
        return importlib.import_module(self.module).PART

    def model(self, lane: str) -> str:
        """The name of the Triton model; a denoiser has one a lane."""
        return f"{self.name}_{lane}" if self.name == DENOISER else self.name

    def folder(self, repository: Path, lane: str) -> Path:
        """The folder of the artifacts: the model's version folder."""
        return repository / self.model(lane) / "1"

    def label(self, lane: str) -> str:
        """The name in messages."""
        return f"{self.name}_{lane}"


@dataclass(frozen=True)
class TypedStage(Stage):
    """A stage other than the denoiser, with graphs that compute in a lane's precision."""

    def folder(self, repository: Path, lane: str) -> Path:
        """The folder within the version folder."""
        return typed_folder(super().folder(repository, lane), lane)

    def label(self, lane: str) -> str:
        return f"{self.name} in {lane}"


def typed_stages_of(family: str, precisions: Collection[str]) -> list[tuple[TypedStage, str]]:
    """Stages and precisions of the typed graphs for parts in `precisions`: wide ones too, which
    the others are made from. The precisions of a stage follow one another, the widest first."""
    chosen = {WIDE, *precisions} if precisions else set()
    return [
        (TypedStage(name, family), precision)
        for name, possible in TYPED.items()
        for precision in possible
        if precision in chosen
    ]


def stages_of(family: str) -> tuple[Stage, ...]:
    """The denoiser's stage is the last."""
    return tuple(Stage(name, family) for name in STAGES)
