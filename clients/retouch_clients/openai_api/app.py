"""The app: routes, middleware and error handlers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import Message

from retouch.api.errors import RequestError
from retouch.api.version import VERSION
from retouch_clients.feedback.metrics import FeedbackMetrics
from retouch_clients.feedback.service import FeedbackService
from retouch_clients.feedback.settings import Settings
from retouch_clients.openai_api import docs, edits, feedback, models, schema
from retouch_clients.openai_api.api_keys import OWNER, Keys
from retouch_clients.openai_api.edit_job import Client
from retouch_clients.openai_api.errors import LEFT, ApiError, ClientLeft, absent
from retouch_clients.openai_api.failures import refusal
from retouch_clients.openai_api.hosts import HostCheck
from retouch_clients.openai_api.lanes import ALIASES
from retouch_clients.openai_api.limits import MAX_BODY_BYTES, BodyLimit
from retouch_clients.openai_api.load import Load
from retouch_clients.openai_api.metrics import Metrics, MetricsMiddleware
from retouch_clients.openai_api.paths import PathNormalizer
from retouch_clients.openai_api.request_id import RequestId

VALIDATION = "Validation Error"  # FastAPI's own 422, which never occurs
CODES = {400: "invalid_body", 404: "unknown_url", 405: "method_not_allowed"}


class Health(BaseModel):
    status: str = "ok"


def create_app(
    client: Client,
    keys: Keys = Keys(),
    max_body: int = MAX_BODY_BYTES,
    aliases: Sequence[str] = ALIASES,
    lenient: bool = False,
    cors: Sequence[str] = (),
    hosts: Sequence[str] | None = None,
    feedback_settings: Settings | None = None,
) -> FastAPI:
    """The app in front of `client`, which it closes at the end.

    `aliases` are names of the default model. `cors` are origins whose pages may read responses.
    `hosts` are accepted names in Host besides loopback names; None accepts any. Without
    `feedback_settings`, no answer is recorded and feedback is refused. The start of the app raises
    ValueError for a store's address that is none."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _warm(app)
        if feedback_settings:
            app.state.feedback = FeedbackService(feedback_settings, feedback_metrics)
        yield
        if app.state.feedback:
            await asyncio.to_thread(app.state.feedback.close)
        await client.close()

    def authorized(
        request: Request,
        credentials: Annotated[
            HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
        ],
    ) -> None:
        keys.check(credentials)
        request.scope[OWNER] = keys.owner_of(credentials)

    # FastAPI's documentation pages load scripts from the internet
    app = FastAPI(
        title="Retouch",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.client = client
    app.state.metrics = Metrics()
    app.state.since = int(time.time())
    app.state.aliases = tuple(aliases)
    app.state.lenient = lenient
    app.state.load = Load()
    app.state.feedback = None  # while the app is running, a service where it takes feedback
    feedback_metrics = FeedbackMetrics(app.state.metrics.registry) if feedback_settings else None
    for router in (edits.router, models.router, feedback.router):
        app.include_router(router, dependencies=[Depends(authorized)])
    _add_monitoring(app)
    docs.add(app)
    _add_error_handlers(app)
    app.openapi = lambda: _document(app)
    app.add_middleware(BodyLimit, limit=max_body)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    if cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    if hosts is not None:
        app.add_middleware(HostCheck, allowed=hosts)
    app.add_middleware(PathNormalizer)
    app.add_middleware(RequestId)
    return app


async def _warm(app: FastAPI) -> None:
    """Send a first request, in which FastAPI builds its routes. That takes 0.1 s."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [],
        "client": None,
        "server": None,
    }

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pass

    await app(scope, receive, send)


def _add_monitoring(app: FastAPI) -> None:
    """Routes for operators, without a key."""

    @app.get("/health", summary="Whether this server is running")
    async def health() -> Health:
        return Health()

    @app.get(
        "/ready", summary="Whether the server accepts edits", responses=schema.errors(403, 503)
    )
    async def ready() -> Health:
        if not await app.state.client.ready():
            raise absent()
        return Health()

    @app.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={
            200: {
                "content": {CONTENT_TYPE_LATEST.partition(";")[0]: {"schema": {"type": "string"}}}
            }
        },
    )
    async def metrics() -> Response:
        return Response(
            generate_latest(app.state.metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    @app.exception_handler(RequestError)
    async def refused(request: Request, failure: ApiError | RequestError) -> Response:
        app.state.load.note(failure)
        return (await refusal(failure, app.state.client)).response()

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, failure: HTTPException) -> Response:
        """Errors of routing and of the form parser."""
        route = f"{request.method} {request.url.path[:128]}"
        status = failure.status_code
        messages = {404: f"There is no {route}.", 405: f"{route} is not allowed."}
        message = messages.get(status, str(failure.detail))
        code = CODES.get(status, "invalid_request")
        return ApiError(status, message, code, headers=failure.headers).response()

    @app.exception_handler(ClientLeft)
    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, failure: Exception) -> Response:
        if isinstance(failure, ClientLeft):
            app.state.metrics.cancelled.inc()
        return Response(status_code=LEFT)


def _document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's OpenAPI document with the stream's events, without errors that never occur."""
    if not app.openapi_schema:
        document = get_openapi(
            title=app.title, version=app.version, routes=app.routes, description=edits.__doc__
        )
        for path in document["paths"].values():
            for operation in path.values():
                if operation["responses"].get("422", {}).get("description") == VALIDATION:
                    del operation["responses"]["422"]
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for event in schema.EVENTS.values():
            described = event.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= described.pop("$defs", {}) | {event.__name__: described}
        app.openapi_schema = document
    return app.openapi_schema
