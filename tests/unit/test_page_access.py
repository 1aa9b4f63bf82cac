"""Who may reach the page: names, origins, the password, heads and bodies; by sockets before no
server at all."""

from __future__ import annotations

import base64
import contextlib
import socket

import pytest
from click.testing import CliRunner

from retouch.launcher.server import ServerError
from retouch_clients.commands.web import web
from retouch_clients.openai_api import limits, protocol
from retouch_clients.openai_api.limits import MAX_BODY_BYTES
from retouch_clients.openai_api.protocol import HEAD_SLICE, MAX_HEAD_BYTES
from retouch_clients.web.password import ENVIRONMENT, LONGEST, password_from
from retouch_clients.web.serving import Options, served

NOBODY = "127.0.0.1:1"
PASSWORD = "a långt pässword: 1"
JOIN = "/gradio_api/queue/join"
PATHS = ("/", "/config", "/theme.css", "/gradio_api/info", "/gradio_api/startup-events", "/nothing")
FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


@pytest.fixture(scope="module")
def page():
    """The port of a page that asks for no password."""
    with served(NOBODY, Options(port=0)) as url:
        yield int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def public():
    """The port of a page that others may reach."""
    options = Options(port=0, host="0.0.0.0", allowed_hosts=("edit.example",), password=PASSWORD)
    with served(NOBODY, options) as url:
        yield int(url.rpartition(":")[2])


def ask(
    port: int,
    path: str = "/",
    *heads: str,
    host: str = "localhost",
    method: str = "GET",
    body: bytes = b"",
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *heads, "", ""]
    return exchange(port, "\r\n".join(lines).encode() + body)


def exchange(port: int, data: bytes) -> bytes:
    """What is answered to `data`, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                answer += piece
        return answer


def post(port: int, path: str, kind: str, body: bytes, length: int) -> bytes:
    return ask(
        port, path, f"Content-Type: {kind}", f"Content-Length: {length}", method="POST", body=body
    )


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def basic(password: str, user: str = "me") -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# -- names and origins -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost", 200),
        ("localhost:7860", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("LOCALHOST.", 200),
        ("evil.example", 403),
        ("evil.example:7860", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ],
)
def test_a_foreign_host_is_refused(page, host, status):
    """A web page that gives its own name this address (DNS rebinding) sends its own name as
    Host."""
    for path in ("/", "/config", "/gradio_api/heartbeat/x") if status == 403 else ("/", "/config"):
        assert status_of(ask(page, path, host=host)) == status


@pytest.mark.parametrize(
    "origin, status",
    [
        ("http://localhost:7860", 200),
        ("http://127.0.0.1", 200),
        ("http://[::1]:7860", 200),
        ("http://evil.example", 403),
        ("https://localhost.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("file://", 403),
    ],
)
def test_requests_of_foreign_pages_are_refused(page, origin, status):
    assert status_of(ask(page, "/config", f"Origin: {origin}")) == status
    if status == 403:
        upload = ask(
            page,
            "/gradio_api/upload",
            f"Origin: {origin}",
            f"Content-Type: {FORM}",
            "Content-Length: 0",
            method="POST",
        )
        assert status_of(upload) == 403


# -- the password ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_beyond_loopback_there_must_be_a_password(host, monkeypatch):
    for password in ("", None):
        monkeypatch.delenv(ENVIRONMENT, raising=False)
        with (
            pytest.raises(ServerError, match=ENVIRONMENT),
            served(NOBODY, Options(port=0, host=host, password=password)),
        ):
            pass
    outcome = CliRunner().invoke(web, ["--host", host, "--port", "0"])
    assert isinstance(outcome.exception, ServerError) and "--password-file" in str(
        outcome.exception
    )
    assert "\n" not in str(outcome.exception)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_asks_for_the_password(public, path):
    for heads in (
        [],
        [basic("wrong")],
        [basic("")],
        [basic(PASSWORD + "x")],
        ["Authorization: Basic !"],
        [f"Authorization: Bearer {PASSWORD}".encode().decode("latin-1")],
    ):
        answer = ask(public, path, *heads)
        assert (
            status_of(answer) == 401
            and b'www-authenticate: basic realm="retouch"' in answer.lower()
        )
    assert status_of(ask(public, path, basic(PASSWORD, user="anybody"))) == (
        404 if path == "/nothing" else 200
    )


def test_beyond_loopback_the_host_is_checked_too(public):
    for host, status in (
        ("edit.example", 200),
        ("EDIT.example:443", 200),
        ("127.0.0.1", 200),
        ("evil.example", 403),
    ):
        assert status_of(ask(public, "/", basic(PASSWORD), host=host)) == status
    for origin, status in (("https://edit.example", 200), ("https://evil.example", 403)):
        assert status_of(ask(public, "/config", basic(PASSWORD), f"Origin: {origin}")) == status


def test_a_password_comes_from_a_file_or_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert password_from(None) == ""
    monkeypatch.setenv(ENVIRONMENT, "from the environment")
    assert password_from(None) == "from the environment"
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nanother line\n", encoding="utf-8")
    assert password_from(file) == PASSWORD


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "0 characters"),
        (b"short\n", "5 characters; 8 to"),
        (b"x" * (LONGEST + 9), "characters; 8 to"),
        (b"\xff\xfe\n", "not UTF-8 text"),
    ],
)
def test_what_is_no_password_is_refused(tmp_path, content, sentence):
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(ServerError, match=sentence) as failure:
        password_from(tmp_path / "password")
    assert str(tmp_path) not in str(failure.value)


def test_a_password_file_that_cannot_be_read(tmp_path, monkeypatch):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ServerError, match="cannot be read"):
            password_from(path)
    monkeypatch.setenv(ENVIRONMENT, "short")
    with pytest.raises(ServerError, match=f"{ENVIRONMENT} has a password of 5"):
        password_from(None)


# -- heads and bodies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    ["X-Long: " + "a" * (MAX_HEAD_BYTES + HEAD_SLICE), "Cookie: " + "a" * (8 << 20)],
    ids=["long", "endless"],
)
def test_heads_that_are_too_large(page, head):
    assert status_of(ask(page, "/config", head)) == 431
    assert status_of(ask(page, "/config", "X-Long: " + "a" * (MAX_HEAD_BYTES - 1000))) == 200


def test_slow_heads_and_bodies_are_ended(page, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.5)
    assert status_of(exchange(page, b"GET / HTTP/1.1\r\nHost: loc")) == 408
    for path, kind, body in (
        (JOIN, "application/json", b'{"data":'),
        ("/gradio_api/upload", FORM, PART + b"abc"),
        (JOIN, "application/json", b""),
    ):
        answer = post(page, path, kind, body, 1000)
        assert status_of(answer) == 408 and b"too slowly" in answer


def test_bodies_that_are_too_large(page):
    for path, kind in ((JOIN, "application/json"), ("/gradio_api/upload", FORM)):
        answer = post(page, path, kind, b"", MAX_BODY_BYTES + 1)
        assert status_of(answer) == 413 and str(MAX_BODY_BYTES).encode() in answer
    pieces = (
        b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20)) * ((MAX_BODY_BYTES >> 20) + 1)
    )  # without a length before it
    answer = ask(
        page,
        JOIN,
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        method="POST",
        body=pieces + b"0\r\n\r\n",
    )
    assert status_of(answer) == 413


def test_an_open_stream_is_no_slow_body(page, monkeypatch):
    """A tab's heartbeat stays open as long as the tab."""
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", page), 60) as connection:
        connection.sendall(b"GET /gradio_api/heartbeat/tab HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while piece := connection.recv(1 << 16):
                assert b"HTTP/1.1" not in piece
            pytest.fail("the stream has ended")


def test_a_port_that_is_taken_is_told(page):
    with (
        pytest.raises(ServerError, match=f"port {page} of 127.0.0.1 is in use"),
        served(NOBODY, Options(port=page)),
    ):
        pass
