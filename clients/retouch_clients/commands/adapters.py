"""`retouch adapters`: the folder of adapters that an edit may name."""

from __future__ import annotations

import re
from pathlib import Path

import click
from rich.table import Table

from retouch.api.lanes import ADAPTER_NAME
from retouch.artifacts import adapter_folder
from retouch.artifacts.manifest import ArtifactError
from retouch.launcher.paths import default_repository
from retouch.serving.repository import lane_manifest
from retouch.util import extras
from retouch_clients.cli.console import console

FOLDER = click.option(
    "--adapters",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of adapters.  "
    "[default: $RETOUCH_ADAPTERS or adapters beside the model repository]",
)


def _name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not re.fullmatch(ADAPTER_NAME, name):
        raise click.BadParameter(
            f"{name!r} must be lower-case letters and digits, with single hyphens between, "
            "at most 40 characters"
        )
    return name


@click.group(short_help="Add, list and remove adapters.")
def adapters() -> None:
    """The adapters (LoRA) that an edit may name, as in `retouch edit --adapter sketch:0.8`.

    A running server takes a new one with the first edit that names it."""


@adapters.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, callback=_name, help="The name that edits use.")
@click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    help="The model repository with the network that it was trained for.  "
    "[default: $RETOUCH_REPOSITORY or model_repository]",
)
@FOLDER
def add(path: Path, name: str, repository: Path | None, folder: Path | None) -> None:
    """Add the adapter in PATH, a safetensors file or a folder, or replace the one of this name."""
    extras.check("export")
    repository = repository or default_repository()
    folder = folder or adapter_folder.adapter_folder(repository)
    lane = lane_manifest(repository)
    if lane is None:
        raise ArtifactError("no lane is exported, so the network is unknown; run the export first")
    from retouch_export.adapter_conversion import add_adapter  # loads torch

    added = add_adapter(path, name, lane, folder)
    console.print(f"added {name} to {folder}: {_size(added)}", soft_wrap=True)


@adapters.command(name="list")
@FOLDER
def list_(folder: Path | None) -> None:
    """List the adapters."""
    folder = folder or adapter_folder.adapter_folder(default_repository())
    known = adapter_folder.adapters_in(folder)
    if not known:
        console.print(f"{folder} has no adapters", soft_wrap=True)
        return
    table = Table("name", "rank", "layers", "MB", "file")
    for name, manifest in known.items():
        megabytes = f"{manifest.bytes / 1e6:.1f}"
        table.add_row(name, str(manifest.rank), str(manifest.modules), megabytes, manifest.source)
    console.print(table)


@adapters.command()
@click.argument("name", callback=_name)
@FOLDER
def remove(name: str, folder: Path | None) -> None:
    """Remove the adapter NAME. Edits that run with it go on."""
    folder = folder or adapter_folder.adapter_folder(default_repository())
    adapter_folder.remove_adapter(folder, name)
    console.print(f"removed {name} from {folder}", soft_wrap=True)


def _size(manifest: adapter_folder.AdapterManifest) -> str:
    return f"{manifest.modules} layers, rank up to {manifest.rank}, {manifest.bytes / 1e6:.1f} MB"
