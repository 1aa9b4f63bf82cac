"""Write the profiles of the stages and denoisers, model_repository/*/configs/*.pbtxt.

A profile is the model's config.pbtxt with another placement and other parameters, by the table
here. `python -m retouch.launcher.write_profiles` (or `make profiles`) writes the files that differ;
`--check` lists them, and exits with 1 when there are any. Profiles with one text are links to one
file."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from retouch.api.lanes import LANES

REPOSITORY = Path(__file__).parents[2] / "model_repository"
STAGES = ("vl_parser", "connector", "vae_encoder", "vae_decoder")
HEADER = (
    "# Written by `make profiles` from ../config.pbtxt and retouch/launcher/write_profiles.py.\n"
)
GIB = 1 << 30
REFERENCE_BYTES = 8 * GIB
RUNNING_BYTES = 16 * GIB
ADAPTER_BYTES = 4 * GIB
RUNNERS = {
    "auto": "the best that is there: a plan, onnx-cuda or torch",
    "tensorrt": "plans that were built on this GPU",
    "torch": "on the device of RETOUCH_DEVICE",
}
PRECISION = "by lane: typed graphs of `retouch export --parts` where they are"
# one engine holds all running edits and alone can cancel them: several GPUs are several servers
ON_GPU = "instance_group [ { count: 1  kind: KIND_GPU  gpus: [ 0 ] } ]   # one GPU a server"
ON_CPU = "instance_group [ { count: 1  kind: KIND_CPU } ]   # Triton itself needs no GPU"
GROUP = re.compile(r"^instance_group .*$", re.MULTILINE)
PARAMETER = '^parameters {{ key: "{}" .*$'


@dataclass(frozen=True)
class Profile:
    """The runners of the denoisers and of the other stages, and the lanes that the machine runs."""

    denoiser: str
    stage: str
    lanes: tuple[str, ...]
    is_on_gpu: bool = True


PROFILES = {
    "gpu": Profile("auto", "auto", ("bf16", "fp8")),
    "hopper": Profile("tensorrt", "auto", ("bf16", "fp8")),
    "blackwell": Profile("tensorrt", "auto", LANES),
    "torch": Profile("torch", "torch", ("bf16", "fp8"), is_on_gpu=False),
}


def written(model: str, profile: Profile, repository: Path = REPOSITORY) -> str:
    """The text of a model's profile; ValueError where config.pbtxt lacks a line to replace."""
    text = (repository / model / "config.pbtxt").read_text()
    is_denoiser = model.startswith("denoiser_")
    runner = profile.denoiser if is_denoiser else profile.stage
    text = _replaced(GROUP, ON_GPU if profile.is_on_gpu else ON_CPU, text, model)
    text = _with_parameter(text, "runner", runner, RUNNERS[runner], model)
    if not is_denoiser:
        pairs = ",".join(f"{lane}:auto" for lane in profile.lanes)
        text = _with_parameter(text, "precision", pairs, PRECISION, model)
    if is_denoiser:
        for name, size, comment in (
            ("reference_bytes", REFERENCE_BYTES, "of the reference cache"),
            ("running_bytes", RUNNING_BYTES, "limit of what running edits keep"),
            ("adapter_bytes", ADAPTER_BYTES, "limit of loaded adapters"),
        ):
            comment = f"{comment}: {size // GIB} GiB of the device"
            text = _with_parameter(text, name, str(size), comment, model)
    return HEADER + text


def models() -> list[str]:
    return [*STAGES, *(f"denoiser_{lane}" for lane in LANES)]


def files(repository: Path = REPOSITORY) -> dict[Path, str]:
    """The text of every profile that a model has, by its path."""
    return {
        repository / model / "configs" / f"{name}.pbtxt": written(model, profile, repository)
        for model in models()
        for name, profile in PROFILES.items()
        if model in STAGES or model.removeprefix("denoiser_") in profile.lanes
    }


def write(path: Path, text: str) -> None:
    """Write a profile, as a link to one of the same text if the folder has one before it."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    twin = _twin(path, text)
    if twin is None:
        path.write_text(text)
    else:
        path.symlink_to(twin)


def _twin(path: Path, text: str) -> str | None:
    for name in PROFILES:
        other = path.with_name(f"{name}.pbtxt")
        if other == path:
            return None
        if other.is_file() and not other.is_symlink() and other.read_text() == text:
            return other.name
    return None


def is_current(path: Path, text: str) -> bool:
    link = os.readlink(path) if path.is_symlink() else None
    return path.is_file() and path.read_text() == text and link == _twin(path, text)


def _with_parameter(text: str, name: str, value: str, comment: str, model: str) -> str:
    line = f'parameters {{ key: "{name}"  value {{ string_value: "{value}" }} }}   # {comment}'
    pattern = re.compile(PARAMETER.format(name), re.MULTILINE)
    return _replaced(pattern, line, text, model)


def _replaced(pattern: re.Pattern, line: str, text: str, model: str) -> str:
    result, count = pattern.subn(lambda _: line, text)
    if count != 1:
        raise ValueError(f"config.pbtxt of {model} has {count} lines {pattern.pattern}, not one")
    return result


def main(arguments: list[str]) -> int:
    is_check = "--check" in arguments
    stale = False
    for path, text in files().items():
        if not is_current(path, text):
            stale = True
            print(path.relative_to(REPOSITORY.parent))
            if not is_check:
                write(path, text)
    return int(stale and is_check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
