"""The page's password, which a browser asks for (HTTP Basic)."""

from __future__ import annotations

import base64
import binascii
import hmac
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from retouch.launcher.server import ServerError
from retouch.util import env

ENVIRONMENT = env.WEB_PASSWORD.name
SHORTEST = 8
LONGEST = 1024  # characters
ASK = {"WWW-Authenticate": 'Basic realm="Retouch", charset="UTF-8"'}
SENTENCE = "This page asks for its password; the user name may be anything."


class PasswordCheck:
    """An app for requests that have the password; the user name may be anything."""

    def __init__(self, app: ASGIApp, password: str):
        self._app = app
        self._password = password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._matches(Headers(scope=scope).get("authorization", "")):
            return await self._app(scope, receive, send)
        await PlainTextResponse(SENTENCE, 401, ASK)(scope, receive, send)

    def _matches(self, header: str) -> bool:
        """Whether a header holds the password. How long it takes tells nothing of it."""
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            password = base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._password)


def password_from(file: Path | None) -> str:
    """The first line of `file`, or what the environment has, or "" for none. ServerError when it
    cannot be one."""
    if file is None:
        place = ENVIRONMENT
        password = env.WEB_PASSWORD.get()
        if not password:
            return ""
    else:
        place = "the password file"
        password = _first_line(file)
    if not SHORTEST <= len(password) <= LONGEST:
        raise ServerError(
            f"{place} holds a password of {len(password)} characters; {SHORTEST} to {LONGEST} are allowed"
        )
    return password


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return lines.readline(LONGEST + 2).rstrip("\r\n")
    except UnicodeDecodeError:
        raise ServerError("the password file is no UTF-8 text") from None
    except OSError as failure:
        raise ServerError(f"the password file cannot be read ({failure.strerror})") from None
