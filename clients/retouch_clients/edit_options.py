"""The options of every command that edits, by the table of request fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from retouch.api.answer_format import parse_format
from retouch.api.field import Field
from retouch.api.fields import FIELDS
from retouch.api.limits import MAX_INSTRUCTION


class Text(click.ParamType):
    """UTF-8 text. Other bytes reach a command as surrogates, which a request cannot hold."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("it is not text in UTF-8", param, ctx)
        return value


class Sentence(Text):
    """An instruction; a blank one is a usage error."""

    name = "sentence"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not super().convert(value, param, ctx).strip():
            self.fail(
                f"it is blank; send a sentence of 1 to {MAX_INSTRUCTION} characters",
                param,
                ctx,
            )
        return value


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TEXT = Text()
SENTENCE = Sentence()
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}  # by format
DEFAULTS = {  # of options that have no value where they are left out, as help shows them
    "SEED": "random",
    "FORMAT": "by the name of the result, or png",
}
OWN_DEFAULTS = {"ON_UNKNOWN": "refuse"}  # other than the request's
Option = Callable[[Callable[..., Any]], Callable[..., Any]]

TYPES = {
    int: int,
    float: float,
    str: TEXT,
    bytes: TEXT,
    tuple: FILE,
}  # of options, by fields' types


def option(field: Field, default: Any = None) -> Option:
    """The command line's option of a field, with its own `default`, or the table's if that is
    None."""
    value = field.default if default is None else default
    value = value.decode() if isinstance(value, bytes) else value
    if field.name in DEFAULTS:
        value = None
        shown = DEFAULTS[field.name]
    else:
        shown = value not in ("", 0, ())
    help = field.help
    if field.type is tuple:
        help += " Repeat the option for more."
    if field.type is not bytes:  # a mask has an option of its own
        help += f"  [{field.check.allowed}]"
    return click.option(
        field.option,
        field.attribute,
        type=TYPES[field.type],
        multiple=field.type is tuple,
        default=value,
        show_default=shown,
        help=help,
    )


def options() -> list[Option]:
    """Those of every command that edits, in the table's order; a mask's file stands beside
    REGION."""
    shared = []
    for field in FIELDS:
        if field.option and field.column:
            shared.append(option(field, OWN_DEFAULTS.get(field.name)))
        if field.name == "REGION":
            mask_help = "A mask of the image's size: white may change."
            shared.append(click.option("--mask", type=FILE, help=mask_help))
    return shared


WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Number of concurrent edits.",
)
FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite results of the same name.")
TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Give an edit up after this time, all attempts together.",
)


def out_folder(content: str) -> Option:
    """The option of the folder that a command writes, by what it is for."""
    return click.option(
        "-o",
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        help=f"The folder for {content}. It is created if missing.",
    )


def edit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with all `options`, whose values `request_options` takes."""
    for decorate in reversed(options()):
        command = decorate(command)
    return command


def request_options(values: dict[str, Any]) -> dict[str, Any]:
    """EditRequest's attributes by the values of `options`, without a seed and a format where the
    command has none. Files stay paths until `read_files` reads them."""
    attributes = {
        name: value
        for name, value in values.items()
        if name.upper() not in DEFAULTS or value is not None
    }
    mask = attributes.pop("mask")
    region = attributes["region"]
    return attributes | {"region": mask or region.encode()}


def read_files(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes with files' bytes in place of their paths; OSError."""

    def bytes_of(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return tuple(map(bytes_of, value))
        return value.read_bytes() if isinstance(value, Path) else value

    return {name: bytes_of(value) for name, value in attributes.items()}


def suffix_of(format_: str) -> str:
    """The suffix of a file name by a FORMAT; RequestError."""
    return SUFFIXES[parse_format(format_).name]
