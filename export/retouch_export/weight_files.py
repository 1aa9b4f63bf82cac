"""The weight files of a component: one file or shards, plain or of a variant such as `fp16`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from retouch_export.checkpoint_files import CheckpointError, read_json

STEMS = ("diffusion_pytorch_model", "model")  # of weight files in diffusers and transformers
SUFFIX = ".safetensors"
# model.fp16.safetensors, model.safetensors.index.fp16.json, model.fp16.safetensors.index.json and
# shards of either order
VARIANT = re.compile(
    r"(?:diffusion_pytorch_model|model)"
    r"(?:\.(?P<before>\w+)(?:-\d+-of-\d+)?|-\d+-of-\d+\.(?P<after>\w+))"
    r"\.safetensors(?:\.index\.json)?"
    r"|(?:diffusion_pytorch_model|model)\.safetensors\.index\.(?P<index>\w+)\.json"
)
SHARD = re.compile(r"(?:diffusion_pytorch_model|model)(?:\.\w+)?-\d+-of-\d+(?:\.\w+)?\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class WeightFiles:
    """The files with the weights. With an `index` they are shards, and `places` maps a tensor's
    name to its shard."""

    files: list[Path]
    index: Path | None = None
    places: dict[str, str] | None = None


def weight_files(folder: Path, variant: str | None = None) -> WeightFiles:
    """The weights in a component's folder: those of the `variant` if there are any, else the plain
    ones. CheckpointError with the remedy when there are none."""
    folder = Path(folder)
    chosen = (variant and _chosen(folder, variant)) or _chosen(folder, None)
    if chosen is None:
        raise CheckpointError(_lacking(folder, variant))
    return chosen


def variants(folder: Path) -> list[str]:
    """The variants of the weights in a component's folder."""
    matches = (VARIANT.fullmatch(path.name) for path in Path(folder).glob("*"))
    return sorted(
        {match["before"] or match["after"] or match["index"] for match in matches if match}
    )


def _chosen(folder: Path, variant: str | None) -> WeightFiles | None:
    """Prefer an index to a single file, unless one of its shards is missing: then the file has
    replaced the shards."""
    for stem in STEMS:
        single = folder / (f"{stem}.{variant}{SUFFIX}" if variant else f"{stem}{SUFFIX}")
        index = next((path for path in _indexes(folder, stem, variant) if path.is_file()), None)
        if index is not None and not (single.is_file() and _is_stale(index)):
            return _sharded(index)
        if single.is_file():
            return WeightFiles([single])
    return None


def _indexes(folder: Path, stem: str, variant: str | None) -> list[Path]:
    if variant is None:
        return [folder / f"{stem}{SUFFIX}.index.json"]
    return [
        folder / f"{stem}{SUFFIX}.index.{variant}.json",
        folder / f"{stem}.{variant}{SUFFIX}.index.json",
    ]


def _is_stale(index: Path) -> bool:
    """Whether a shard that the index names is missing."""
    return any(not (index.parent / shard).is_file() for shard in set(_places(index).values()))


def _sharded(index: Path) -> WeightFiles:
    folder = index.parent
    places = _places(index)
    shards = sorted(set(places.values()))
    lacking = [shard for shard in shards if not (folder / shard).is_file()]
    if lacking:
        raise CheckpointError(
            f"the checkpoint lacks {folder.name}/{lacking[0]}, which {index.name} names "
            f"({len(lacking)} of {len(shards)} shards are missing); download it again"
        )
    return WeightFiles([folder / shard for shard in shards], index, places)


def _places(index: Path) -> dict[str, str]:
    """The shard of each tensor, by tensor name; CheckpointError."""
    name = f"{index.parent.name}/{index.name}"
    places = read_json(index, name).get("weight_map")
    if not isinstance(places, dict) or not all(
        isinstance(shard, str) and Path(shard).name == shard for shard in places.values()
    ):
        raise CheckpointError(f"{name} names no shards; copy it again")
    return places


def _lacking(folder: Path, variant: str | None) -> str:
    """Why a folder has no weights that can be read, and the remedy."""
    names = sorted(path.name for path in folder.glob("*") if path.is_file())
    others = variants(folder)
    if others:
        asked = f"no variant {variant}" if variant else "its weights as a variant alone"
        return f"{folder.name} has {asked}; give --variant {' or --variant '.join(others)}"
    lacks = f"the checkpoint lacks {' or '.join(f'{folder.name}/{stem}{SUFFIX}' for stem in STEMS)}"
    if any(SHARD.fullmatch(name) for name in names):
        return (
            f"{lacks}, and {folder.name} has shards without the index that names them; "
            "download the index too"
        )
    pickled = next((name for name in names if name.endswith(PICKLED)), None)
    if pickled:
        return (
            f"{lacks}, and {pickled} cannot be read in its place, for a pickle may run code; "
            "download the safetensors files, "
            "or save the pipeline again with safe_serialization=True"
        )
    other = next((name for name in names if name.endswith((SUFFIX, ".gguf"))), None)
    return (
        f"{lacks}, and {other} cannot be read in its place; download it in diffusers' layout"
        if other
        else f"{lacks}; download it again"
    )
