"""Alternative spellings of paths: a trailing slash, or no /v1."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

SHORT = ("/images/", "/models", "/feedback")


class PathNormalizer:
    """Middleware: /v1/images/edits/ and /images/edits become /v1/images/edits."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = plain(scope["path"])
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


def plain(path: str) -> str:
    """The path with /v1 and without a trailing slash."""
    path = path.rstrip("/") or "/"
    return f"/v1{path}" if path.startswith(SHORT) else path
