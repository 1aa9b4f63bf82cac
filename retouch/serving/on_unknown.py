"""ON_UNKNOWN: what becomes of an edit whose instruction is not understood."""

from __future__ import annotations

from retouch.api.errors import RequestError
from retouch.api.response import EditInfo, Hint

REFUSE = "refuse"
TRY = "try"


def apply(on_unknown: str, info: EditInfo) -> None:
    """RequestError where the policy refuses the edit that `info` describes. Its hint stays as a
    warning, unless the policy is to try the edit as it is."""
    if info.understood is not False:
        return
    hint = info.hint or Hint("INSTRUCTION is not understood; say it in other words")
    if on_unknown == REFUSE:
        raise RequestError(
            hint.message,
            "INSTRUCTION_NOT_UNDERSTOOD",
            field="INSTRUCTION",
            examples=hint.examples,
        )
    info.hint = None if on_unknown == TRY else hint
