"""`retouch export` as a user calls it, in this process.

A part is exported once a test run: who exports the same checkpoint again, in any worker, is given a
copy. Graphs that were traced for another checkpoint, by `make export` or in a run before come from
the exporter's own cache."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock

from retouch.artifacts.manifest import NAME, read
from retouch_export.checkpoint import Checkpoint
from retouch_export.command import export
from retouch_export.parts import Stage
from retouch_export.staleness import sources_of

_kept: list[Path] = []  # the folder of this run's exports, where there is one


def keep_exports(folder: Path) -> None:
    """Keep what is exported in `folder`, which all workers of a run share."""
    _kept[:] = [folder]


def made_once(name: str, make: Callable[[Path], object], path: Path) -> Path:
    """`path`, which becomes a copy of what `make` writes into a folder, once a run."""
    kept = _kept[0] / name
    with FileLock(f"{kept}.lock"):
        if not kept.is_dir():
            make(kept)
    return shutil.copytree(kept, path, dirs_exist_ok=True)


def exported(*arguments: object) -> str:
    """What a successful export printed."""
    with pytest.MonkeyPatch.context() as patch:
        if _kept:
            _share(patch)
        done = _run(arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def exported_anew(*arguments: object) -> str:
    """The same, with nothing from an export before."""
    done = _run(arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> str:
    """The one line that a failed export printed."""
    done = _run(arguments)
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1, done.output
    return done.stderr


def _run(arguments: tuple[object, ...]):
    return CliRunner().invoke(
        export, [str(argument) for argument in arguments], catch_exceptions=False
    )


def _share(patch: pytest.MonkeyPatch) -> None:
    """The exporter gives what is there already, and torch reads its operators' translations
    once."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    from retouch_export import run

    patch.setattr(ONNXRegistry, "from_torchlib", _registry())
    patch.setattr(run, "Exporter", _exporter())


def _identity(stage: Stage, checkpoint: Checkpoint) -> str:
    """A digest of what a stage is made of: pipelines that share their networks, their settings and
    a stage's code share its graphs."""
    settings = {
        name: value
        for name, value in checkpoint.config.items()
        if not name.startswith("_") and name != "is_distilled"
    }
    made_of = [type(stage.part()).__module__, checkpoint.variant, settings]
    total = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode())
    folder = checkpoint.folder
    for path in sorted([*folder.glob("*/*.safetensors"), *folder.glob("*/*.json")]):
        total.update(path.relative_to(folder).as_posix().encode())
        total.update(path.read_bytes())
    return total.hexdigest()


@cache
def _registry() -> Callable:
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    return staticmethod(cache(ONNXRegistry.from_torchlib))


@cache
def _exporter() -> type:
    from retouch_export.exporter import Exporter

    class Shared(Exporter):
        """Takes a part of the same checkpoint from the run's folder."""

        def whole(self, stage: Stage) -> None:
            self.streamed(stage) if stage.is_streamed else self._once(stage, super().whole)

        def streamed(self, stage: Stage) -> dict[str, int]:
            return self._once(stage, super().streamed)

        def _once(self, stage: Stage, make: Callable[[Stage], dict[str, int]]) -> dict[str, int]:
            if self.weightless or self.checkpoint.adapter:
                return make(stage)
            lane = self.lane("bf16")
            kept = _kept[0] / f"{stage.name}_{lane}_{_identity(stage, self.checkpoint)}"
            with FileLock(f"{kept}.lock"):
                if not kept.is_dir():
                    weights = make(stage)
                    shutil.copytree(stage.folder(self.repository, lane), kept)
                    return weights
            manifest = read(kept)
            if stage.is_streamed:
                manifest = self._manifest(stage, lane, manifest.weights)
            else:
                manifest.family = self.checkpoint.family
                manifest.checkpoint_sha256 = self.sha256
                manifest.sources = sources_of(stage, lane)
                manifest.origin = self.checkpoint.origin
                manifest.settings = stage.part().all_settings(self.checkpoint)
            with self._publishing(stage, lane, manifest) as staging:
                shutil.copytree(
                    kept, staging, ignore=shutil.ignore_patterns(NAME), dirs_exist_ok=True
                )
            return manifest.weights

    return Shared
