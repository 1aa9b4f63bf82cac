"""Checks of a checkpoint's files before any long work. A fault is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from retouch_export import hashes
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.safetensors_index import Stored
from retouch_export.weight_files import variants

TRANSFORMER = "transformer"
UNFINISHED = (".incomplete", ".part", ".aria2", ".crdownload")  # suffixes of unfinished downloads
TOKENIZER = ("tokenizer.json", "vocab.json", "spiece.model", "tekken.json")
PARAMETERS = ".weight", ".bias"  # suffixes of exported parameters
# components with such a prefix are no networks, and have at least one of these files
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
    """Sentences about faults.

    Without `weights` only settings are checked. Without `whole` a component may lack its folder.
    Without `hashed` files are not compared with their hashes."""
    folder = checkpoint.folder
    for path in sorted(folder.rglob("*")):
        if path.suffix in UNFINISHED:
            yield (
                f"{path.relative_to(folder).as_posix()} is a download that has not ended; "
                "run the download again"
            )
    for name in checkpoint.components:
        if whole or (folder / name).is_dir():
            yield from _of_component(checkpoint, name, weights)
    if checkpoint.variant and not any(
        checkpoint.variant in variants(folder / name) for name in checkpoint.components
    ):
        yield (
            f"no component of the checkpoint has the variant {checkpoint.variant}; "
            "leave out --variant"
        )
    if hashed:
        yield from _of_hashes(folder, weights)


def check(checkpoint: Checkpoint, weights: bool = True, whole: bool = True) -> None:
    """CheckpointError with the first fault."""
    for fault in faults(checkpoint, weights, whole):
        raise CheckpointError(fault)


def networks(checkpoint: Checkpoint) -> list[str]:
    """Names of the components with weights, including a transformer that is not listed."""
    listed = [name for name in checkpoint.components if _settings(name) is None]
    unlisted = (
        [TRANSFORMER]
        if TRANSFORMER not in listed and (checkpoint.folder / TRANSFORMER).is_dir()
        else []
    )
    return listed + unlisted


def _of_component(checkpoint: Checkpoint, name: str, weights: bool) -> Iterator[str]:
    folder = checkpoint.folder / name
    settings = _settings(name)
    if not folder.is_dir():
        yield (
            f"the checkpoint lacks the folder {name}, which model_index.json lists; "
            "download it again"
        )
    elif settings and not any((folder / file).is_file() for file in settings):
        files = " or ".join(f"{name}/{file}" for file in settings)
        yield f"the checkpoint lacks {files}; download it again"
    elif settings:
        for path in sorted(folder.glob("*.json")):
            yield from _failure(partial(checkpoint.json, f"{name}/{path.name}"))
    elif not (folder / "config.json").is_file():
        yield f"the checkpoint lacks {name}/config.json; download it again"
    else:
        yield from _failure(lambda: checkpoint.json(f"{name}/config.json"))
        if weights:
            yield from _failure(lambda: _readable(checkpoint.stored(name)))


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


def _failure(check: Callable[[], object]) -> Iterator[str]:
    """The message of `check`'s CheckpointError, if it raises one."""
    try:
        check()
    except CheckpointError as failure:
        yield str(failure)


def _readable(tensors: dict[str, Stored]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_count or name.endswith(PARAMETERS):
            _ = tensor.dtype  # CheckpointError for a type that cannot be read
