"""The commands without a server: help, exit codes, options, completion."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from click.testing import CliRunner

from pictures import file_of, scene
from retouch.api.errors import RequestError
from retouch.api.response import EditAnswer, EditInfo, Hint, Operation
from retouch.client import Retouch
from retouch.launcher.server import ROOT, ServerError, free_port
from retouch_clients.addresses.server_url import protocol_hint
from retouch_clients.cli.exit_codes import Exit
from retouch_clients.cli.output_files import format_of
from retouch_clients.command import retouch
from retouch_clients.edit_options import read_files, request_options, suffix_of
from retouch_clients.shipped_checkpoint.examples import examples


def invoke(*arguments, **options):
    return CliRunner().invoke(retouch, [str(argument) for argument in arguments], **options)


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
                reported = {
                    "image": image,
                    "instruction": instruction,
                    "url": client.url,
                    "timeout": client.timeout,
                }
                self.asked.append(fields | reported)
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
    assert (
        result.exit_code == 0
        and "Usage" in result.output
        and retouch.commands[command].get_short_help_str()
    )


def test_the_help_tells_the_exit_codes():
    reported = invoke("edit", "--help").output
    assert all(f"  {code.value}  " in reported for code in Exit)


@pytest.mark.parametrize(
    "failure, code",
    [
        (RequestError("the mask is torn", "INVALID_ARGUMENT"), 3),
        (RequestError("busy", "UNAVAILABLE"), 4),
        (RequestError("late", "DEADLINE_EXCEEDED"), 4),
        (RequestError("odd", "INTERNAL"), 1),
        (ServerError("no start"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_failure_has_its_exit_code_and_one_line(editing, photo_file, tmp_path, failure, code):
    editing.does(failure)
    result = invoke(
        "edit", photo_file, "make it blue", "-o", tmp_path / "out.png", "--url", "127.0.0.1:1"
    )
    assert result.exit_code == code and result.stderr.count("\n") == 1
    assert (str(failure) or "stopped") in result.stderr and not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("edit",),
        ("edit", "nowhere.png", "x"),
        ("nothing",),
        ("batch", "-o", "out"),
        ("bench", "--count", "0"),
        ("bench", "--concurrency", "1,x"),
        ("completion", "cmd"),
        ("edit", "--timeout", "0"),
        *(
            (command, f"--{port}", number)
            for number in ("70000", "-1")
            for command, port in (
                ("openai", "port"),
                ("web", "port"),
                ("serve", "http-port"),
                ("serve", "grpc-port"),
                ("serve", "metrics-port"),
                ("monitor", "port"),
                ("monitor", "grafana-port"),
            )
        ),
    ],
)
def test_a_wrong_call_is_told_as_such(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2 and "Error: " in result.stderr


def test_bad_input_is_refused_before_there_is_a_server(photo_file):
    result = invoke("edit", photo_file, "make it blue", "--steps", 99, "--url", "127.0.0.1:1")
    assert (
        result.exit_code == 3 and "Error: --steps is 99; it must be from 0 to 50" in result.stderr
    )
    result = invoke("edit", photo_file, "make it blue", "--url", "somewhere")
    assert result.exit_code == 3 and "must be host:port" in result.stderr


def test_no_server_is_told_with_the_next_step(photo_file):
    for command in (("edit", photo_file, "x"), ("bench", "--count", 1)):
        result = invoke(*command, "--url", f"127.0.0.1:{free_port()}")
        assert result.exit_code == 4 and "start one with `retouch serve`" in result.stderr


def test_all_options_reach_the_request(editing, photo_file, tmp_path):
    editing.does(FINAL)
    other = tmp_path / "other.png"
    other.write_bytes(b"another photo")
    result = invoke(
        "edit",
        photo_file,
        "make it blue",
        "-o",
        tmp_path / "out.jpg",
        "--url",
        "127.0.0.1:1",
        "--seed",
        7,
        "--steps",
        9,
        "--guidance",
        2.5,
        "--previews",
        0,
        "--precision",
        "fp8",
        "--mask",
        other,
        "--negative",
        "rain",
        "--true-cfg",
        4,
        "--reference",
        other,
        "--reference",
        photo_file,
        "--background",
        "opaque",
        "--size",
        "64x96",
        "--deadline-ms",
        900,
        "--priority",
        1,
        "--step-cache",
        0.1,
        "--align",
        1,
        "--detail",
        "off",
        "--region-cache",
        2,
        "--adapter",
        "sketch:0.8",
        "--on-unknown",
        "try",
        "--score",
        1,
        "--timeout",
        5,
    )
    assert result.exit_code == 0, result.output
    photo = photo_file.read_bytes()
    assert editing.asked == [
        {
            "image": photo,
            "instruction": "make it blue",
            "url": "127.0.0.1:1",
            "timeout": 5.0,
            "seed": 7,
            "steps": 9,
            "guidance": 2.5,
            "previews": 0,
            "precision": "fp8",
            "region": b"another photo",
            "negative": "rain",
            "true_cfg": 4.0,
            "references": (b"another photo", photo),
            "format": "jpeg",
            "background": "opaque",
            "size": "64x96",
            "deadline_ms": 900,
            "priority": 1,
            "step_cache": 0.1,
            "align": 1,
            "detail": "off",
            "region_cache": 2,
            "adapter": "sketch:0.8",
            "on_unknown": "try",
            "score": 1,
        }
    ]
    assert (tmp_path / "out.jpg").read_bytes() == b"an edited file"


def test_json_is_all_that_standard_output_has(editing, photo_file, tmp_path):
    editing.does(FINAL)
    result = invoke(
        "edit",
        photo_file,
        "make it blue",
        "-o",
        tmp_path / "out.png",
        "--json",
        "--url",
        "127.0.0.1:1",
    )
    assert EditInfo.from_json(result.stdout) == FINAL.info and len(json.loads(result.stdout)) > 5
    assert "wrote" in result.stderr


def test_a_result_that_cannot_be_written_is_told(editing, photo_file, tmp_path):
    editing.does(FINAL)
    (tmp_path / "file").write_text("")
    result = invoke(
        "edit",
        photo_file,
        "make it blue",
        "-o",
        tmp_path / "file" / "out.png",
        "--url",
        "127.0.0.1:1",
    )
    assert result.exit_code == 1 and "Traceback" not in result.output and "out.png" in result.stderr


def test_what_others_wrote_is_no_markup(editing, photo_file, tmp_path):
    """Nor is a name a person gave: rich takes what stands in square brackets for colours."""
    operation = Operation("recolour", "[red]circle[/red]", "[/blue]")
    info = dataclasses.replace(FINAL.info, operations=[operation], lane_reason="[bold]as asked[/]")
    editing.does(dataclasses.replace(FINAL, info=info))
    result = invoke(
        "edit", photo_file, "x", "-o", tmp_path / "out[draft].png", "--url", "127.0.0.1:1"
    )
    assert result.exit_code == 0, result.output
    for message in ("out[draft].png", "recolour [red]circle[/red] [/blue]", "[bold]as asked[/]"):
        assert message in result.stdout


@pytest.fixture
def demo_server(monkeypatch):
    """In place of the server that a demo starts."""

    @contextlib.contextmanager
    def server(log):
        yield SimpleNamespace(grpc=1)

    monkeypatch.setattr("retouch_clients.demo.run.Server", server)


def test_the_demos_sentence_is_no_markup(editing, demo_server, photo_file, tmp_path):
    editing.does(dataclasses.replace(FINAL, image=photo_file.read_bytes()))
    result = invoke(
        "demo",
        "--image",
        photo_file,
        "--instruction",
        "make it [/red]",
        "--out",
        tmp_path / "out[1]",
    )
    assert result.exit_code == 0, result.output
    assert "“make it [/red]”" in result.stdout and "out[1]" in result.stdout


def test_the_demo_makes_every_example(editing, demo_server, tmp_path):
    editing.does(dataclasses.replace(FINAL, image=file_of(scene())))
    asked = len(editing.asked)
    result = invoke("demo", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    requests = [(edit["image"], edit["instruction"]) for edit in editing.asked[asked:]]
    assert requests == [(item.image.read_bytes(), item.instruction) for item in examples()]
    pictures = {f"{item.name}-after.png" for item in examples()}
    sources = {f"{item.name}-before{item.image.suffix}" for item in examples()}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"contact-sheet.jpg", *pictures, *sources}


def test_a_half_of_the_demos_edit_is_the_first_examples(editing, demo_server, photo_file, tmp_path):
    editing.does(dataclasses.replace(FINAL, image=photo_file.read_bytes()))
    first = examples()[0]
    for option, value in (("--image", photo_file), ("--instruction", "x")):
        assert invoke("demo", option, value, "--out", tmp_path, "--force").exit_code == 0
    assert [(edit["image"], edit["instruction"]) for edit in editing.asked[-2:]] == [
        (photo_file.read_bytes(), first.instruction),
        (first.image.read_bytes(), "x"),
    ]


def test_a_name_says_the_format():
    names = {"a.JPG": "jpeg", "a.jpeg": "jpeg", "a.webp": "webp", "a.png": "png", "-": "png"}
    assert {name: format_of(Path(name)) for name in names} == names
    assert [suffix_of(item) for item in ("jpeg;quality=80", "webp", "png")] == [
        ".jpg",
        ".webp",
        ".png",
    ]


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("-o", "out.tiff"), "must end in .png, .jpg, .jpeg or .webp"),
        (("-o", "out"), "must end in .png"),
        (("-o", "out.avif", "--format", "png"), "must end in .png"),
        (("-o", "out.jpg", "--format", "webp"), "a jpeg file name"),
        (("-o", "-", "--json"), "cannot be combined with --json"),
        (("-o", "-", "--save-previews"), "cannot be combined with"),
    ],
)
def test_a_result_whose_name_says_no_format_is_a_wrong_call(
    editing, photo_file, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    editing.does(FINAL)
    result = invoke("edit", photo_file, "make it blue", *arguments, "--url", "127.0.0.1:1")
    assert result.exit_code == 2 and message in result.stderr and editing.asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize(
    "options, format_", [((), "png"), (("--format", "jpeg;quality=50"), "jpeg;quality=50")]
)
def test_standard_output_has_the_picture_alone(
    editing, photo_file, tmp_path, monkeypatch, options, format_
):
    monkeypatch.chdir(tmp_path)
    editing.does(FINAL)
    result = invoke("edit", photo_file, "make it blue", "-o", "-", *options, "--url", "127.0.0.1:1")
    assert (
        result.exit_code == 0 and result.stdout_bytes == FINAL.image and "seed 5" in result.stderr
    )
    assert editing.asked[0]["format"] == format_ and not (tmp_path / "-").exists()


@pytest.mark.parametrize("name", ["out.png", "out.webp", "deep/er/out.jpg"])
def test_results_are_overwritten_by_force_alone(editing, photo_file, tmp_path, name):
    out = tmp_path / name
    call = ("edit", photo_file, "make it blue", "-o", out, "--url", "127.0.0.1:1")
    editing.does(FINAL)
    first = invoke(*call)
    assert first.exit_code == 0 and ("made the folder" in first.stdout) == ("/" in name)
    editing.does(dataclasses.replace(FINAL, image=b"another file"))
    refused = invoke(*call)
    assert refused.exit_code == 1 and "add --force" in refused.stderr and len(editing.asked) == 1
    assert out.read_bytes() == FINAL.image
    assert invoke(*call, "--force").exit_code == 0 and out.read_bytes() == b"another file"
    assert [path.name for path in out.parent.iterdir() if path != photo_file] == [out.name]


def test_previews_of_an_earlier_edit_are_kept(editing, photo_file, tmp_path):
    editing.does(FINAL)
    (tmp_path / "out.step02.png").write_bytes(b"earlier")
    call = (
        "edit",
        photo_file,
        "x",
        "-o",
        tmp_path / "out.png",
        "--save-previews",
        "--url",
        "127.0.0.1:1",
    )
    assert invoke(*call).exit_code == 1 and editing.asked == []
    assert invoke(*call, "--force").exit_code == 0


@pytest.mark.parametrize(
    "name", ["file/out.png", "file/deep/out.png", f"{'x' * 252}.png", "pipe.png"]
)
def test_a_result_that_cannot_be_written_is_told_before_the_edit(
    editing, photo_file, tmp_path, name
):
    editing.does(FINAL)
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe.png")
    result = invoke(
        "edit", photo_file, "make it blue", "-o", tmp_path / name, "--force", "--url", "127.0.0.1:1"
    )
    assert result.exit_code == 1 and "Error: cannot write" in result.stderr and editing.asked == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "photo.png", "pipe.png"]


def test_an_edit_that_fails_leaves_no_folder(editing, photo_file, tmp_path):
    editing.does(RequestError("busy", "UNAVAILABLE"))
    invoke(
        "edit",
        photo_file,
        "x",
        "-o",
        tmp_path / "new" / "deep" / "out.png",
        "--url",
        f"127.0.0.1:{free_port()}",
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("size", [251, 255])
def test_a_name_may_have_as_many_bytes_as_names_can(editing, photo_file, tmp_path, size):
    editing.does(FINAL)
    out = tmp_path / f"{'ü' * 100}{'x' * (size - 204)}.png"
    assert (
        invoke("edit", photo_file, "x", "-o", out, "--url", "127.0.0.1:1").exit_code == 0
        and out.is_file()
    )


def test_a_pipe_gets_lines_in_the_order_of_what_happens(photo_file, tmp_path, monkeypatch):
    steps = [
        dataclasses.replace(FINAL, step=(step, 3), info=EditInfo("preview", 5, "bf16"))
        for step in (1, 2)
    ]
    monkeypatch.setattr(Retouch, "edit", lambda *_, **__: (answer for answer in [*steps, FINAL]))
    result = invoke(
        "edit",
        photo_file,
        "x",
        "-o",
        tmp_path / "o.png",
        "--save-previews",
        "--url",
        "127.0.0.1:1",
        env={"FORCE_COLOR": "1"},
    )
    lines = [line.rsplit("/")[-1] for line in result.stdout.splitlines()]
    assert lines[:5] == [
        "step 1 of 3",
        "o.step01.png",
        "step 2 of 3",
        "o.step02.png",
        "step 3 of 3",
    ]
    assert lines[-1] == "o.png" and "editing" not in result.stdout and "\x1b" not in result.stdout


def test_the_demo_keeps_what_is_there(editing, photo_file, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "after.png").write_bytes(b"mine")
    result = invoke("demo", "--image", photo_file, "--instruction", "x", "--out", tmp_path / "out")
    assert (
        result.exit_code == 1
        and "add --force" in result.stderr
        and len(list((tmp_path / "out").iterdir())) == 1
    )


NOT_UNDERSTOOD = RequestError(
    "INSTRUCTION is not understood; the edits are recolour and remove",
    "INSTRUCTION_NOT_UNDERSTOOD",
    field="INSTRUCTION",
    examples=["make it warmer", "remove the [small] cup"],
)


def test_an_instruction_that_is_not_understood_is_answered_with_examples(
    editing, photo_file, tmp_path
):
    editing.does(NOT_UNDERSTOOD)
    out = tmp_path / "out.png"
    result = invoke("edit", photo_file, "sing", "-o", out, "--url", "127.0.0.1:1")
    assert result.exit_code == Exit.REFUSED and not out.exists()
    assert result.stderr.splitlines() == [
        f"Error: {NOT_UNDERSTOOD}",
        "Try: make it warmer",
        "Try: remove the [small] cup",
    ]
    assert editing.asked[-1]["on_unknown"] == "refuse", "the default"


def test_a_warning_is_printed_beside_the_result(editing, photo_file, tmp_path):
    hint = Hint("INSTRUCTION is odd", ["make it warmer"])
    info = dataclasses.replace(FINAL.info, understood=False, confidence=0.1, hint=hint)
    editing.does(dataclasses.replace(FINAL, info=info))
    out = tmp_path / "out.png"
    result = invoke(
        "edit", photo_file, "sing", "-o", out, "--on-unknown", "warn", "--url", "127.0.0.1:1"
    )
    assert result.exit_code == 0 and out.is_file()
    assert "not understood: INSTRUCTION is odd\nTry: make it warmer\n" in result.stdout


# -- the user's words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message, field, options, printed",
    [
        (
            "REGION is 64x64; it must be 128x128",
            "REGION",
            ("--mask", "PHOTO"),
            "Error: --mask is 64x64;",
        ),
        ("REGION is neither", "REGION", ("--region", "left"), "Error: --region is neither"),
        (
            "REFERENCES holds 1 images",
            "REFERENCES",
            ("--reference", "PHOTO"),
            "Error: --reference holds 1",
        ),
        ("TRUE_CFG is 99", "TRUE_CFG", (), "Error: --true-cfg is 99"),
        ("DEADLINE_MS 1 has passed", "DEADLINE_MS", (), "Error: --deadline-ms 1"),
        ("IMAGE is not a picture file", "IMAGE", (), "Error: IMAGE is not"),
        ("a server's words", None, (), "Error: a server's words"),
    ],
)
def test_messages_speak_of_what_was_typed(
    editing, photo_file, tmp_path, message, field, options, printed
):
    editing.does(RequestError(message, field=field))
    options = [photo_file if option == "PHOTO" else option for option in options]
    result = invoke(
        "edit", photo_file, "x", "-o", tmp_path / "out.png", *options, "--url", "127.0.0.1:1"
    )
    assert result.exit_code == 3 and result.stderr.startswith(printed)


@pytest.mark.parametrize("sentence", ["", "  ", "\n\t"])
def test_a_blank_sentence_is_a_wrong_call(photo_file, tmp_path, sentence):
    for call in (
        ("edit", photo_file, sentence),
        ("batch", tmp_path, sentence, "-o", tmp_path / "out"),
        ("demo", "--instruction", sentence, "--out", tmp_path / "out"),
    ):
        result = invoke(*call)
        assert result.exit_code == 2 and "it is blank; send a sentence of 1 to" in result.stderr


@pytest.mark.parametrize(
    "url, options, place, http",
    [
        ("http://a:1", (), "a:1", True),
        ("http://a:1/", ("--http",), "a:1", True),
        ("GRPC://a:1", (), "a:1", False),
        ("http://a", (), "a:8000", True),
        ("grpc://[::1]", (), "[::1]:8001", False),
        ("a:1", ("--http",), "a:1", True),
    ],
)
def test_a_scheme_chooses_the_protocol(
    monkeypatch, photo_file, tmp_path, url, options, place, http
):
    clients = []

    def edit(client, *_, **__):
        clients.append((client.url, client.http))
        yield FINAL

    monkeypatch.setattr(Retouch, "edit", edit)
    result = invoke("edit", photo_file, "x", "-o", tmp_path / "out.png", "--url", url, *options)
    assert result.exit_code == 0 and clients == [(place, http)]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--url", "https://a:1"), "https is not supported"),
        (("--url", "grpcs://a:1"), "grpcs is not supported"),
        (("--url", "ftp://a:1"), "unknown scheme ftp"),
        (("--url", "grpc://a:1", "--http"), "contradict each other"),
    ],
)
def test_a_scheme_that_is_not_spoken_is_told(photo_file, arguments, message):
    result = invoke("edit", photo_file, "x", *arguments)
    assert result.exit_code == 2 and message in result.stderr


class Live(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_other_protocols_port_is_told():
    with http.server.HTTPServer(("127.0.0.1", 0), Live) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"127.0.0.1:{server.server_port}"
        assert protocol_hint(url, use_http=False).startswith(f"{url} is an HTTP port; add --http")
        assert protocol_hint(url, use_http=True) == ""
        server.shutdown()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    assert protocol_hint(url, use_http=True).startswith(f"{url} is a gRPC port; remove --http")
    assert protocol_hint(url, use_http=False) == ""
    server.stop(0)
    assert protocol_hint(f"127.0.0.1:{free_port()}", use_http=True) == ""


def test_a_seed_and_a_format_are_left_out_unless_they_are_given(tmp_path):
    (tmp_path / "mask").write_bytes(b"white")
    options = {"seed": None, "mask": None, "region": "full", "format": None}
    assert request_options(options) == {"region": b"full"}
    arguments = options | {"seed": 0, "mask": tmp_path / "mask", "format": "webp"}
    assert read_files(request_options(arguments)) == {
        "seed": 0,
        "region": b"white",
        "format": "webp",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("PHOTO", "x\udcff"),
        ("PHOTO", "x", "--negative", "\udcff"),
        ("PHOTO", "x", "--region", "\udcff"),
        ("PHOTO", "x", "--precision", "\udcff"),
        ("PHOTO", "x", "--format", "\udcff"),
    ],
)
def test_bytes_that_are_no_text_are_told(photo_file, arguments):
    """Python has what is not UTF-8 as halves of characters."""
    result = invoke(
        "edit",
        *(photo_file if argument == "PHOTO" else argument for argument in arguments),
        "--url",
        "127.0.0.1:1",
    )
    assert result.exit_code == 2 and "it is not text in UTF-8" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(shell):
    result = invoke("completion", shell)
    assert result.exit_code == 0 and "_RETOUCH_COMPLETE" in result.stdout
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=result.stdout, text=True).returncode == 0


def test_what_a_shell_is_told():
    env = {
        **os.environ,
        "_RETOUCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "retouch ba",
        "COMP_CWORD": "1",
    }
    code = "from retouch_clients.command import retouch; retouch(prog_name='retouch')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.stdout.split() == ["plain,batch"]


@pytest.mark.parametrize("name", ["profile", "calibrate"])
def test_a_step_is_profiled_under_the_former_name_too(name, monkeypatch):
    measured = []

    def profile(repository, lane, runner):
        measured.append((lane, runner))
        return repository / "cost.json"

    monkeypatch.setattr("retouch_clients.profiling.step_profile.profile", profile)
    result = invoke(name, "--precision", "bf16", "--precision", "fp8", "--runner", "torch")
    assert result.exit_code == 0 and measured == [("bf16", "torch"), ("fp8", "torch")]
    assert result.stdout == "wrote cost.json of bf16\nwrote cost.json of fp8\n"
    assert ("is now called `retouch profile`" in result.stderr) == (name == "calibrate")


def test_the_help_lists_the_new_name_alone():
    commands = invoke("--help").stdout.split("Commands:")[1].split()
    assert "profile" in commands and "calibrate" not in commands and "calibrate-data" in commands
