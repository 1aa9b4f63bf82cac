"""The page's password, by HTTP Basic authentication."""

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
CHALLENGE = {"WWW-Authenticate": 'Basic realm="Retouch", charset="UTF-8"'}
MESSAGE = "This page requires a password; any user name is accepted."


class PasswordCheck:
    """Middleware: rejects requests without the password with 401. Any user name is accepted."""

    def __init__(self, app: ASGIApp, password: str):
        self._app = app
        self._password = password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._matches(Headers(scope=scope).get("authorization", "")):
            return await self._app(scope, receive, send)
        await PlainTextResponse(MESSAGE, 401, CHALLENGE)(scope, receive, send)

    def _matches(self, header: str) -> bool:
        """Whether an Authorization header has the password, compared in constant time."""
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            password = base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._password)


def password_from(file: Path | None) -> str:
    """The first line of `file`, or of the environment variable, or "" for none.

    ServerError if the file is unreadable or the password has a length that is not allowed."""
    if file is None:
        source = ENVIRONMENT
        password = env.WEB_PASSWORD.get()
        if not password:
            return ""
    else:
        source = "the password file"
        password = _first_line(file)
    if not SHORTEST <= len(password) <= LONGEST:
        raise ServerError(
            f"{source} has a password of {len(password)} characters; "
            f"{SHORTEST} to {LONGEST} are allowed"
        )
    return password


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return lines.readline(LONGEST + 2).rstrip("\r\n")
    except UnicodeDecodeError:
        raise ServerError("the password file is not UTF-8 text") from None
    except OSError as failure:
        raise ServerError(f"the password file cannot be read ({failure.strerror})") from None
