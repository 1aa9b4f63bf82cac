"""The OpenAI-compatible server as a process, by sockets: heads, slow and cut requests, the health
page meanwhile."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time

import psutil
import pytest

from fake_doors import FakeDoors
from openai_live import Live, live
from retouch.launcher.server import ServerError
from retouch_clients.openai_api.protocol import HEAD_SLICE, MAX_HEAD_BYTES
from retouch_clients.openai_api.serving import Options, serve_before

BOUND = 0.1  # seconds within which the health page answers
MARGIN = 3  # of a busy machine, on which nothing at all may run for a while
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename=a\r\n\r\n'
JSON = "application/json"
FORM = "multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def server():
    with live() as running:
        yield running


def post(body: bytes, kind: str = JSON, length: int | None = None) -> bytes:
    head = (
        "POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str, *heads: str) -> bytes:
    return "\r\n".join(
        [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *heads, "", ""]
    ).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def read_health(connection: socket.socket) -> float:
    """Seconds until the health page has answered."""
    begin = time.perf_counter()
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while b'{"status":"ok"}' not in answer:
        piece = connection.recv(4096)
        assert piece, "the connection was closed"
        answer += piece
    return time.perf_counter() - begin


def worst_of(server: Live, request: bytes) -> tuple[bytes, float, int]:
    """The answer to a request, the longest that the health page took meanwhile, and the memory that
    was taken."""
    memory = psutil.Process(server.process.pid).memory_info
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(server.exchange(request)))
    before = memory().rss
    worst = 0.0
    peak = 0
    with server.connect() as connection:
        asking.start()
        while asking.is_alive():
            worst = max(worst, read_health(connection))
            peak = max(peak, memory().rss - before)
            time.sleep(0.002)
    asking.join()
    return answers[0], worst, peak


BODIES = {
    "empty images": lambda: post(b'{"images":[' + b'"",' * 5_000_000 + b'""]}'),
    "unknown names": lambda: post(
        b"{" + b",".join(b'"n%d":1' % number for number in range(400_000)) + b"}"
    ),
    "nesting": lambda: post(b"[" * 30_000_000),
    "quotes": lambda: post(b'{"prompt":"' + b'\\"' * 15_000_000 + b'"}'),
    "escaped base64": lambda: post(b'{"prompt":"x","image":"' + b"\\u0041" * 5_000_000 + b'"}'),
    "base64": lambda: post(
        b'{"prompt":"x","image":"' + base64.b64encode(os.urandom(30 << 20)) + b'"}'
    ),
    "a large part": lambda: post(PART + os.urandom(30 << 20) + b"\r\n--b--\r\n", FORM),
    "parts": lambda: post((PART + b"\r\n") * 400_000, FORM),
    "false boundaries": lambda: post(PART + b"\r\n--bX" * 4_000_000, FORM),
    "a large head of a part": lambda: post(
        b"--b\r\nContent-Disposition: " + b"x" * 30_000_000, FORM
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_health_page_answers_while_the_worst_bodies_are_read(server, name):
    """Tried again where something else may have kept the machine."""
    request = BODIES[name]()
    for _ in range(3):
        answer, worst, memory = worst_of(server, request)
        assert status_of(answer) == 400
        if worst < BOUND:
            break
    assert worst < MARGIN * BOUND
    assert memory < 3 * len(request) + (16 << 20)


# -- heads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "X-Long: " + "a" * (MAX_HEAD_BYTES + HEAD_SLICE),
        "\r\n".join(f"X-{number}: 1" for number in range(20_000)),
        "X-Long: " + "a" * (8 << 20),
    ],
    ids=["one line", "many lines", "endless"],
)
def test_heads_that_are_too_large(server, head):
    answer = server.exchange(get("/health", head))
    assert status_of(answer) == 431 and error_of(answer)["code"] == "head_too_large"
    assert (
        status_of(server.exchange(get("/health", "X-Long: " + "a" * (MAX_HEAD_BYTES - 1000))))
        == 200
    )


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n"]
)
def test_what_is_no_http_has_openais_shape(server, data):
    answer = server.exchange(data)
    assert (
        status_of(answer) == 400
        and error_of(answer)["message"] == "This is not a complete HTTP/1.1 request."
    )


def test_slow_heads_and_bodies_are_ended():
    with live(head_seconds=0.2, idle_seconds=0.2) as server:
        answer = server.exchange(b"GET /health HTTP/1.1\r\nHost: loc")
        assert status_of(answer) == 408 and error_of(answer)["code"] == "request_timeout"
        for body, kind in ((b'{"prompt":', JSON), (PART, FORM), (b"", JSON)):
            answer = server.exchange(post(body, kind, length=1000))
            assert status_of(answer) == 408 and error_of(answer)["code"] == "request_timeout"
        with server.connect() as trickle:  # a byte now and then does not count as a new head
            begin = time.monotonic()
            while trickle_byte(trickle) and time.monotonic() < begin + 30:
                time.sleep(0.05)
            assert trickle.recv(4096).startswith(b"HTTP/1.1 408")
        with server.connect() as waiting:  # after a request the connection is kept
            read_health(waiting)
            time.sleep(0.6)
            read_health(waiting)


def trickle_byte(connection: socket.socket) -> bool:
    """Whether one more byte of a head went, and no answer has come."""
    connection.sendall(b"G")
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(30)


@pytest.mark.parametrize(
    "body, kind", [(b'{"prompt":"a"}', JSON), (PART + b"abc", FORM), (b"", JSON)]
)
def test_a_body_that_ends_before_its_length(server, body, kind):
    answer = server.exchange(post(body, kind, length=1000), half_close=True)
    assert status_of(answer) == 400 and "truncated" in error_of(answer)["message"]


def test_a_chunked_body_that_ends_early(server):
    head = post(b"", JSON).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    answer = server.exchange(head + b"ff\r\n{", half_close=True)
    assert status_of(answer) == 400 and "truncated" in error_of(answer)["message"]


def test_idle_connections_are_kept_and_clients_told(server):
    answer = server.exchange(get("/health"))
    assert b"\r\nkeep-alive: timeout=75\r\n" in answer.lower()
    with server.connect() as connection:
        read_health(connection)
        time.sleep(6)  # uvicorn's own limit is 5 s
        read_health(connection)


# -- names and addresses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost", 200),
        ("localhost:8080", 200),
        ("127.0.0.1:1", 200),
        ("127.8.8.8", 200),
        ("[::1]:80", 200),
        ("LOCALHOST.", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ],
)
def test_a_foreign_host_is_refused(server, host, status):
    for path in ("/v1/models", "/health"):
        request = get(path).replace(b"Host: localhost", f"Host: {host}".encode())
        answer = server.exchange(request)
        assert status_of(answer) == status, answer
    if status == 403:
        assert error_of(answer)["code"] == "host_not_allowed"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_beyond_loopback_there_must_be_a_key(monkeypatch, address):
    for keys in ("", " , "):
        monkeypatch.setenv("RETOUCH_API_KEYS", keys)
        with pytest.raises(ServerError, match="RETOUCH_API_KEYS") as failure:
            serve_before(FakeDoors(), Options(port=0, host=address))
    assert "\n" not in str(failure.value)


def test_beyond_loopback(monkeypatch):
    monkeypatch.setenv("RETOUCH_API_KEYS", "secret")
    with live(host="0.0.0.0", allowed_hosts=("edit.example",)) as server:
        assert "/health" in server.notice and "key" in server.notice
        for host, status in (
            ("edit.example", 401),
            ("EDIT.example:443", 401),
            ("127.0.0.1", 401),
            ("evil.example", 403),
        ):
            request = get("/v1/models").replace(b"Host: localhost", f"Host: {host}".encode())
            assert status_of(server.exchange(request)) == status
        assert status_of(server.exchange(get("/v1/models", "Authorization: Bearer secret"))) == 200
