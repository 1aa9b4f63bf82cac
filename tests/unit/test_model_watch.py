"""A server whose model has gone is ended: its guard asks the repository index, here of a server
that is none."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import uuid

import pytest

from processes import until
from retouch.launcher.model_watch import ModelWatch
from retouch.launcher.paths import ROOT

HOST = "127.0.0.1"
NAMES = ["edit", "vl_parser"]


@contextlib.contextmanager
def index():
    """The port of an HTTP server, the states that it tells those who send the secret `s`, and what
    it has told."""
    states = dict.fromkeys(NAMES, "READY")
    answers = []

    class Index(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            good = self.path == "/v2/repository/index" and self.headers["retouch-secret"] == "s"
            models = [{"name": name, "state": state} for name, state in states.items()]
            body = json.dumps(models).encode() if good else b"{}"
            self.send_response(200 if good else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            answers.append(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, states, answers
        server.shutdown()


@pytest.mark.parametrize(
    "change",
    [
        lambda states: states.update(edit="UNAVAILABLE"),
        lambda states: states.pop("vl_parser"),
        lambda states: states.clear(),
    ],
)
def test_a_model_that_goes_is_noticed(change):
    with index() as (port, states, _):
        watch = ModelWatch(HOST, port, "s", NAMES, every=0.05)
        until(lambda: watch.ready, "it never was ready")
        assert watch.gone == []
        change(states)
        until(lambda: watch.gone, "it is not noticed")


def test_models_that_are_still_loading_and_answers_that_cannot_be_read_end_nothing():
    with index() as (port, states, _):
        states["edit"] = "LOADING"
        watch, stranger = (
            ModelWatch(HOST, port, secret, NAMES, every=0.02) for secret in ("s", "wrong")
        )
        states["edit"] = "READY"
        until(lambda: watch.ready, "it never was ready")
        assert not stranger.ready and stranger.gone == watch.gone == []
        watch.stop()
        stranger.stop()


def test_the_guard_ends_such_a_server():
    with index() as (port, states, answers):
        duties = {"host": HOST, "http": port, "secret": "s", "models": NAMES, "remove": []}
        guard = subprocess.Popen(
            [
                sys.executable,
                "-S",
                "-m",
                "retouch.launcher.supervisor",
                f"retouch_test_{uuid.uuid4().hex}_",
                "sh",
                "-c",
                "sleep 100",
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RETOUCH_GUARD": json.dumps(duties)},
        )
        until(lambda: len(answers) > 1, "the guard does not ask")
        assert guard.poll() is None, "all is well"
        states["edit"] = "UNAVAILABLE"
        errors = guard.stderr.read()  # with our end of its standard input open
        guard.stdin.close()
        guard.stderr.close()
    assert "edit can no longer be used; the server is stopped" in errors and guard.wait(30) != 0
