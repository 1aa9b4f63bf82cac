"""torch.compile inside Triton's stub process."""

from __future__ import annotations

import locale


def prepare() -> None:
    """Set the locale that PyTorch's compiler needs; call it before the first compilation.

    The compiler reads its files in the locale's encoding, which is ASCII in a stub. In an ordinary
    Python nothing changes."""
    if locale.nl_langinfo(locale.CODESET) != "UTF-8":
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
