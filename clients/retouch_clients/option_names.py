"""Errors in the names that a command has for the fields of a request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from retouch.api.errors import RequestError
from retouch.api.fields import FIELDS

OPTION_OF = {field.name: field.option for field in FIELDS if field.option}


def with_options(failure: RequestError, has_mask: bool) -> RequestError:
    """The error with options in place of fields' names."""
    names = OPTION_OF | {"REGION": "--mask"} if has_mask else OPTION_OF
    return RequestError(
        failure.renamed(names),
        failure.code,
        field=failure.field,
        retry_after=failure.retry_after,
        examples=failure.examples,
    )


@contextlib.contextmanager
def option_names(has_mask: Any = False) -> Iterator[None]:
    """RequestErrors inside name options in place of fields."""
    try:
        yield
    except RequestError as failure:
        raise with_options(failure, bool(has_mask)) from None
