"""Prometheus metrics of this server."""

from __future__ import annotations

import logging
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
log = logging.getLogger(__name__)


class Metrics:
    """The metrics, in a registry of their own, as a process may have several apps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "retouch_openai_requests",
            "Finished requests; status 499 if the client had disconnected",
            ("route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "retouch_openai_seconds",
            "Seconds from a request's header to its last byte",
            ("route",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self.in_flight = Gauge(
            "retouch_openai_in_flight", "Requests in progress", registry=self.registry
        )
        self.cancelled = Counter(
            "retouch_openai_cancelled",
            "Edits whose client disconnected before the result",
            registry=self.registry,
        )
        self.stream_errors = Counter(
            "retouch_openai_stream_errors",
            "Streams that ended with an error event",
            registry=self.registry,
        )


class MetricsMiddleware:
    """Middleware: counts requests, and answers unexpected exceptions with 500.

    The exception itself is only logged."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = 0
        begin = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, send_and_note)
            except Exception:
                log.exception("a request failed")
                if status:  # the response has begun; raising closes the connection
                    raise
                failure = ApiError(500, "The server failed; see its log.", "internal_error")
                await failure.response()(scope, receive, send_and_note)
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(time.perf_counter() - begin)
