"""Errors in the names that a command has for the fields of a request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from retouch.api.errors import RequestError
from retouch.api.request import INPUTS
from retouch_clients.edit_options import knobs

ARGUMENTS = ("IMAGE", "INSTRUCTION")  # the command line uses the same names


def _options() -> dict[str, str]:
    """The option by tensor name. Tensors without an option in the table use their own name."""
    command = knobs(lambda: None)
    typed = {parameter.name: parameter.opts[0] for parameter in command.__click_params__}
    names = (tensor.name for tensor in INPUTS if tensor.name not in ARGUMENTS)
    return {name: typed.get(name.lower(), f"--{name.lower().replace('_', '-')}") for name in names}


OPTION_OF = _options()


def with_options(failure: RequestError, has_mask: bool) -> RequestError:
    """The error with options in place of fields' names."""
    names = OPTION_OF | {"REGION": "--mask"} if has_mask else OPTION_OF
    return RequestError(
        failure.renamed(names), failure.code, field=failure.field, retry_after=failure.retry_after
    )


@contextlib.contextmanager
def option_names(has_mask: Any = False) -> Iterator[None]:
    """RequestErrors inside name options in place of fields."""
    try:
        yield
    except RequestError as failure:
        raise with_options(failure, bool(has_mask)) from None
