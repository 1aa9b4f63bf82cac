"""Settings and records of files, checked by a table: every key has a kind, a range, a default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Code = Literal[
    "NOT_READABLE",  # no such file, or no JSON or TOML
    "UNKNOWN_FIELD",
    "MISSING_FIELD",
    "WRONG_TYPE",
    "OUT_OF_RANGE",
    "DUPLICATE",  # two records for one thing
    "OTHER_EVALUATOR",  # thresholds of scores that this evaluator does not give
    "BOUNDS_DO_NOT_FOLLOW",  # a number that its counts contradict
]
LARGEST = 1e300  # a number that is not finite lies outside
KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a table",
    list: "a list",
}


class SettingError(ValueError):
    """A file that cannot be used. `str()` is one sentence without the file's path; `field` is a key
    such as `retry.tries`, empty where the whole file is wrong."""

    def __init__(self, code: Code, field: str, message: str):
        super().__init__(message)
        self.code: Code = code
        self.field = field


@dataclass(frozen=True)
class Key:
    """One key: the type of its value, what it may be, and its default; None is no default.

    `low` and `high` bound numbers, both included. `choices` and `pattern` bound texts, of which
    `allowed` says in words what the pattern takes."""

    type: type
    default: Any = None
    low: float = -LARGEST
    high: float = LARGEST
    choices: tuple[str, ...] = ()
    pattern: str = ""
    allowed: str = ""

    def checked(self, value: Any, field: str) -> Any:
        """The value in its own type; SettingError."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = is_number if self.type is float else type(value) is self.type
        if not fits:
            text = f"{field} must be {KINDS[self.type]}, not {_shown(value)}"
            raise SettingError("WRONG_TYPE", field, text)
        if not self._is_in_range(value):
            text = f"{field} is {_shown(value)}; it must be {self._range()}"
            raise SettingError("OUT_OF_RANGE", field, text)
        return self.type(value)

    def _is_in_range(self, value: Any) -> bool:
        if self.type in (int, float):
            return self.low <= value <= self.high  # false for NaN
        if self.choices:
            return value in self.choices
        return not self.pattern or bool(re.fullmatch(self.pattern, value))

    def _range(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.pattern:
            return self.allowed
        if self.high == LARGEST:
            return "a finite number" if self.low == -LARGEST else f"{self.low:g} or more"
        return f"from {self.low:g} to {self.high:g}"


Table = Mapping[str, Key]


def read_table(table: Table, record: Any, name: str = "") -> dict[str, Any]:
    """The values of `record` by the keys of the table, with its defaults. `name` is put before the
    keys in errors. SettingError for what the table does not allow."""
    if not isinstance(record, dict):
        raise SettingError("WRONG_TYPE", name, f"{name or 'the file'} must be a table")
    prefix = f"{name}." if name else ""
    for key in record:
        if key not in table:
            field = f"{prefix}{key if re.fullmatch('[A-Za-z0-9_-]{1,40}', key) else _shown(key)}"
            text = f"{field} is unknown; allowed are {', '.join(table)}"
            raise SettingError("UNKNOWN_FIELD", field, text)
    return {key: _value(rule, record, key, prefix) for key, rule in table.items()}


def _value(rule: Key, record: Mapping[str, Any], key: str, prefix: str) -> Any:
    if key in record:
        return rule.checked(record[key], f"{prefix}{key}")
    if rule.default is None:
        raise SettingError("MISSING_FIELD", f"{prefix}{key}", f"{prefix}{key} is missing")
    return rule.default


def _shown(value: Any) -> str:
    """A value as a person reads it in a sentence, at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
