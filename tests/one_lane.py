"""A model repository with one lane, for servers whose number of lanes does not matter."""

from __future__ import annotations

from pathlib import Path

from retouch.launcher.server import REPOSITORY

LEFT_OUT = ("denoiser_fp8", "denoiser_fp4")  # each stub takes a second of a processor to start


def one_lane(folder: Path) -> Path:
    """A new repository in `folder` of links to the exported models; bf16 is its only lane."""
    repository = folder / "one_lane"
    repository.mkdir()
    for config in REPOSITORY.glob("*/config.pbtxt"):
        model = config.parent
        if model.name not in LEFT_OUT:
            (repository / model.name).symlink_to(model)
    return repository
