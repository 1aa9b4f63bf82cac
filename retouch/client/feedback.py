"""Feedback on an answer, sent to the OpenAI-compatible server (`retouch openai --feedback`)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, Literal

from retouch.api.errors import Code, RequestError

URL = "http://127.0.0.1:8080/v1"
SECONDS = 30.0
CODES: dict[int, Code] = {429: "UNAVAILABLE", 503: "UNAVAILABLE", 500: "INTERNAL"}


def send_feedback(
    request_id: str,
    *,
    thumb: Literal["up", "down"] | None = None,
    score: float | None = None,
    reason: str = "",
    index: int = 0,
    idempotency_key: str = "",
    url: str = URL,
    api_key: str = "",
) -> dict[str, Any]:
    """Rate the answer with this request id (`x-request-id`, INFO's `request_id`), and return what
    the server has stored.

    Send either a thumb or a score from 0 (bad) to 1 (good). The same feedback may be sent again:
    it is stored once. RequestError says why feedback was refused, and whether to send it again
    (UNAVAILABLE, after `retry_after`)."""
    values = {
        "request_id": request_id,
        "index": index,
        "score": score,
        "thumb": thumb,
        "reason": reason,
        "idempotency_key": idempotency_key,
    }
    body = json.dumps({name: value for name, value in values.items() if value is not None})
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    address = f"{url.rstrip('/').removesuffix('/v1')}/v1/feedback"
    request = urllib.request.Request(address, body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as failure:
        raise _refusal(failure) from None
    except (OSError, ValueError) as failure:
        message = f"no server answers at {url}: {failure}"
        raise RequestError(message, "UNAVAILABLE") from None


def _refusal(failure: urllib.error.HTTPError) -> RequestError:
    """The server's own sentence; the status where another server answers."""
    try:
        message = json.loads(failure.read())["error"]["message"]
    except (OSError, ValueError, KeyError, TypeError):
        message = f"the server at {failure.url} answers with status {failure.code}"
    pause = failure.headers.get("Retry-After", "")
    code = CODES.get(failure.code, "INVALID_ARGUMENT")
    return RequestError(message, code, retry_after=float(pause) if pause.isdigit() else None)
