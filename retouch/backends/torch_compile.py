"""torch.compile inside Triton's stub, which is no ordinary Python."""

from __future__ import annotations

import locale


def prepare() -> None:
    """Call it before the first compilation; it changes nothing in an ordinary Python.

    PyTorch's compiler reads files of its own as text of the locale, which a stub leaves at C:
    ASCII."""
    if locale.nl_langinfo(locale.CODESET) != "UTF-8":
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
