"""What a request field is: one row of the table in `retouch/api/fields.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retouch.api.checks import Check, refuse


@dataclass(frozen=True)
class Tensor:
    """One tensor of an endpoint: name, Triton's data type, dims without the batch dimension."""

    name: str
    datatype: str  # BYTES, INT32, INT64 or FP32
    dims: tuple[int, ...] = (1,)


@dataclass(frozen=True, kw_only=True)
class Field(Tensor):
    """One input of an edit.

    `type` is that of the value in EditRequest: bytes, str, int, float, or tuple (of bytes).
    `default` is its value where a request leaves it out; one of `is_required` has none, and
    `draw` makes one a request. `is_word` strips a text and lowers its case. `help` is one sentence.

    Who may use it beside the endpoints and the Python client: `in_ensemble` edit_ensemble;
    `option` is its name on the command line and `column` in a batch's list; `parameter` is its name
    in the OpenAI API, which has it from Retouch alone if it `is_extra`. Empty names mean none."""

    type: type = str
    check: Check
    help: str
    default: Any = None
    draw: Callable[[], Any] | None = None
    is_required: bool = False
    is_word: bool = False
    in_ensemble: bool = True
    option: str = ""
    column: str = ""
    parameter: str = ""
    is_extra: bool = False

    @property
    def attribute(self) -> str:
        """The name in EditRequest and in the Python client's options."""
        return self.name.lower()

    @property
    def is_file(self) -> bool:
        """Whether its value is a file's bytes, or several files'."""
        return self.type in (bytes, tuple)

    def new_default(self) -> Any:
        """The value of a request that leaves the field out."""
        return self.draw() if self.draw else self.default

    def parsed(self, value: Any) -> Any:
        """EditRequest's value of a tensor's or a JSON value; RequestError."""
        if self.type is str:
            text = _text(self.name, value)
            return text.strip().lower() if self.is_word else text
        if self.type in (int, float):
            return self.type(value)
        file = value.encode() if isinstance(value, str) else bytes(value)
        return tuple(file.split()) if self.type is tuple else file


def _text(name: str, value: Any) -> str:
    try:
        return value if isinstance(value, str) else bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        refuse(name, "is not valid UTF-8 text")
