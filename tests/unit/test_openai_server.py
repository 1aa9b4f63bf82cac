"""The OpenAI-compatible server as benchmarks start it: what does not get ready is told, and ended
with its children."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from benchmarks import openai_server as module
from benchmarks.openai_server import openai_server
from retouch.launcher.server import ServerError


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Puts a shell script in the server's place."""
    program = tmp_path / "program"

    def script(text):
        program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setattr(module, "sys", SimpleNamespace(executable=str(program)))

    return script


def test_its_url_and_its_end(says, tmp_path):
    says(
        f"sleep 60 & echo $! > {tmp_path}/child; echo complaint >&2; echo ready: "
        "http://127.0.0.1:5/v1; wait"
    )
    with openai_server("127.0.0.1:1", tmp_path / "log") as url:
        assert url == "http://127.0.0.1:5/v1"
        both = [psutil.Process(int((tmp_path / name).read_text())) for name in ("pid", "child")]
    assert psutil.wait_procs(both, timeout=20)[1] == []
    assert (tmp_path / "log").read_text() == "complaint\n"


@pytest.mark.parametrize("text", ["sleep 60", "exit 1", "echo something else; sleep 60"])
def test_what_does_not_get_ready_is_one_sentence(says, tmp_path, monkeypatch, text):
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    says(text)
    raised = pytest.raises(ServerError, match="did not start; its log is log")
    with raised, openai_server("127.0.0.1:1", tmp_path / "log"):
        pass
