"""The settings of an evaluation, and their checks before anything is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from retouch.api.errors import RequestError
from retouch.api.fields import BY_NAME
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.judge import Judge
from retouch_clients.evaluation.suites import Suite
from retouch_clients.option_names import OPTION_OF

JSON = "evaluation.json"  # the figures, in the folder of the results


@dataclass(frozen=True)
class Settings:
    """The options of the command. `options` are EditRequest's attributes that all edits share."""

    suite: str
    data: Path
    out: Path
    lane: str
    options: Mapping[str, Any]
    seed: int = 0
    repeats: int = 3
    limit: int | None = None
    sides: Sequence[str] = ()
    judge: Judge | None = None
    judge_workers: int = 4
    workers: int = 4
    url: str | None = None
    http: bool = False
    timeout: float | None = None
    force: bool = False

    @property
    def lanes(self) -> list[str]:
        """The lanes that edits are made in; the other sides are folders."""
        if not self.sides:
            return [self.lane]
        return [name for name in self.sides if not Path(name).is_dir()]


def check_folders(settings: Settings, suite: Suite) -> None:
    """click.UsageError where results would lie among data, or among another suite's results."""
    out, data = settings.out.resolve(), settings.data.resolve()
    if out == data or out in data.parents:
        raise click.UsageError(
            f"--out {settings.out} holds the data; choose another folder for the results"
        )
    try:
        earlier = json.loads((out / JSON).read_text())["suite"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if earlier != suite.title:
        raise click.UsageError(f"--out {settings.out} is that of {earlier}; choose another folder")


def check_options(settings: Settings) -> None:
    """RequestError for a value that no edit could have, in the names of the options."""
    option = "--pairwise" if settings.sides else "--lane"
    names = OPTION_OF | {"PRECISION": option}
    lanes = [("precision", lane) for lane in settings.lanes]
    for name, value in (*settings.options.items(), *lanes):
        field = BY_NAME[name.upper()]
        try:
            field.check(field.name, value)
        except RequestError as failure:
            text = failure.renamed(names)
            if settings.sides and name == "precision":
                text += ", or the folder of a method's results"
            raise RequestError(text, failure.code, field=failure.field) from None


def facts(settings: Settings, items: Sequence[Item], count: int) -> dict[str, str]:
    """What the report says of the edits: items of all `count`, lane, seeds, and other options."""
    last = settings.seed + settings.repeats - 1
    seeds = str(settings.seed) if last == settings.seed else f"{settings.seed} to {last}"
    of_all = f"{len(items)} of {count}" if len(items) < count else str(count)
    own = {
        name: str(value.decode() if isinstance(value, bytes) else value)
        for name, value in settings.options.items()
        if value != BY_NAME[name.upper()].default
    }
    lane = {} if settings.sides else {"lane": settings.lane}
    return {"items": of_all, **lane, "seeds": seeds, **own}
