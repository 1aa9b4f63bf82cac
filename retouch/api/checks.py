"""Checks of a request's values. A check is called with a field's name and its value, and raises
RequestError; `allowed` states its limits for tables and help texts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from retouch.api.errors import RequestError
from retouch.api.lanes import PRECISIONS, is_adapted

QUOTED = 32  # characters of a wrong value that an error repeats
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)


class Check(Protocol):
    @property
    def allowed(self) -> str: ...

    def __call__(self, name: str, value: Any) -> None: ...


def refuse(name: str, problem: str) -> NoReturn:
    """Raise RequestError about the field `name`: its name, then the problem and what is allowed."""
    raise RequestError(f"{name} {problem}", field=name)


@dataclass(frozen=True)
class Range:
    """A finite number from `low` to `high`. `note` explains a value in errors, as "0 is none"."""

    low: int
    high: float
    note: str = ""

    @property
    def allowed(self) -> str:
        if self.high >= 2**31 - 1:
            return f"{self.low} or more"
        return f"{self.low} to {self.high:g}"

    def __call__(self, name: str, value: float, part: str = "") -> None:
        """`part` names a number inside the field's value."""
        if self.low <= value <= self.high:  # false for nan
            return
        high = self.high if isinstance(self.high, int) else f"{self.high:g}"
        finite = "" if math.isfinite(value) else "a finite number "
        note = f" ({self.note})" if self.note else ""
        subject = f"{part} is" if part else "is"
        refuse(name, f"{subject} {value}; it must be {finite}from {self.low} to {high}{note}")


@dataclass(frozen=True)
class Text:
    """A text of at most `characters`; a blank one only where it `may_be_blank`."""

    characters: int
    may_be_blank: bool = False

    @property
    def allowed(self) -> str:
        blank = "" if self.may_be_blank else ", not blank"
        return f"at most {self.characters:,} characters{blank}"

    def __call__(self, name: str, value: str) -> None:
        if not self.may_be_blank and not value.strip():
            refuse(name, f"is blank; send a sentence of 1 to {self.characters} characters")
        if len(value) > self.characters:
            refuse(name, f"has {len(value)} characters; at most {self.characters} are allowed")


@dataclass(frozen=True)
class File:
    """An encoded file or its base64 text. It is checked further where it is decoded."""

    allowed: str
    remedy: str  # for an empty one

    def __call__(self, name: str, value: bytes) -> None:
        if not value:
            refuse(name, f"is empty; {self.remedy}")


@dataclass(frozen=True)
class Files:
    """At most `count` files of `bytes` together. They are checked further where they are
    decoded."""

    count: int
    bytes: int

    @property
    def allowed(self) -> str:
        return f"up to {self.count} images"

    def __call__(self, name: str, value: tuple[bytes, ...]) -> None:
        if len(value) > self.count:
            problem = f"holds {len(value)} images beside the edited one"
            refuse(name, f"{problem}; at most {self.count} are allowed")
        total = sum(map(len, value))
        if total > self.bytes:
            refuse(name, f"has {total} bytes in all; at most {self.bytes} are allowed")


@dataclass(frozen=True)
class OneOf:
    """One of a few `names`."""

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return one_of(self.names)

    def __call__(self, name: str, value: str) -> None:
        if value not in self.names:
            refuse(name, f"{quoted(value)} is unknown; it must be {one_of(self.names)}")


@dataclass(frozen=True)
class AnswerSize:
    """`auto`, or WIDTHxHEIGHT in pixels."""

    allowed: str = "auto or WIDTHxHEIGHT, as 1024x768"

    def __call__(self, name: str, value: str) -> None:
        if value != "auto" and not SIZE.fullmatch(value):
            refuse(name, f"{quoted(value)} is no size; it must be {self.allowed}")


@dataclass(frozen=True)
class LaneOrPolicy:
    """A policy, a lane, or a lane with an adapter."""

    @property
    def allowed(self) -> str:
        return f"{one_of(PRECISIONS)}; a lane may name an adapter, as bf16-sketch"

    def __call__(self, name: str, value: str) -> None:
        if value not in PRECISIONS and not is_adapted(value):
            refuse(
                name,
                f"{quoted(value)} is unknown; it must be {one_of(PRECISIONS)}, "
                "or one of the last three with an adapter's name, as bf16-sketch",
            )


def quoted(text: str) -> str:
    """A wrong value for an error: in quotation marks, and cut where it is long."""
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 3] + "...")


def one_of(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
