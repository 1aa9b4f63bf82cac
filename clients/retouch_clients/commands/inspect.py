"""`retouch inspect`: describe a checkpoint before it is exported."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.markup import escape

from retouch_clients.cli.console import error_console
from retouch_clients.cli.exit_codes import Exit
from retouch_clients.cli.output_files import replace_file


@click.command(short_help="Describe a checkpoint and list missing files.")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--hashes",
    is_flag=True,
    help="Verify all files against the hashes in the folder.",
)
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file.",
)
@click.option(
    "--variant",
    metavar="NAME",
    help="Use the weights of this variant, such as fp16, if a component has them.",
)
def inspect(checkpoint: Path, hashes: bool, out: Path | None, variant: str | None) -> None:
    """Describe CHECKPOINT: its networks, the sizes of its lanes and the GPUs that they fit.

    CHECKPOINT is a folder, or a repository of the Hugging Face Hub: ORG/NAME or ORG/NAME@REVISION.
    Of a repository only settings and the headers of weights are downloaded.

    The exit code is 1 if something is missing that an export needs.
    """
    from retouch_clients.inspection.tables import show
    from retouch_export.hub import described
    from retouch_export.hub_name import hub_name
    from retouch_export.summary import summary

    if hashes and hub_name(checkpoint):
        raise click.UsageError(
            f"--hashes needs the files of {checkpoint}; an export downloads and verifies them"
        )
    with described(checkpoint, variant, lambda text: error_console.print(escape(text))) as folder:
        report = summary(folder, hashes, variant)
    show(report)
    if out:
        replace_file(out, (json.dumps(report.to_json(), indent=2) + "\n").encode())
    click.get_current_context().exit(Exit.FAILED if report.missing else Exit.OK)
