"""Registration of an adapter's lane with Triton, by copies of the plain lane's files.

A plain lane's config.pbtxt is committed. An adapter's lane is the same model with other graphs: its
configs are those of the plain lane under its own name, and its code is a link."""

from __future__ import annotations

import os
from pathlib import Path

from retouch.api.lanes import is_adapted, precision_of
from retouch_export.file_modes import make_like_parent, share_file
from retouch_export.parts import Stage

CODE = "model.py"


def register(repository: Path, stage: Stage, lane: str) -> None:
    """Write the files that Triton needs for an adapter's lane, other than its artifacts.

    Nothing is written for a plain lane, or if the repository lacks the plain lane's files."""
    plain, own = (stage.folder(repository, name).parent for name in (precision_of(lane), lane))
    if not is_adapted(lane) or not (plain / "config.pbtxt").is_file():
        return
    # config.pbtxt comes last, because it makes the folder a model
    for config in [*plain.glob("configs/*.pbtxt"), plain / "config.pbtxt"]:
        copy = own / config.relative_to(plain)
        make_like_parent(copy.parent)
        copy.unlink(missing_ok=True)
        if config.is_symlink():
            copy.symlink_to(os.readlink(config))
        else:
            copy.write_text(
                config.read_text().replace(f'name: "{plain.name}"', f'name: "{own.name}"')
            )
            share_file(copy, copy.parent)
    link = own / "1" / CODE
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..", "..", plain.name, "1", CODE))
