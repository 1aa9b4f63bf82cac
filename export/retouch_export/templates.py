"""Committed files of a model repository: config.pbtxt, configs/*.pbtxt and 1/model.py of every
model.

In a checkout they are in model_repository/, where they are edited and served. The wheel has a copy
in this package, which is installed into other repositories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retouch_export.file_modes import make_like_parent, share_file

TEMPLATES = Path(__file__).parent / "model_repository"  # setup.py puts it into the wheel
CODE = "model.py"


def install(repository: Path, templates: Path = TEMPLATES) -> Iterator[str]:
    """Write missing templates and newer code to `repository`. In a checkout, which has no
    templates, nothing is written.

    A config that differs from its template may be the user's: it is kept, and a sentence about it
    is yielded."""
    for source in sorted(path for path in templates.rglob("*") if path.is_file()):
        target = repository / source.relative_to(templates)
        make_like_parent(target.parent)
        if source.name == ".gitkeep" or _same(source, target):
            continue
        if target.is_file() and source.name != CODE:
            yield f"{target} differs from this version's; it stays as it is"
            continue
        target.unlink(missing_ok=True)
        target.write_bytes(source.read_bytes())
        share_file(target, target.parent)


def _same(source: Path, target: Path) -> bool:
    return target.is_file() and target.read_bytes() == source.read_bytes()
