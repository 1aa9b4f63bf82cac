"""The files of a model repository that no export makes: config.pbtxt, configs/*.pbtxt and
1/model.py of every model.

A checkout has them in model_repository/, where they are edited and served. The wheel has a copy
beside this module, from which every other repository gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retouch_export.file_modes import make_like_parent, share_file

TEMPLATES = Path(__file__).parent / "model_repository"  # setup.py puts it into the wheel
CODE = "model.py"


def install(repository: Path, templates: Path = TEMPLATES) -> Iterator[str]:
    """Write the templates that `repository` lacks, and newer code. Without templates, as in a
    checkout, nothing is written.

    A config that differs from its template may be the user's own: it stays, and the sentence
    yielded says so.
    """
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
