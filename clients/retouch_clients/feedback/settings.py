"""Where feedback is kept, as the options of the servers say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from retouch.util import env, extras

KINDS = "a SQLite file or postgresql://USER:PASSWORD@HOST/DATABASE"


@dataclass(frozen=True)
class Settings:
    """`store` is a file or a URL. `image_hours`: how long images are kept; 0 keeps none."""

    store: str
    image_hours: float = 0.0

    @classmethod
    def of(cls, store: str | None, image_hours: float) -> Settings | None:
        """The settings of these options; None without a store. click.UsageError, and
        MissingExtraError without the driver of a database."""
        if not store:
            if image_hours:
                raise click.UsageError("--feedback-images needs --feedback")
            return None
        check_store(store)
        return cls(store, image_hours)


def check_store(store: str) -> None:
    """click.UsageError for an address of a store that is none."""
    from retouch_clients.feedback.database import url_of

    try:
        url = url_of(store)
    except ValueError as failure:
        raise click.UsageError(str(failure)) from None
    if url.drivername != "sqlite":
        extras.check("postgres")


def feedback_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `--feedback` and `--feedback-images` to a server's command."""
    store = click.option(
        "--feedback",
        envvar=env.FEEDBACK.name,
        metavar="STORE",
        help=f"Take feedback on answers, and keep it there: {KINDS}.  [default: no feedback]",
    )
    images = click.option(
        "--feedback-images",
        type=click.FloatRange(0),
        default=0.0,
        metavar="HOURS",
        help="Keep the images of every answer for so long.  [default: none are kept]",
    )
    return store(images(command))
