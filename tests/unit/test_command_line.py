"""The commands without a server: help, exit codes, options, completion."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from pictures import file_of, scene

from clients.command import retouch
from clients.exits import Exit
from clients.knobs import asked, format_of, read, suffix_of
from retouch.answer import EditAnswer, EditInfo, Operation
from retouch.client import Retouch
from retouch.server import ROOT, ServerError, free_port
from retouch.types import RequestError


def invoke(*arguments, **options):
    return CliRunner().invoke(retouch, [str(each) for each in arguments], **options)


@pytest.fixture
def photo_file(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(file_of(scene()))
    return path


@pytest.fixture
def editing(monkeypatch):
    """What the client does with an edit: the test says it, and finds what was asked."""
    class Editing:
        asked = []

        def does(self, act):
            def edit(client, image, instruction, **fields):
                told = {"image": image, "instruction": instruction, "url": client.url, "timeout": client.timeout}
                self.asked.append(fields | told)
                if isinstance(act, BaseException):
                    raise act
                yield act

            monkeypatch.setattr(Retouch, "edit", edit)
            return self

    return Editing()


FINAL = EditAnswer(b"an edited file", (3, 3), EditInfo("final", 5, "bf16", "asked for by name", 3))


@pytest.mark.parametrize("command", retouch.commands)
def test_every_command_explains_itself(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0 and "Usage" in result.output and retouch.commands[command].get_short_help_str()


def test_the_help_tells_the_exit_codes():
    told = invoke("edit", "--help").output
    assert all(f"  {code.value}  " in told for code in Exit)


@pytest.mark.parametrize("failure, code", [
    (RequestError("STEPS is -1", "INVALID_ARGUMENT"), 3), (RequestError("busy", "UNAVAILABLE"), 4),
    (RequestError("late", "DEADLINE_EXCEEDED"), 4), (RequestError("odd", "INTERNAL"), 1), (ServerError("no start"), 1),
    (KeyboardInterrupt(), 130)])
def test_a_failure_has_its_exit_code_and_one_line(editing, photo_file, tmp_path, failure, code):
    editing.does(failure)
    result = invoke("edit", photo_file, "make it blue", "-o", tmp_path / "out.png", "--url", "127.0.0.1:1")
    assert result.exit_code == code and result.stderr.count("\n") == 1
    assert (str(failure) or "stopped") in result.stderr and not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("arguments", [
    ("edit",), ("edit", "nowhere.png", "x"), ("nothing",), ("batch", "-o", "out"), ("bench", "--count", "0"),
    ("bench", "--concurrency", "1,x"), ("completion", "cmd"), ("edit", "--timeout", "0"),
    *((command, f"--{port}", number) for number in ("70000", "-1") for command, port in (
        ("openai", "port"), ("web", "port"), ("serve", "http-port"), ("serve", "grpc-port"), ("serve", "metrics-port"),
        ("monitor", "port"), ("monitor", "grafana-port")))])
def test_a_wrong_call_is_told_as_such(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2 and "Error: " in result.stderr


def test_bad_input_is_refused_before_there_is_a_server(photo_file):
    result = invoke("edit", photo_file, "make it blue", "--steps", 99, "--url", "127.0.0.1:1")
    assert result.exit_code == 3 and "STEPS is 99; it must be from 0 to 50" in result.stderr
    result = invoke("edit", photo_file, "make it blue", "--url", "somewhere")
    assert result.exit_code == 3 and "must be host:port" in result.stderr


def test_no_server_is_told_with_the_next_step(photo_file):
    for command in (("edit", photo_file, "x"), ("bench", "--count", 1)):
        result = invoke(*command, "--url", f"127.0.0.1:{free_port()}")
        assert result.exit_code == 4 and "start one with `retouch serve`" in result.stderr


def test_all_knobs_reach_the_request(editing, photo_file, tmp_path):
    editing.does(FINAL)
    other = tmp_path / "other.png"
    other.write_bytes(b"another photo")
    result = invoke(
        "edit", photo_file, "make it blue", "-o", tmp_path / "out.jpg", "--url", "127.0.0.1:1", "--seed", 7,
        "--steps", 9, "--guidance", 2.5, "--previews", 0, "--precision", "fp8", "--mask", other, "--negative", "rain",
        "--true-cfg", 4,
        "--reference", other, "--reference", photo_file, "--deadline-ms", 900, "--priority", 1,
        "--step-cache", 0.1, "--timeout", 5)
    assert result.exit_code == 0, result.output
    photo = photo_file.read_bytes()
    assert editing.asked == [{
        "image": photo, "instruction": "make it blue", "url": "127.0.0.1:1", "timeout": 5.0, "seed": 7, "steps": 9,
        "guidance": 2.5,
        "previews": 0, "precision": "fp8", "region": b"another photo", "negative": "rain", "true_cfg": 4.0,
        "references": (b"another photo", photo), "format": "jpeg", "deadline_ms": 900,
        "priority": 1, "step_cache": 0.1}]
    assert (tmp_path / "out.jpg").read_bytes() == b"an edited file"


def test_json_is_all_that_standard_output_has(editing, photo_file, tmp_path):
    editing.does(FINAL)
    result = invoke("edit", photo_file, "make it blue", "-o", tmp_path / "out.png", "--json", "--url", "127.0.0.1:1")
    assert EditInfo.from_json(result.stdout) == FINAL.info and len(json.loads(result.stdout)) > 5
    assert "wrote" in result.stderr


def test_a_result_that_cannot_be_written_is_told(editing, photo_file, tmp_path):
    editing.does(FINAL)
    (tmp_path / "file").write_text("")
    result = invoke("edit", photo_file, "make it blue", "-o", tmp_path / "file" / "out.png", "--url", "127.0.0.1:1")
    assert result.exit_code == 1 and "Traceback" not in result.output and "out.png" in result.stderr


def test_what_others_wrote_is_no_markup(editing, photo_file, tmp_path):
    """Nor is a name a person gave: rich takes what stands in square brackets for colours."""
    operation = Operation("recolour", "[red]circle[/red]", "[/blue]")
    info = dataclasses.replace(FINAL.info, operations=[operation], lane_reason="[bold]as asked[/]")
    editing.does(dataclasses.replace(FINAL, info=info))
    result = invoke("edit", photo_file, "x", "-o", tmp_path / "out[draft].png", "--url", "127.0.0.1:1")
    assert result.exit_code == 0, result.output
    for words in ("out[draft].png", "recolour [red]circle[/red] [/blue]", "[bold]as asked[/]"):
        assert words in result.stdout


def test_the_demos_sentence_is_no_markup(editing, photo_file, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def server(log):
        yield SimpleNamespace(grpc=1)

    monkeypatch.setattr("clients.demo.Server", server)
    editing.does(dataclasses.replace(FINAL, image=photo_file.read_bytes()))
    result = invoke("demo", "--image", photo_file, "--instruction", "make it [/red]", "--out", tmp_path / "out[1]")
    assert result.exit_code == 0, result.output
    assert "“make it [/red]”" in result.stdout and "out[1]" in result.stdout


def test_a_name_says_the_format():
    names = {"a.JPG": "jpeg", "a.jpeg": "jpeg", "a.webp": "webp", "a.png": "png", "a": "png"}
    assert {name: format_of(Path(name)) for name in names} == names
    assert [suffix_of(each) for each in ("jpeg;quality=80", "webp", "png")] == [".jpg", ".webp", ".png"]


def test_a_seed_and_a_format_are_left_out_unless_they_are_given(tmp_path):
    (tmp_path / "mask").write_bytes(b"white")
    options = {"seed": None, "mask": None, "region": "full", "format": None}
    assert asked(options) == {"region": b"full"}
    given = options | {"seed": 0, "mask": tmp_path / "mask", "format": "webp"}
    assert read(asked(given)) == {"seed": 0, "region": b"white", "format": "webp"}


@pytest.mark.parametrize("arguments", [
    ("PHOTO", "x\udcff"), ("PHOTO", "x", "--negative", "\udcff"), ("PHOTO", "x", "--region", "\udcff"),
    ("PHOTO", "x", "--precision", "\udcff"), ("PHOTO", "x", "--format", "\udcff")])
def test_bytes_that_are_no_text_are_told(photo_file, arguments):
    """Python has what is not UTF-8 as halves of characters."""
    result = invoke("edit", *(photo_file if each == "PHOTO" else each for each in arguments), "--url", "127.0.0.1:1")
    assert result.exit_code == 2 and "it is not text in UTF-8" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(shell):
    result = invoke("completion", shell)
    assert result.exit_code == 0 and "_RETOUCH_COMPLETE" in result.stdout
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=result.stdout, text=True).returncode == 0


def test_what_a_shell_is_told():
    env = {**os.environ, "_RETOUCH_COMPLETE": "bash_complete", "COMP_WORDS": "retouch ba", "COMP_CWORD": "1"}
    code = "from clients.command import retouch; retouch(prog_name='retouch')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["plain,batch"]
