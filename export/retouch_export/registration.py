"""How Triton comes to know a lane with an adapter: the files of the plain lane's model, under the
lane's own name.

A plain lane's config.pbtxt is written by hand and committed. An adapter's lane is the same model
with other graphs: its configs are the plain lane's with the name in them changed, and its code is a
link to the plain lane's."""

from __future__ import annotations

import os
from pathlib import Path

from retouch.api.lanes import is_adapted, precision_of
from retouch_export.file_modes import make_like_parent, share_file
from retouch_export.parts import Stage

CODE = "model.py"


def register(repository: Path, stage: Stage, lane: str) -> None:
    """Make what Triton needs beside the artifacts of an adapter's lane; nothing where the
    repository has no such files of the plain lane either, or for a plain lane."""
    plain, own = (stage.folder(repository, name).parent for name in (precision_of(lane), lane))
    if not is_adapted(lane) or not (plain / "config.pbtxt").is_file():
        return
    for config in [
        *plain.glob("configs/*.pbtxt"),
        plain / "config.pbtxt",
    ]:  # the one without which it is none comes last
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
