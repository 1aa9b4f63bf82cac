"""A judge behind an OpenAI-compatible chat-completions endpoint."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import click

from retouch.util import env
from retouch_clients.cli.exit_codes import Exit
from retouch_clients.evaluation.pictures import for_judge
from retouch_clients.evaluation.question import Question

ROUTE = "/chat/completions"
MAX_TOKENS = 2048
MAX_BODY = 4 * 2**20  # bytes of an answer that are read
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504, 529)
DENIED = (401, 403, 404)  # no other question would fare better
LONGEST_PAUSE = 60.0  # seconds
QUOTE = 300  # characters of the endpoint's own message


class JudgeError(click.ClickException):
    """A judge of which no answer can be had. The message says what to do."""

    exit_code = Exit.UNAVAILABLE


class Unanswered(Exception):
    """A question without an answer after all attempts. Asking later may help."""


class Refused(Exception):
    """A question that the endpoint refuses, as a content filter does."""


@dataclass(frozen=True)
class Reply:
    """The text of an answer, the model that the endpoint names, and the attempts it took."""

    text: str
    model: str
    attempts: int


@dataclass
class Judge:
    """Asks the model `model` at `url`: the base of the API (…/v1) or its whole route.

    Temperature 0 and a seed, as far as the endpoint heeds them. A call is tried `attempts` times,
    each at most `timeout` seconds long; pauses begin at `pause` seconds and double."""

    url: str
    model: str
    key: str = ""
    seed: int = 0
    timeout: float = 120.0
    attempts: int = 5
    pause: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)  # ends pauses and attempts

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(
                f"--judge {self.url}: it must be http://… or https://…, as https://HOST/v1"
            )
        base = self.url.rstrip("/")
        self.url = base if base.endswith(ROUTE) else base + ROUTE
        self._opener = urllib.request.build_opener(_NoRedirect)

    @property
    def host(self) -> str:
        """The endpoint without a user's name or password."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def ask(self, question: Question) -> Reply:
        """The answer's text, as it is; Unanswered, Refused, JudgeError, PictureError."""
        body = json.dumps(self._payload(question)).encode()
        reason = ""
        for attempt in range(1, self.attempts + 1):
            if self.stop.is_set():
                break
            try:
                content = self._post(body)
                return Reply(*_message(content, self.model), attempt)
            except urllib.error.HTTPError as failure:
                reason, wait = self._status(failure)
            except (OSError, http.client.HTTPException, ValueError) as failure:
                reason, wait = _reason(failure), 0.0
            if attempt < self.attempts:
                pause = max(self.pause * 2 ** (attempt - 1), wait)
                self.stop.wait(min(pause, LONGEST_PAUSE))
        raise Unanswered(reason or "stopped")

    def _payload(self, question: Question) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"type": "text", "text": question.prompt()}]
        for picture in question.pictures:
            content = base64.b64encode(for_judge(picture.path, picture.like)).decode()
            url = {"url": f"data:image/jpeg;base64,{content}", "detail": "high"}
            parts += [{"type": "text", "text": picture.label}, {"type": "image_url"}]
            parts[-1]["image_url"] = url
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": parts}],
            "temperature": 0,
            "seed": self.seed,
            "max_tokens": MAX_TOKENS,
        }

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url, body, headers)
        end = time.monotonic() + self.timeout
        with self._opener.open(request, timeout=self.timeout) as response:
            return _read(response, end)

    def _status(self, failure: urllib.error.HTTPError) -> tuple[str, float]:
        """The reason of a status that is worth another attempt, and the seconds that the endpoint
        asks for; Refused or JudgeError for the others."""
        with failure:
            text = _quoted(failure)
        reason = f"status {failure.code}{f': {text}' if text else ''}"
        if failure.code in RETRIED or failure.code >= 500:
            return reason, _seconds(failure.headers.get("Retry-After"))
        if failure.code in DENIED:
            hint = {
                401: f"check {env.JUDGE_KEY.name}",
                403: f"check {env.JUDGE_KEY.name} and its rights",
                404: "check --judge, which must end in /v1 or its like, and --judge-model",
            }[failure.code]
            raise JudgeError(f"the judge at {self.host} answers with {reason}; {hint}")
        raise Refused(reason)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _read(response: http.client.HTTPResponse, end: float) -> bytes:
    """The body; TimeoutError where it comes too slowly, ValueError where it is too long."""
    chunks, size = [], 0
    while chunk := response.read1(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise ValueError(f"the answer has more than {MAX_BODY} bytes")
        if time.monotonic() > end:
            raise TimeoutError("timed out")
    return b"".join(chunks)


def _message(content: bytes, model: str) -> tuple[str, str]:
    """The text and the model of a completion; ValueError for another body. A message without text,
    as a filter leaves it, is an empty text."""
    try:
        body = json.loads(content)
        text = body["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise ValueError("the endpoint's answer is no chat completion") from None
    return text if isinstance(text, str) else "", str(body.get("model") or model)


def _reason(failure: Exception) -> str:
    cause = getattr(failure, "reason", failure)
    return "no answer in time" if isinstance(cause, TimeoutError) else str(cause)


def _quoted(failure: urllib.error.HTTPError) -> str:
    """The start of the endpoint's own message."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        text = failure.read(65536).decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = str(json.loads(text)["error"]["message"])
        return " ".join(text.split())[:QUOTE]
    return ""


def _seconds(text: str | None) -> float:
    """Retry-After as seconds; 0 for a date or none."""
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, float(text or 0))
    return 0.0
