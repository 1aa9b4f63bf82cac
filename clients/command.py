"""The command line: retouch edit | serve | demo | export | inspect | calibrate | doctor."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from clients.monitor import MonitorError
from clients.show import console, save, with_progress
from export.checkpoint import CheckpointError
from export.command import export
from retouch import types
from retouch.client import Retouch
from retouch.manifest import ArtifactError
from retouch.runners import RUNNERS
from retouch.server import REPOSITORY, RUNTIME, Server, ServerError, models
from retouch.types import RequestError

RUNNING = RUNTIME / "running.json"  # the ports of `retouch serve`, while it runs


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(types.VERSION, prog_name="retouch")
def retouch() -> None:
    """Edit images by sentences."""


@retouch.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("instruction")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("out.png"),
              show_default=True)
@click.option("--url", envvar="RETOUCH_URL", help="host:port of a server; without it, the one of `retouch serve`.")
@click.option("--http", is_flag=True, help="Use HTTP instead of gRPC.")
@click.option("--start", is_flag=True, help="Start a server for this edit when none runs here.")
@click.option("--seed", type=int, help="The same seed gives the same image.  [default: random, printed]")
@click.option("--steps", type=int, default=0, help="0: the model's default.")
@click.option("--guidance", type=float, default=0.0, help="0: the model's default.")
@click.option("--previews", type=int, default=4, show_default=True, help=f"0 to {types.MAX_PREVIEWS}.")
@click.option("--save-previews", is_flag=True, help="Write them beside the result.")
@click.option("--precision", default="auto", show_default=True,
              help=f"{', '.join(types.PRECISIONS)}, or a lane with an adapter, as bf16-sketch.")
@click.option("--region", default="auto", show_default=True, help="auto or full.")
@click.option("--mask", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="White = may change.")
@click.option("--format", "format_", help="png, jpeg, webp or `jpeg;quality=90`.  [default: by the name of --out]")
@click.option("--deadline-ms", type=int, default=0, help="Give up after so many milliseconds; 0: never.")
@click.option("--priority", type=int, default=0, help="1: before others.")
@click.option("--step-cache", type=float, default=0.0, help="Reuse a step's result while it changes by less; 0: never, 1 at most.")
def edit(image, instruction, out, url, http, start, save_previews, region, mask, format_, seed, **knobs) -> None:
    """Change IMAGE as INSTRUCTION says, for example: retouch edit photo.png "make the red circle blue" -o out.png"""
    knobs["region"] = mask.read_bytes() if mask else region.encode()
    knobs["format"] = format_ or {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(out.suffix.lower(), "png")
    if seed is not None:
        knobs["seed"] = seed
    with server_url(url, http, start) as address:
        answers = with_progress(Retouch(address, http).edit(image.read_bytes(), instruction, **knobs))
        for answer in answers:
            if answer.final:
                save(out, answer)
            elif save_previews:
                save(out.with_name(f"{out.stem}.step{answer.step[0]:02d}{out.suffix}"), answer)


@retouch.command()
@click.option("--http-port", type=int, default=8000, show_default=True)
@click.option("--grpc-port", type=int, default=8001, show_default=True)
@click.option("--metrics-port", type=int, default=8002, show_default=True)
@click.option("--profile", default="", help="cpu, hopper or blackwell: the machine it is for.  [default: cpu]")
def serve(http_port: int, grpc_port: int, metrics_port: int, profile: str) -> None:
    """Run the server on 127.0.0.1 until Ctrl-C."""
    with Server(http=http_port, grpc=grpc_port, metrics=metrics_port, profile=profile) as server:
        RUNNING.write_text(json.dumps({"http": server.http, "grpc": server.grpc}))
        try:
            console.print(f"ready: http 127.0.0.1:{server.http}, gRPC 127.0.0.1:{server.grpc}  (Ctrl-C stops)")
            while server.process and server.process.poll() is None:
                time.sleep(0.5)
        finally:
            RUNNING.unlink(missing_ok=True)
    raise ServerError(f"the server has stopped by itself; its log is {server.log}")


@retouch.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out"), show_default=True)
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--instruction")
def demo(out: Path, image: Path | None, instruction: str | None) -> None:
    """Start a server, edit the sample image, write before, previews, after and a contact sheet, stop the server."""
    from clients.demo import run

    run(out, image, instruction)


@retouch.command()
@click.option("--precision", "lanes", multiple=True, help="A lane's name.  [default: all that are exported]")
@click.option("--runner", type=click.Choice(list(RUNNERS)), default="onnx", show_default=True)
def calibrate(lanes: tuple[str, ...], runner: str) -> None:
    """Measure what a step costs on this machine; the scheduler reads it when a server starts."""
    from clients.calibrate import calibrate

    for lane in lanes or [name.removeprefix("denoiser_") for name in models(REPOSITORY) if name.startswith("denoiser_")]:
        console.print(f"wrote {calibrate(REPOSITORY, lane, runner).name} of {lane}")


@retouch.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--hashes", is_flag=True, help="Read all files and compare them with the hashes that the folder carries.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here as well.")
def inspect(checkpoint: Path, hashes: bool, out: Path | None) -> None:
    """Say what CHECKPOINT is, how large its lanes are, which GPUs they fit and what it lacks."""
    from clients.inspect import show
    from export.summary import summary

    found = summary(checkpoint, hashes)
    show(found)
    if out:
        out.write_text(json.dumps(found.words(), indent=2) + "\n")


@retouch.command()
@click.option("--port", type=int, default=9090, show_default=True, help="Of Prometheus.")
@click.option("--grafana-port", type=int, default=3000, show_default=True)
def monitor(port: int, grafana_port: int) -> None:
    """Watch a running server by Prometheus and Grafana, until Ctrl-C."""
    from clients import monitor

    tools = [monitor.prometheus(port), *filter(None, [monitor.grafana(grafana_port)])]
    for tool in tools:
        console.print(f"{tool.name}: {tool.page}", soft_wrap=True)
    if len(tools) == 1:
        console.print(monitor.NO_GRAFANA, soft_wrap=True)
    monitor.watch(tools)


@retouch.command()
def doctor() -> None:
    """Say what this machine lacks."""
    from clients.doctor import checks

    results = list(checks())
    for good, what, advice in results:
        console.print(f"[green]ok[/]  {what}" if good else f"[red]NO[/]  {what}: {advice}")
    sys.exit(0 if all(good for good, *_ in results) else 1)


# -- helpers of the commands ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def server_url(url: str | None, http: bool, start: bool) -> Iterator[str]:
    """The address to talk to: the one given, the running `retouch serve`, or a server started for the moment."""
    if url:
        yield url
    elif start and not RUNNING.is_file():
        console.print("starting a server")
        with Server(log=RUNTIME / "edit.log") as server:
            yield f"127.0.0.1:{server.http if http else server.grpc}"
    else:
        ports = json.loads(RUNNING.read_text()) if RUNNING.is_file() else {"http": 8000, "grpc": 8001}
        yield f"127.0.0.1:{ports['http' if http else 'grpc']}"


retouch.add_command(export)


def main() -> None:
    """Run, and turn the failures a user can mend into one sentence."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopping a service stops its server in order
    try:
        retouch(standalone_mode=False)
    except (RequestError, ServerError, ArtifactError, CheckpointError, MonitorError) as failure:
        console.print(f"[red]{type(failure).__name__}[/]: {failure}")
        sys.exit(1)
    except click.ClickException as failure:
        failure.show()
        sys.exit(failure.exit_code)
    except (KeyboardInterrupt, click.Abort):
        console.print("stopped")
        sys.exit(130)
