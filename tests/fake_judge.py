"""A judge on loopback that answers, fails, stalls or babbles as a test says."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], "Reply | str"]


class Reply:
    """A status with a body and headers. `stall` keeps the connection open for these seconds first;
    `raw` is sent as it is."""

    def __init__(
        self,
        status: int = 200,
        text: str | None = "",
        headers: dict[str, str] | None = None,
        stall: float = 0.0,
        raw: bytes | None = None,
    ):
        self.status = status
        self.text = text
        self.headers = headers or {}
        self.stall = stall
        self.raw = raw

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.status >= 400:
            return json.dumps({"error": {"message": self.text}}).encode()
        choice = {"message": {"role": "assistant", "content": self.text}}
        return json.dumps({"model": "served-1", "choices": [choice]}).encode()


class FakeJudge:
    """Answers each request by `answer`. `requests` are the bodies and `keys` the keys it got."""

    def __init__(self, answer: Answer):
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.sent = 0  # answers
        self.closing = threading.Event()
        lock = threading.Lock()
        judge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    judge.requests.append(body)
                    judge.keys.append(self.headers["Authorization"])
                    judge.paths.append(self.path)
                    reply = judge.answer(body)
                if isinstance(reply, str):
                    reply = Reply(text=reply)
                if reply.stall:
                    judge.closing.wait(reply.stall)
                content = reply.body()
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                    judge.sent += 1
                except OSError:
                    pass  # the client has given up

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FakeJudge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def text_of(body: dict[str, Any]) -> str:
    """All text of a request."""
    parts = body["messages"][0]["content"]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def pictures_of(body: dict[str, Any]) -> list[str]:
    """The data URLs of a request."""
    parts = body["messages"][0]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
