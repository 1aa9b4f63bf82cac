"""`retouch perf`: NVIDIA's perf_analyzer, with its libraries and a sample edit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.server import ServerError
from retouch.util import env

SAMPLE = Path(__file__).parents[1] / "data" / "edit.json"
COUNT = "16"
SECONDS = 600


@click.command(
    short_help="Run perf_analyzer against a running server.",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def perf(arguments: tuple[str, ...]) -> None:
    """Run NVIDIA's perf_analyzer against a running server; ARGUMENTS are its own and go before our
    defaults.

    Without any it sends 16 edits of a sample image to edit_sync over gRPC at 127.0.0.1:8001, one at
    a time. `-m edit` streams. The binary is fetched by pip once; `retouch perf -- --help` shows its
    options."""
    if not IS_CHECKOUT:
        raise ServerError("`retouch perf` works in a checkout of Retouch only")
    from benchmarks.report import perf_analyzer

    try:
        binary, libraries = perf_analyzer.prepare()
        status = subprocess.run(
            [str(binary), *with_defaults(arguments)], timeout=SECONDS, env=environment(libraries)
        ).returncode
    except perf_analyzer.AnalyzerError as failure:
        raise click.ClickException(str(failure)) from None
    except subprocess.TimeoutExpired:
        raise click.ClickException(
            f"perf_analyzer took more than {SECONDS} s and was stopped; ask for less"
        ) from None
    raise SystemExit(1 if status else 0)


def with_defaults(arguments: tuple[str, ...]) -> list[str]:
    """The arguments, and what they leave open."""
    has = {argument.partition("=")[0] for argument in arguments}
    if has & {"--help", "-h", "--version"}:
        return list(arguments)
    complete = list(arguments)
    model = _value(arguments, "-m", "--model-name") or "edit_sync"
    protocol = _value(arguments, "-i", "--protocol") or "grpc"
    port = 8000 if protocol.lower() == "http" else 8001
    defaults = (
        (("-m", "--model-name"), ["-m", model]),
        (("-i", "--protocol"), ["-i", protocol]),
        (("-u", "--url"), ["-u", f"127.0.0.1:{port}"]),
        (("--input-data",), ["--input-data", str(SAMPLE)]),
        (
            ("--request-count", "-p", "--measurement-interval", "--measurement-mode"),
            ["--request-count", COUNT],
        ),
        (
            (
                "--concurrency-range",
                "--request-rate-range",
                "--request-intervals",
                "-t",
                "--periodic-concurrency-range",
            ),
            ["--concurrency-range", "1"],
        ),
    )
    for names, words in defaults:
        if not has & set(names):
            complete += words
    if model != "edit_sync":  # the others stream
        complete += [flag for flag in ("--async", "--streaming") if flag not in has]
    return complete


def environment(libraries: Path) -> dict[str, str]:
    """This one's, with perf_analyzer's libraries before others."""
    others = env.LIBRARIES.get()
    return env.of_child({env.LIBRARIES.name: f"{libraries}:{others}" if others else str(libraries)})


def _value(arguments: tuple[str, ...], *names: str) -> str:
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else (*arguments, "")[position + 1]
    return ""
