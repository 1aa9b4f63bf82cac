"""What is wrong with a checkpoint's files, found before any long work: one sentence a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from retouch_export import hashes
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.safetensors_index import Stored
from retouch_export.weight_files import variants

TRANSFORMER = "transformer"
UNFINISHED = (
    ".incomplete",
    ".part",
    ".aria2",
    ".crdownload",
)  # what downloads are called before they end
# a component whose name begins so is no network, and has one of these
TOKENIZER = ("tokenizer.json", "vocab.json", "spiece.model", "tekken.json")
PARAMETERS = ".weight", ".bias"  # how names of numbers end that an export takes
SETTINGS = {
    "scheduler": ("scheduler_config.json",),
    "tokenizer": TOKENIZER,
    "processor": ("preprocessor_config.json", "processor_config.json"),
    "image_processor": ("preprocessor_config.json",),
    "feature_extractor": ("preprocessor_config.json",),
}


def faults(
    checkpoint: Checkpoint, weights: bool = True, whole: bool = True, hashed: bool = True
) -> Iterator[str]:
    """Sentences. Without `weights` only settings are looked at, without `whole` a component that
    has no folder is no fault, and without `hashed` files are not read through."""
    folder = checkpoint.folder
    for path in sorted(folder.rglob("*")):
        if path.suffix in UNFINISHED:
            yield f"{path.relative_to(folder).as_posix()} is a download that has not ended; run the download again"
    for name in checkpoint.components:
        if whole or (folder / name).is_dir():
            yield from _of_component(checkpoint, name, weights)
    if checkpoint.variant and not any(
        checkpoint.variant in variants(folder / name) for name in checkpoint.components
    ):
        yield f"no component of the checkpoint has the variant {checkpoint.variant}; leave out --variant"
    if hashed:
        yield from _of_hashes(folder, weights)


def check(checkpoint: Checkpoint, weights: bool = True, whole: bool = True) -> None:
    """CheckpointError with the first fault."""
    for fault in faults(checkpoint, weights, whole):
        raise CheckpointError(fault)


def networks(checkpoint: Checkpoint) -> list[str]:
    """The names of the components that have weights, and of a transformer that is there without
    being listed."""
    listed = [name for name in checkpoint.components if _settings(name) is None]
    unlisted = (
        [TRANSFORMER]
        if TRANSFORMER not in listed and (checkpoint.folder / TRANSFORMER).is_dir()
        else []
    )
    return listed + unlisted


def _of_component(checkpoint: Checkpoint, name: str, weights: bool) -> Iterator[str]:
    folder = checkpoint.folder / name
    wanted = _settings(name)
    if not folder.is_dir():
        yield f"the checkpoint lacks the folder {name}, which model_index.json lists; download it again"
    elif wanted and not any((folder / each).is_file() for each in wanted):
        yield f"the checkpoint lacks {' or '.join(f'{name}/{each}' for each in wanted)}; download it again"
    elif wanted:
        for each in sorted(folder.glob("*.json")):
            yield from _said(lambda: checkpoint.json(f"{name}/{each.name}"))
    elif not (folder / "config.json").is_file():
        yield f"the checkpoint lacks {name}/config.json; download it again"
    else:
        yield from _said(lambda: checkpoint.json(f"{name}/config.json"))
        if weights:
            yield from _said(lambda: _readable(checkpoint.stored(name)))


def _of_hashes(folder: Path, weights: bool) -> Iterator[str]:
    try:
        names = hashes.carried(folder)
    except CheckpointError as failure:
        yield str(failure)
        return
    yield from hashes.wrong(
        folder, {name: value for name, value in names.items() if weights or name.endswith(".json")}
    )


def _settings(name: str) -> tuple[str, ...] | None:
    return next((files for kind, files in SETTINGS.items() if name.startswith(kind)), None)


def _said(look: Callable[[], object]) -> Iterator[str]:
    """What `look` refuses with."""
    try:
        look()
    except CheckpointError as failure:
        yield str(failure)


def _readable(tensors: dict[str, Stored]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_count or name.endswith(PARAMETERS):
            tensor.dtype  # refuses what cannot be read
