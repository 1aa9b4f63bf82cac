"""The commands in the READMEs do what they say: shell blocks as they stand, Python blocks on a
photo."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.report import figures
from processes import INTERRUPTIBLE
from retouch.launcher.server import HOST, ROOT
from retouch_clients.shipped_checkpoint.examples import examples

SAMPLE = ROOT / "checkpoints" / "photo" / "sample.jpg"
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), *sorted(ROOT.glob("docs/*.md"))]
BLOCKS = [
    block
    for path in DOCUMENTS
    for block in re.findall(r"```(sh|python)\n(.*?)```", path.read_text(), re.S)
]
SHELL = [
    line
    for language, block in BLOCKS
    if language == "sh"
    for line in block.replace("\\\n", "").splitlines()
]
PYTHON = [block for language, block in BLOCKS if language == "python"]
# by what each command is found, each of which a test here runs; `make test` is what runs them
RUN = (
    "make demo",
    "make edit",
    "make serve",
    "warmer.jpg",
    "half.jpg",
    "make web",
    "retouch batch",
    "retouch bench",
    "retouch doctor",
    "retouch completion",
    "make openai",
    "curl.png",
    "generate.jpg",
    "retouch perf",
    "bin/perf_analyzer",
    "partial_images",
    "retouch export",
    "retouch inspect",
    "make bench",
    "make test",
)

pytestmark = pytest.mark.skipif(
    Path(sys.prefix).resolve() != (ROOT / ".venv").resolve(),
    reason="the READMEs' commands use .venv (make setup)",
)


def line(text: str) -> str:
    """The one command that holds these words."""
    (command,) = [command for command in SHELL if text in command]
    return command


def block(text: str) -> str:
    """The one Python block that holds these words."""
    (code,) = [code for code in PYTHON if text in code]
    return code


def run(command: str, seconds: float = 300) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def script(code: str, folder: Path) -> list[str]:
    """The lines that a Python block prints in a folder with a photo."""
    shutil.copy(SAMPLE, folder / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def changed(edited: Path, source: Path = SAMPLE) -> bool:
    with Image.open(source) as before, Image.open(edited) as after:
        return (
            before.size == after.size and before.tobytes() != after.convert(before.mode).tobytes()
        )


@contextlib.contextmanager
def running(command: str, ready: str, *ports: int) -> Iterator[str]:
    """A command that stays, until Ctrl-C; yields the line by which it `said` that it is there. It
    wants `ports`."""
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                pytest.skip(f"port {port} is in use, and `{command}` wants it")
    process = subprocess.Popen(
        [*INTERRUPTIBLE, *command.split()],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        line = next((line for line in process.stdout if ready in line), "")
        assert line and process.poll() is None
        yield line
    finally:
        for child in subprocess.run(
            ["pgrep", "-g", str(process.pid)], capture_output=True, text=True
        ).stdout.split():
            subprocess.run(["kill", f"-{signal.SIGINT.name[3:]}", child])
        process.wait(60)


def test_every_command_is_known_here():
    assert [sum(text in command for text in RUN) for command in SHELL] == [1] * len(SHELL), SHELL
    assert sorted(map(line, RUN)) == sorted(SHELL)


def test_links_between_the_documents_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#]*)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_first_two_commands():
    shutil.rmtree(ROOT / "out", ignore_errors=True)
    output = run(line("make demo"))
    assert "denoiser" in output and "vl_parser" in output
    written = {path.name for path in (ROOT / "out").iterdir()}
    assert "contact-sheet.jpg" in written
    for example in examples():
        assert f"{example.name}-before{example.image.suffix}" in written
        assert sum(name.startswith(f"{example.name}-preview-") for name in written) >= 2
        assert changed(ROOT / "out" / f"{example.name}-after.png", example.image)
    run(line("make edit"))
    assert changed(ROOT / "out" / "vignette.jpg", SAMPLE.with_name("object.jpg"))


def test_an_export_of_what_is_there():
    assert "up to date" in run(line("retouch export"))


def test_a_look_at_the_checkpoint():
    output = run(line("retouch inspect"))
    assert "instructx" in output and "10.05 MB" in output and "missing" not in output


def test_the_report():
    """Of a few edits: what is measured here means nothing."""
    # the first time with the packages of AIPerf
    run(f"{line('make bench')} BENCH=--tiny", seconds=1500)
    folder = ROOT / "out" / "bench"
    assert {"report.html", "report.md", "figures.json", "raw"} <= {
        path.name for path in folder.iterdir()
    }
    results = figures.load(folder / "figures.json")
    assert results.closed and results.open and results.streaming and results.quality


def test_the_page_is_one_command_away():
    with running(line("make web"), "the page is ready") as ready_line:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", ready_line)
        with urllib.request.urlopen(url, timeout=20) as page:
            assert re.search(r'"title": *"Retouch"', page.read().decode())
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=5)


def test_openais_api_is_one_command_away(tmp_path):
    (ROOT / "out").mkdir(exist_ok=True)
    with running(line("make openai"), "ready: http://127.0.0.1:8080/v1", 8080):
        run(line("curl.png"))
        assert changed(ROOT / "out" / "curl.png")
        events = re.findall(r"^event: (.*)$", run(line("partial_images")), re.M)
        assert events == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
        printed = [
            printed_line.split()[:2] for printed_line in script(block("from openai"), tmp_path)
        ]
    events = ("image_edit.partial_image", "image_edit.completed")
    assert printed == [[event, "1024x682"] for event in events]


def test_a_server_that_stays(tmp_path):
    with running(line("make serve"), "ready", 8000, 8001, 8002):
        for name in ("warmer.jpg", "half.jpg"):
            run(line(name))
            assert changed(ROOT / "out" / name)
        assert script(block("in Retouch("), tmp_path)[-1].split(")")[1].split()[0] == "final"
        together = script(block("AsyncRetouch("), tmp_path)[-1]
        assert together.endswith("[0, 1, 2, 3]") and "'bf16', 'fp8', 'fp4'" in together
        assert "3 done, 0 failed" in run(line("retouch batch"))
        assert "3 done before, 0 failed" in run(line("retouch batch"))
        run(line("generate.jpg"))
        assert changed(ROOT / "out" / "generate.jpg")
        assert script(block("import tritonclient.http"), tmp_path)[0].endswith("[3 3]")
        assert "Throughput" in run(line("retouch perf"))
        assert "Throughput" in run(line("bin/perf_analyzer"))
        assert "edits/s" in run(line("retouch bench"))
        assert "a server is ready" in run(line("retouch doctor"))


def test_a_shell_completes():
    assert "retouch" in run(line("retouch completion") + "; complete -p retouch")
