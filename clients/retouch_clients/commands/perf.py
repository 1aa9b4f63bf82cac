"""`retouch perf`: run NVIDIA's perf_analyzer with its libraries and a sample edit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from retouch.util import env, extras

SAMPLE = Path(__file__).parents[1] / "data" / "edit.json"
COUNT = "16"
SECONDS = 600


@click.command(
    short_help="Run perf_analyzer against a running server.",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def perf(arguments: tuple[str, ...]) -> None:
    """Run NVIDIA's perf_analyzer against a running server.

    ARGUMENTS are passed to perf_analyzer and override our defaults: 16 edits of a sample image to
    edit_sync over gRPC at 127.0.0.1:8001, one at a time. `-m edit` streams. The binary is
    downloaded once with pip; `retouch perf -- --help` lists its options."""
    extras.check("serve")
    from retouch_clients.bench.perf_analyzer_binary import AnalyzerError, prepare

    try:
        binary, libraries = prepare()
        command = [str(binary), *with_defaults(arguments)]
        status = subprocess.run(command, timeout=SECONDS, env=environment(libraries)).returncode
    except AnalyzerError as failure:
        raise click.ClickException(str(failure)) from None
    except subprocess.TimeoutExpired:
        raise click.ClickException(
            f"perf_analyzer ran for more than {SECONDS} s and was stopped; send fewer requests"
        ) from None
    raise SystemExit(1 if status else 0)


def with_defaults(arguments: tuple[str, ...]) -> list[str]:
    """The arguments, completed by our defaults."""
    names = {argument.partition("=")[0] for argument in arguments}
    if names & {"--help", "-h", "--version"}:
        return list(arguments)
    complete = list(arguments)
    model = _value(arguments, "-m", "--model-name") or "edit_sync"
    protocol = _value(arguments, "-i", "--protocol") or "grpc"
    for alternatives, default in _defaults(model, protocol):
        if not names & set(alternatives):
            complete += default
    if model != "edit_sync":  # the other models stream
        complete += [flag for flag in ("--async", "--streaming") if flag not in names]
    return complete


def _defaults(model: str, protocol: str) -> list[tuple[tuple[str, ...], list[str]]]:
    """(options that replace the default, the default's arguments)."""
    port = 8000 if protocol.lower() == "http" else 8001
    counts = ("--request-count", "-p", "--measurement-interval", "--measurement-mode")
    loads = (
        "--concurrency-range",
        "--request-rate-range",
        "--request-intervals",
        "-t",
        "--periodic-concurrency-range",
    )
    return [
        (("-m", "--model-name"), ["-m", model]),
        (("-i", "--protocol"), ["-i", protocol]),
        (("-u", "--url"), ["-u", f"127.0.0.1:{port}"]),
        (("--input-data",), ["--input-data", str(SAMPLE)]),
        (counts, ["--request-count", COUNT]),
        (loads, ["--concurrency-range", "1"]),
    ]


def environment(libraries: Path) -> dict[str, str]:
    """This process's environment, with perf_analyzer's libraries first."""
    others = env.LIBRARIES.get()
    path = f"{libraries}:{others}" if others else str(libraries)
    return env.of_child({env.LIBRARIES.name: path})


def _value(arguments: tuple[str, ...], *names: str) -> str:
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else (*arguments, "")[position + 1]
    return ""
