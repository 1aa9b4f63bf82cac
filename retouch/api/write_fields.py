"""Write the table of request fields into every config.pbtxt with its inputs and into README.md.

`python -m retouch.api.write_fields` (or `make fields`) writes the files that differ;
`--check` lists them, and exits with 1 when there are any."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from retouch.api.field import Field
from retouch.api.fields import FIELDS

ROOT = Path(__file__).parents[2]
ENDPOINTS = ("edit", "edit_sync")
# tritonserver 2.51 never answers a request that lacks a required input of an ensemble with optional
# ones: there all are optional, and preprocess refuses such a request
WITHOUT_REQUIRED = ("edit_ensemble", "preprocess")
TRITON_TYPES = {
    "BYTES": "TYPE_STRING",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "FP32": "TYPE_FP32",
}
INPUTS = re.compile(r"^input \[.*?^\]$", re.DOTALL | re.MULTILINE)
INPUT_MAP = re.compile(r'(?<=model_name: "preprocess"  model_version: -1\n)( *input_map .*\n)+')
TABLE = re.compile(
    r"(?<=<!-- fields: written by `make fields` -->\n).*?(?=<!-- /fields -->)", re.DOTALL
)


def inputs(all_optional: bool) -> str:
    """The `input` section of a model configuration."""
    lines = ["input [   # written from retouch/api/fields.py by `make fields`"]
    for field in FIELDS:
        name = f'"{field.name}"'
        kind = TRITON_TYPES[field.datatype]
        dims = ", ".join(map(str, field.dims))
        optional = "  optional: true" if all_optional or not field.is_required else ""
        comma = "" if field is FIELDS[-1] else ","
        tensor = f"{{ name: {name:13}  data_type: {kind:11}  dims: [ {dims} ]{optional} }}{comma}"
        lines.append(f"  {tensor:80} # {field.help}")
    return "\n".join([*lines, "]"])


def input_map() -> str:
    """The input maps by which an ensemble hands all inputs to its first stage."""
    return "".join(
        f'      input_map {{ key: "{field.name}"  value: "{field.name}" }}\n' for field in FIELDS
    )


def table() -> str:
    """The table of README.md, in Markdown."""
    head = ("input", "type", "default", "allowed", "what it is", "command line", "OpenAI API")
    rows = [head, ("---",) * len(head), *map(_row, FIELDS)]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def written(path: Path) -> str:
    """The text of the file with its parts written anew; ValueError where it has none for them."""
    text = path.read_text()
    model = path.parent.name if path.name == "config.pbtxt" else path.parents[1].name
    if path.suffix == ".md":
        return _replaced(TABLE, table, text, path)
    text = _replaced(INPUTS, lambda: inputs(model in WITHOUT_REQUIRED), text, path)
    if model == "edit_ensemble":
        text = _replaced(INPUT_MAP, input_map, text, path)
    return text


def files() -> list[Path]:
    """README.md, and the configurations and profiles of all models that take a request."""
    paths = [ROOT / "README.md"]
    for model in (*ENDPOINTS, *WITHOUT_REQUIRED):
        folder = ROOT / "model_repository" / model
        paths += [folder / "config.pbtxt", *sorted(folder.glob("configs/*.pbtxt"))]
    return paths


def main() -> int:
    stale = [path for path in files() if written(path) != path.read_text()]
    for path in stale:
        if "--check" not in sys.argv[1:]:
            path.write_text(written(path))
        print(path.relative_to(ROOT))
    return 1 if stale and "--check" in sys.argv[1:] else 0


def _replaced(part: re.Pattern[str], new: Callable[[], str], text: str, path: Path) -> str:
    text, count = part.subn(lambda _: new(), text)
    if count != 1:
        raise ValueError(f"{path} has {count} places that match {part.pattern!r}; it needs one")
    return text


def _row(field: Field) -> tuple[str, ...]:
    what = field.help if field.in_ensemble else f"{field.help} Not in `edit_ensemble`."
    return (
        f"`{field.name}`",
        f"{field.datatype} [{', '.join(map(str, field.dims))}]",
        _default(field),
        field.check.allowed,
        what,
        _code(field.option or field.column),
        _code(field.parameter) + " (extra)" * field.is_extra,
    )


def _default(field: Field) -> str:
    if field.is_required:
        return "required"
    if field.draw:
        return "random"
    default = field.default.decode() if isinstance(field.default, bytes) else field.default
    if isinstance(default, float):
        default = f"{default:g}"
    return "empty" if default in ("", ()) else f"`{default}`"


def _code(name: str) -> str:
    return f"`{name}`" if name else "–"


if __name__ == "__main__":
    sys.exit(main())
