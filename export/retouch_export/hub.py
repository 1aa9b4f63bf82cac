"""Checkpoints of the Hugging Face Hub as folders in diffusers layout.

An export works on a folder of links to the files of the hub's cache that its family needs, so that
other files in that cache do not change the checkpoint. The folder is
`~/.cache/retouch/checkpoints/ORG--NAME/COMMIT`; `retouch calibrate-data` writes to it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from retouch.util import env, extras
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.hub_name import HubName, hub_name
from retouch_export.validate import faults

if TYPE_CHECKING:
    from retouch_export.hub_snapshot import Snapshot

MODULE = "huggingface_hub"  # imported where a name of the hub is used
CALIBRATION = "calibration"
SETTINGS_ONLY = "settings"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Located:
    """A checkpoint's folder, and for one of the hub its repository and commit."""

    folder: Path
    origin: str = ""


def located(argument: Path, variant: str | None, say: Say, weights: bool = True) -> Located:
    """The folder that an argument names: itself, or for a name on the hub a folder of its files.

    What the hub's cache lacks is downloaded; without `weights` the settings alone.
    CheckpointError, MissingExtraError."""
    name = hub_name(argument)
    if name is None:
        return Located(argument)
    with _hub_errors(name):
        snapshot, settings, chosen = _needed(name, variant, weights)
        paths = [*settings, *chosen]
        if snapshot.is_listed:
            _check_disk(snapshot, paths, say)
            snapshot.fetch(paths)
        else:
            say(f"{name} is taken from the hub's cache, because the hub is not reached")
        kind = (variant or "") if weights else SETTINGS_ONLY
        folder = _linked(snapshot, paths, kind)
    if not snapshot.is_listed:
        _check_whole(name, folder, variant, weights)
    return Located(folder, snapshot.origin)


@contextlib.contextmanager
def described(argument: Path, variant: str | None, say: Say) -> Iterator[Path]:
    """The folder that an argument names, to be looked at while the `with` block runs.

    For a name on the hub it has the settings, and the headers of the weights: no weights are
    downloaded. CheckpointError, MissingExtraError."""
    name = hub_name(argument)
    if name is None:
        yield argument
        return
    with tempfile.TemporaryDirectory(prefix="retouch-") as temporary:
        with _hub_errors(name):
            _describe(name, variant, say, Path(temporary))
        yield Path(temporary)


def calibration_folder(argument: Path) -> Path:
    """The folder that `retouch calibrate-data` writes to: the argument, or for a name on the hub
    the folder of its commit. CheckpointError, MissingExtraError."""
    name = hub_name(argument)
    if name is None:
        return argument
    with _hub_errors(name):
        from retouch_export.hub_snapshot import open_snapshot

        folder = _folder(open_snapshot(name))
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _hub_errors(name: HubName) -> Iterator[None]:
    if find_spec(MODULE) is None:
        raise extras.MissingExtraError(extras.message("export", MODULE))
    env.disable_unless_set(env.HUB_TELEMETRY)
    from retouch_export.hub_errors import explained

    with explained(name):
        yield


def _needed(
    name: HubName, variant: str | None, weights: bool
) -> tuple[Snapshot, list[str], list[str]]:
    """The commit, its settings, which are downloaded, and its weights, if they are wanted."""
    from retouch_export.hub_files import settings_paths, weight_paths
    from retouch_export.hub_snapshot import open_snapshot

    snapshot = open_snapshot(name)
    with _of_repository(snapshot):
        checkpoint = Checkpoint(snapshot.folder, variant)
        settings = settings_paths(snapshot, checkpoint)
        if snapshot.is_listed:
            snapshot.fetch(settings)
        try:
            chosen = weight_paths(snapshot, settings, variant) if weights else []
        except CheckpointError as failure:
            raise failure if snapshot.is_listed else _partial(name, str(failure)) from None
    return snapshot, settings, [path for path in chosen if path not in settings]


@contextlib.contextmanager
def _of_repository(snapshot: Snapshot) -> Iterator[None]:
    """Errors about a checkpoint name its repository in place of a folder."""
    try:
        yield
    except CheckpointError as failure:
        text = str(failure).replace(str(snapshot.folder), str(snapshot.name))
        text = text.replace("download it again", "name a repository that has it")
        about = "" if str(snapshot.name) in text else f"{snapshot.name}: "
        raise CheckpointError(f"{about}{text}") from None


def _check_disk(snapshot: Snapshot, paths: list[str], say: Say) -> None:
    """CheckpointError when the files that the cache lacks do not fit on its disk."""
    missing = snapshot.missing_bytes(paths)
    if not missing:
        return
    free = shutil.disk_usage(snapshot.folder).free
    if missing > free:
        raise CheckpointError(
            f"the download of {snapshot.name} needs {_size(missing)}, and the disk of "
            f"{snapshot.folder.parents[2]} has {_size(free)} free; free some of it, or set HF_HOME "
            "to a folder on a larger disk"
        )
    total = sum(snapshot.files[path].size for path in paths)
    say(
        f"downloading {snapshot.origin}: {_size(missing)} of {_size(total)} in "
        f"{len(paths)} files, to {snapshot.folder.parents[2]}"
    )


def _check_whole(name: HubName, folder: Path, variant: str | None, weights: bool) -> None:
    """CheckpointError when the hub's cache lacks files, and the hub is not reached."""
    for fault in faults(Checkpoint(folder, variant), weights, hashed=False):
        raise _partial(name, fault)


def _partial(name: HubName, fault: str) -> CheckpointError:
    return CheckpointError(
        f"the hub's cache has only a part of {name} ({fault.partition(';')[0]}), and the hub "
        "is not reached; check the network, or unset HF_HUB_OFFLINE, and run the command again"
    )


def _linked(snapshot: Snapshot, paths: list[str], kind: str) -> Path:
    """The folder of links to these files, with the calibration pairs of its commit."""
    from retouch_export.hub_files import link

    folder = _folder(snapshot, kind)
    folder.mkdir(parents=True, exist_ok=True)
    link(snapshot, paths, folder)
    _link_calibration(snapshot, folder)
    return folder


def _link_calibration(snapshot: Snapshot, folder: Path) -> None:
    pairs = _folder(snapshot) / CALIBRATION
    if pairs.is_dir() and not (folder / CALIBRATION).exists():
        (folder / CALIBRATION).symlink_to(pairs)


def _folder(snapshot: Snapshot, kind: str = "") -> Path:
    cache = env.CACHE_HOME.get()
    home = Path(cache) if cache else Path.home() / ".cache"
    owner = snapshot.name.repository.replace("/", "--")
    commit = f"{snapshot.commit}-{kind}" if kind else snapshot.commit
    return home.absolute() / "retouch" / "checkpoints" / owner / commit


def _describe(name: HubName, variant: str | None, say: Say, folder: Path) -> None:
    from retouch_export.hub_files import link
    from retouch_export.hub_headers import write_header

    snapshot, settings, chosen = _needed(name, variant, weights=True)
    here = [path for path in chosen if snapshot.has(path)]
    remote = [path for path in chosen if not snapshot.has(path)]
    link(snapshot, [path for path in settings if snapshot.has(path)] + here, folder)
    _link_calibration(snapshot, folder)
    if not snapshot.is_listed:
        say(f"{name} is described by the hub's cache, because the hub is not reached")
        return
    for path in remote:
        write_header(snapshot, path, folder / path)
    paths = [*settings, *chosen]
    total = sum(snapshot.files[path].size for path in paths)
    say(
        f"{snapshot.origin}: read its settings and the headers of {len(remote)} files of weights; "
        f"an export downloads {_size(snapshot.missing_bytes(paths))} of {_size(total)}"
    )


def _size(count: float) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"
