"""The file of thresholds: versioned JSON whose bounds are computed again from its counts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retouch.quality.schema import Key, SettingError, read_table
from retouch.quality.thresholds.thresholds import (
    ClassThresholds,
    FalseAlarms,
    Recall,
    Thresholds,
    duplicates,
)

FORMAT = 1
LARGEST_FILE = 4 << 20  # bytes
TOLERANCE = 1e-9  # between a bound of the file and the same computed here

NAME = r"\*|[A-Za-z0-9][A-Za-z0-9_+ -]{0,63}"
NAMES = "* or at most 64 letters, digits, _, +, - and spaces"
FILE = {
    "format": Key(int, low=FORMAT, high=FORMAT),
    "evaluator": Key(str, pattern=r"\S.{0,99}", allowed="1 to 100 characters"),
    "date": Key(str, pattern=r"\d{4}-\d\d-\d\d", allowed="a date such as 2026-11-30"),
    "data_sha256": Key(str, pattern="[0-9a-f]{64}", allowed="64 hexadecimal digits"),
    "confidence": Key(float, low=0.5, high=0.9999),
    "classes": Key(list),
}
CLASS = {
    "lane": Key(str, pattern=NAME, allowed=NAMES),
    "operation": Key(str, pattern=NAME, allowed=NAMES),
    "reject_below": Key(float, low=0, high=1),
    "accept_from": Key(float, low=0, high=1),
    "recall": Key(dict),
    "false_alarms": Key(dict),
}
COUNTS = {"n": Key(int, low=0, high=10**9), "k": Key(int, low=0, high=10**9)}
RECALL = COUNTS | {"low": Key(float, low=0, high=1), "certified": Key(bool)}
FALSE_ALARMS = COUNTS | {"high": Key(float, low=0, high=1), "certified": Key(bool)}


def read_thresholds(path: Path, evaluator: str) -> Thresholds:
    """The thresholds of a file for this version of the evaluator; SettingError."""
    return parse_thresholds(_text(path), evaluator)


def parse_thresholds(text: str, evaluator: str) -> Thresholds:
    """The same of the file's text. SettingError for another evaluator's file, for fields that are
    unknown, missing or out of range, and for bounds that do not follow from the counts."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise SettingError("NOT_READABLE", "", "the thresholds are no JSON") from failure
    values = read_table(FILE, record)
    if values["evaluator"] != evaluator:
        raise SettingError(
            "OTHER_EVALUATOR",
            "evaluator",
            f"the thresholds are of evaluator {values['evaluator']}, and this is {evaluator}; "
            "certify thresholds for it",
        )
    classes = tuple(
        _class(entry, f"classes[{index}]", values["confidence"])
        for index, entry in enumerate(values["classes"])
    )
    for index in duplicates(classes):
        raise SettingError(
            "DUPLICATE",
            f"classes[{index}]",
            f"classes[{index}] has the lane and operation of an earlier class",
        )
    return Thresholds(
        evaluator, values["date"], values["data_sha256"], classes, values["confidence"]
    )


def to_text(thresholds: Thresholds) -> str:
    """The file's text."""
    record = {
        "format": FORMAT,
        "evaluator": thresholds.evaluator,
        "date": thresholds.date,
        "data_sha256": thresholds.data_sha256,
        "confidence": thresholds.confidence,
        "classes": [_record(entry) for entry in thresholds.classes],
    }
    return f"{json.dumps(record, indent=1)}\n"


def write_thresholds(thresholds: Thresholds, path: Path) -> None:
    """Write the file; a reader meets the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(to_text(thresholds))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        text = data.decode("utf-8")
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        message = f"the thresholds cannot be read: {reason}"
        raise SettingError("NOT_READABLE", "", message) from None
    except UnicodeDecodeError:
        raise SettingError("NOT_READABLE", "", "the thresholds are no UTF-8 text") from None
    if len(data) > LARGEST_FILE:
        message = f"the thresholds are larger than {LARGEST_FILE} bytes"
        raise SettingError("NOT_READABLE", "", message)
    return text


def _class(record: Any, name: str, confidence: float) -> ClassThresholds:
    values = read_table(CLASS, record, name)
    if values["accept_from"] < values["reject_below"]:
        raise SettingError(
            "OUT_OF_RANGE",
            f"{name}.accept_from",
            f"{name}.accept_from is {values['accept_from']}; "
            f"it must be {values['reject_below']} (reject_below) or more",
        )
    recall = _counted(RECALL, values["recall"], f"{name}.recall")
    alarms = _counted(FALSE_ALARMS, values["false_alarms"], f"{name}.false_alarms")
    entry = ClassThresholds(
        values["lane"],
        values["operation"],
        values["reject_below"],
        values["accept_from"],
        Recall(recall["n"], recall["k"], confidence),
        FalseAlarms(alarms["n"], alarms["k"], confidence),
    )
    _compare(recall["low"], entry.recall.low, f"{name}.recall.low")
    _compare(recall["certified"], entry.recall.is_certified, f"{name}.recall.certified")
    _compare(alarms["high"], entry.false_alarms.high, f"{name}.false_alarms.high")
    _compare(alarms["certified"], entry.false_alarms.is_certified, f"{name}.false_alarms.certified")
    return entry


def _counted(table: dict[str, Key], record: Any, name: str) -> dict[str, Any]:
    values = read_table(table, record, name)
    if values["k"] > values["n"]:
        text = f"{name}.k is {values['k']}; it must be {values['n']} (n) or less"
        raise SettingError("OUT_OF_RANGE", f"{name}.k", text)
    return values


def _compare(value: float, computed: float, field: str) -> None:
    if abs(value - computed) > TOLERANCE:
        text = f"{field} is {value}; its counts give {computed}"
        raise SettingError("BOUNDS_DO_NOT_FOLLOW", field, text)


def _record(entry: ClassThresholds) -> dict[str, Any]:
    record = asdict(entry)
    for name in ("recall", "false_alarms"):
        del record[name]["confidence"]
        record[name]["certified"] = getattr(entry, name).is_certified
    return record
