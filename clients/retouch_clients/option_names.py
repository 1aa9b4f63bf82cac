"""Errors in the words of the one who typed the command: options in place of tensors' names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from retouch.api.errors import RequestError
from retouch.api.request import INPUTS
from retouch_clients.edit_options import knobs

ARGUMENTS = ("IMAGE", "INSTRUCTION")  # the command line calls them so as well
TENSOR = re.compile(r"[A-Z][A-Z_]*")


def _options() -> dict[str, str]:
    """What is typed, by tensor: by the table of options, or the tensor's own name for those beside
    it."""
    command = knobs(lambda: None)
    typed = {parameter.name: parameter.opts[0] for parameter in command.__click_params__}
    names = (tensor.name for tensor in INPUTS if tensor.name not in ARGUMENTS)
    return {name: typed.get(name.lower(), f"--{name.lower().replace('_', '-')}") for name in names}


OPTION_OF = _options()


def reworded(message: str, has_mask: bool) -> str:
    """The message with the option for the tensor that it begins with."""
    found = TENSOR.match(message)
    name = found[0] if found else ""
    option = "--mask" if name == "REGION" and has_mask else OPTION_OF.get(name, name)
    return option + message[len(name) :]


@contextlib.contextmanager
def users_words(has_mask: Any = False) -> Iterator[None]:
    """A RequestError inside speaks of what the user typed."""
    try:
        yield
    except RequestError as failure:
        message = reworded(str(failure), bool(has_mask))
        raise RequestError(message, failure.code, retry_after=failure.retry_after) from None
