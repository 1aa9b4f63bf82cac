"""What an edit may be asked for beside its sentence, as options: the same for every command that
edits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from retouch.api.request import MAX_INSTRUCTION, MAX_REFERENCES, PRECISIONS, parse_format


class Text(click.ParamType):
    """What a request can hold: bytes that are not UTF-8 reach a command as half characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("it is not text in UTF-8", param, ctx)
        return value


class Sentence(Text):
    """What is to change; a blank one is a wrong call."""

    name = "sentence"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not super().convert(value, param, ctx).strip():
            self.fail(
                f"it is blank; say in 1 to {MAX_INSTRUCTION} characters what should change",
                param,
                ctx,
            )
        return value


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TEXT = Text()
SENTENCE = Sentence()
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}  # by format

OPTIONS = (
    click.option(
        "--seed",
        type=int,
        help="The same seed gives the same image.  [default: another for each edit, told]",
    ),
    click.option("--steps", type=int, default=0, help="0: the model's default."),
    click.option("--guidance", type=float, default=0.0, help="0: the model's default."),
    click.option(
        "--precision",
        type=TEXT,
        default="auto",
        show_default=True,
        help=f"{', '.join(PRECISIONS)}, or a lane with an adapter, as bf16-sketch.",
    ),
    click.option("--region", type=TEXT, default="auto", show_default=True, help="auto or full."),
    click.option("--mask", type=FILE, help="White = may change."),
    click.option(
        "--negative",
        type=TEXT,
        default="",
        help="What the result should not be; counts with --true-cfg above 1.",
    ),
    click.option("--true-cfg", type=float, default=0.0, help="0: the model's default; 1: none."),
    click.option(
        "--reference",
        "references",
        type=FILE,
        multiple=True,
        help=f"A further image that the sentence speaks of; up to {MAX_REFERENCES} times.",
    ),
    click.option(
        "--format",
        type=TEXT,
        help="png, jpeg, webp or `jpeg;quality=90`; with `;first_frame`, of an animated image the first.  "
        "[default: by the name of the result, or png]",
    ),
    click.option(
        "--deadline-ms",
        type=int,
        default=0,
        help="The server gives up after so many milliseconds; 0: never.",
    ),
    click.option("--priority", type=int, default=0, help="1: before others."),
    click.option(
        "--step-cache",
        type=float,
        default=0.0,
        help="Reuse a step's result while it changes by less; 0: never, 1 at most.",
    ),
)
FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite results of the same name.")
TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Give an edit up after so long, all tries together.",
)


def knobs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with all OPTIONS, which `asked` makes the request's fields of."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def asked(options: dict[str, Any]) -> dict[str, Any]:
    """EditRequest's fields by the values of OPTIONS, without a seed and a format where none is
    given; files stay paths until they are `read`."""
    fields = {
        name: value
        for name, value in options.items()
        if name not in ("seed", "format") or value is not None
    }
    mask = fields.pop("mask")
    region = fields["region"]
    return fields | {"region": mask or region.encode()}


def read(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the files' bytes in place of their paths."""

    def bytes_of(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return tuple(map(bytes_of, value))
        return value.read_bytes() if isinstance(value, Path) else value

    return {name: bytes_of(value) for name, value in fields.items()}


def suffix_of(format_: str) -> str:
    """A file name's end by a FORMAT; RequestError."""
    return SUFFIXES[parse_format(format_).name]
