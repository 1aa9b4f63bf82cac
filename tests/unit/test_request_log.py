"""Log lines name their request, and models' lines reach Triton's logger at their level."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
import types

import pytest

from retouch.util import request_log
from retouch.util.request_log import REQUEST_ID, RequestFormatter, add_handler, request_id


def record(level=logging.ERROR, text="it %s", *arguments):
    return logging.LogRecord("retouch.x", level, "x.py", 1, text, arguments, None)


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.setFormatter(RequestFormatter())
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def handlers():
    """The packages' handlers and levels are put back."""
    loggers = [logging.getLogger(name) for name in request_log.PACKAGES]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, kept, level in before:
        logger.handlers[:] = kept
        logger.setLevel(level)


def test_a_line_names_its_request():
    line = RequestFormatter()
    assert line.format(record(text="it broke")) == "it broke"
    with request_id("a1"):
        assert line.format(record(text="it broke")) == "[request id: a1] it broke"
        with request_id(""):
            assert REQUEST_ID.get() == "a1", "no name of its own"
        assert RequestFormatter(has_level=True).format(
            record(logging.WARNING, "it %s", "broke")
        ) == ("warning: [request id: a1] it broke")
    assert REQUEST_ID.get() == ""


def test_threads_and_tasks_have_requests_of_their_own():
    with request_id("a1"):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(REQUEST_ID.get()))
        thread.start()
        thread.join()
    assert seen == [""]

    async def task(name):
        with request_id(name):
            await asyncio.sleep(0)
            return REQUEST_ID.get()

    async def both():
        return await asyncio.gather(task("a1"), task("b2"))

    assert asyncio.run(both()) == ["a1", "b2"]


def test_a_traceback_follows_its_message(handlers):
    kept = Kept()
    add_handler(kept)
    with request_id("a1"):
        try:
            raise OSError("lost")
        except OSError:
            logging.getLogger("retouch.engine.engine").exception("an edit failed")
    (line,) = kept.lines
    assert line.startswith("[request id: a1] an edit failed\nTraceback")
    assert line.endswith("OSError: lost")


def test_a_handler_takes_the_place_of_another_of_its_class(handlers):
    add_handler(Kept())
    kept = Kept()
    add_handler(kept)
    logging.getLogger("retouch_clients.openai_api.metrics").error("a request failed")
    assert kept.lines == ["a request failed"]
    for name in request_log.PACKAGES:
        assert [type(each) for each in logging.getLogger(name).handlers].count(Kept) == 1


@pytest.fixture
def triton(monkeypatch, handlers):
    """(level, line) of what reaches Triton's logger, and the module that brings it there."""
    lines = []
    names = ("log_error", "log_warn", "log_info", "log_verbose")
    logger = types.SimpleNamespace(
        **{name: lambda line, name=name: lines.append((name, line)) for name in names}
    )
    fake = types.ModuleType("triton_python_backend_utils")
    fake.Logger = logger
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake)
    monkeypatch.delitem(sys.modules, "retouch.serving.triton.logging", raising=False)
    yield lines, importlib.import_module("retouch.serving.triton.logging")
    sys.modules.pop("retouch.serving.triton.logging", None)


def test_models_log_to_triton(triton):
    lines, module = triton
    module.log_to_triton()
    module.log_to_triton()
    log = logging.getLogger("retouch.serving.triton.responses")
    with request_id("a1"):
        log.error("an edit failed")
    log.warning("it is slow")
    log.info("it is there")
    log.debug("nobody asks")
    assert lines == [
        ("log_error", "[request id: a1] an edit failed"),
        ("log_warn", "it is slow"),
        ("log_info", "it is there"),
    ]


def test_levels_are_the_nearest_of_tritons(triton):
    lines, module = triton
    handler = module.TritonHandler()
    for level in (logging.CRITICAL, logging.ERROR, 35, logging.WARNING, logging.INFO, 15, 5):
        handler.emit(record(level, "x"))
    assert [name for name, _ in lines] == [
        "log_error",
        "log_error",
        "log_warn",
        "log_warn",
        "log_info",
        "log_verbose",
        "log_verbose",
    ]
