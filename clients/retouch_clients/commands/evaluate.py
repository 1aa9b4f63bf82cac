"""`retouch evaluate`: run a public benchmark of image editing through a server and judge it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from retouch.api.fields import BY_NAME, FIELDS
from retouch.api.limits import MAX_SEED
from retouch_clients.addresses.server_options import address_options
from retouch_clients.cli.exit_codes import EPILOG
from retouch_clients.edit_options import FORCE, TIMEOUT, WORKERS, option, out_folder

PRECISION = BY_NAME["PRECISION"]
SUITES = ("rise", "gedit", "imgedit", "kris")
MAX_REPEATS = 100
# what the suite or an option of this command sets
SET_HERE = ("SEED", "PRECISION", "FORMAT", "REFERENCES")
# a benchmark wants an answer to every instruction
OWN_DEFAULTS = {"ON_UNKNOWN": "try"}


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options that all its edits share."""
    for field in reversed(FIELDS):
        if field.option and field.column and field.name not in SET_HERE:
            command = option(field, OWN_DEFAULTS.get(field.name))(command)
    return command


@click.command(epilog=EPILOG, short_help="Run a benchmark of image editing and judge it.")
@click.option("--suite", type=click.Choice(SUITES), required=True, help="The benchmark.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder with the benchmark's data.",
)
@out_folder("results, answers and the report")
@FORCE
@click.option(
    "--lane", help=f"The lane of the edits, or a policy.  [{BY_NAME['PRECISION'].check.allowed}]"
)
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED - MAX_REPEATS),
    default=0,
    show_default=True,
    help="The first repeat's seed; each further repeat has the next one.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, MAX_REPEATS),
    default=3,
    show_default=True,
    help="How often every edit is made and judged.",
)
@click.option("--limit", type=click.IntRange(1), help="Take only this many items, evenly spaced.")
@click.option(
    "--pairwise",
    multiple=True,
    metavar="SIDE",
    help="Compare results in pairs. A side is a lane, or a folder of results. Give two or more; "
    "each is compared with the first.",
)
@click.option("--judge", metavar="URL", help="Chat-completions API of the judge: https://HOST/v1.")
@click.option("--judge-model", metavar="NAME", help="The judge's model.")
@click.option(
    "--judge-workers",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Number of concurrent questions.",
)
@click.option(
    "--judge-timeout",
    type=click.FloatRange(0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Give an attempt of a question up after this time.",
)
@click.option(
    "--judge-attempts",
    type=click.IntRange(1, 20),
    default=5,
    show_default=True,
    help="Attempts of a question, with growing pauses between them.",
)
@WORKERS
@address_options
@suite_options
@TIMEOUT
def evaluate(
    suite: str,
    data: Path,
    out: Path,
    force: bool,
    lane: str | None,
    seed: int,
    repeats: int,
    limit: int | None,
    pairwise: tuple[str, ...],
    judge: str | None,
    judge_model: str | None,
    judge_workers: int,
    judge_timeout: float,
    judge_attempts: int,
    workers: int,
    url: str | None,
    http: bool,
    timeout: float | None,
    **options: Any,
) -> None:
    """Make a benchmark's edits through a running server, and judge them.

    The results lie in the folders that the authors' scripts read. With --judge and --judge-model,
    questions of our own are put to an OpenAI-compatible endpoint, with RETOUCH_JUDGE_KEY as its
    key. OUT/report.html shows the pictures and the figures, OUT/evaluation.json the figures.

    Run the command again to resume: finished edits and answers are kept. Results of a different
    edit are overwritten only with --force."""
    from retouch.util import env
    from retouch_clients.evaluation.judge import Judge
    from retouch_clients.evaluation.run import run
    from retouch_clients.evaluation.settings import Settings

    if bool(judge) != bool(judge_model):
        raise click.UsageError("pass both --judge and --judge-model, or neither")
    if pairwise and not judge:
        raise click.UsageError("--pairwise needs a judge; pass --judge and --judge-model")
    if pairwise and (len(pairwise) < 2 or len(set(pairwise)) < len(pairwise)):
        raise click.UsageError("--pairwise needs two or more sides that differ")
    if pairwise and lane:
        raise click.UsageError("--lane and --pairwise exclude each other; name lanes as sides")
    asked = None
    if judge and judge_model:
        asked = Judge(
            judge,
            judge_model,
            key=env.JUDGE_KEY.get(),
            timeout=judge_timeout,
            attempts=judge_attempts,
        )
    settings = Settings(
        suite=suite,
        data=data,
        out=out,
        lane=(lane or PRECISION.default).strip().lower(),
        seed=seed,
        repeats=repeats,
        limit=limit,
        sides=pairwise,
        judge=asked,
        judge_workers=judge_workers,
        workers=workers,
        url=url,
        http=http,
        timeout=timeout,
        force=force,
        options=options | {"region": options["region"].encode()},
    )
    click.get_current_context().exit(run(settings))
