"""`retouch edit`: one image, with a bar while it is edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clients.address import address, server_url
from clients.exits import EPILOG
from clients.knobs import FILE, TEXT, TIMEOUT, asked, format_of, knobs, read
from clients.show import aside, console, save, with_progress
from retouch.client import Retouch
from retouch.types import MAX_PREVIEWS


@click.command(epilog=EPILOG, short_help="Change one image.")
@click.argument("image", type=FILE)
@click.argument("instruction", type=TEXT)
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("out.png"),
              show_default=True)
@address
@click.option("--start", is_flag=True, help="Start a server for this edit when none runs here.")
@knobs
@click.option("--previews", type=int, default=4, show_default=True, help=f"0 to {MAX_PREVIEWS}.")
@click.option("--save-previews", is_flag=True, help="Write them beside the result.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print what is known of the edit as JSON, and nothing else.")
def edit(image: Path, instruction: str, out: Path, url: str | None, http: bool, start: bool, previews: int,
         save_previews: bool, timeout: float | None, as_json: bool, **options: Any) -> None:
    """Change IMAGE as INSTRUCTION says, for example: retouch edit photo.png "make the red circle blue" -o out.png"""
    fields = {"format": format_of(out)} | read(asked(options))
    words = aside if as_json else console
    with server_url(url, http, start, words) as place:
        client = Retouch(place, http, timeout=timeout)
        answers = client.edit(image.read_bytes(), instruction, previews=previews, **fields)
        for answer in with_progress(answers, words):
            if answer.final:
                save(out, answer, words)
            elif save_previews:
                save(out.with_name(f"{out.stem}.step{answer.step[0]:02d}{out.suffix}"), answer, words)
    if as_json:
        click.echo(answer.info.to_json())
