"""The edits of a batch, several at a time, each noted in the journal when it ends."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import AsyncRetouch
from retouch_clients.batch.job import Job
from retouch_clients.batch.journal import DONE, FAILED, Journal
from retouch_clients.cli.output_files import OutputError, check_output, write_output
from retouch_clients.option_names import with_options

FULL = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
)  # no other result could be written either


@dataclass
class Run:
    """How many edits were done now and in earlier runs, and what the server or the files said of
    the others."""

    done: int = 0
    before: int = 0
    failed: list[tuple[Job, RequestError]] = field(default_factory=list)


async def run(
    jobs: list[Job],
    folder: Path,
    client: AsyncRetouch,
    journal: Journal,
    workers: int,
    tell: Callable[[Run], None],
    force: bool = False,
) -> Run:
    """All jobs, `workers` at a time; `tell` is called after each. Results are written to `folder`,
    in place of others' with `force` alone.

    An edit that fails does not end the others, but a server that is away would fail them all: its
    RequestError (UNAVAILABLE) is raised. Whatever ends the run, what is in the journal is whole.
    """
    found = Run()
    waiting = iter(jobs)
    async with client:
        working = [
            asyncio.create_task(_work(waiting, folder, client, journal, found, tell, force))
            for _ in range(workers)
        ]
        try:
            await asyncio.gather(*working)
        finally:
            for worker in working:
                worker.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    return found


async def _work(
    waiting: Iterator[Job],
    folder: Path,
    client: AsyncRetouch,
    journal: Journal,
    found: Run,
    tell: Callable[[Run], None],
    force: bool,
) -> None:
    for job in waiting:
        try:
            request = job.request()
            key = job.key(request)
            if journal.done(key):
                found.before += 1
            else:
                await _edit(job, key, request, folder, client, journal, force)
                found.done += 1
        except RequestError as failure:
            if failure.code == "UNAVAILABLE":
                raise
            has_mask = isinstance(job.fields.get("region"), Path)
            found.failed.append((job, with_options(failure, has_mask)))
        except OutputError as failure:
            if failure.errno in FULL:
                raise
            found.failed.append(
                (job, RequestError(f"{job.out} cannot be written: {failure.message}", "INTERNAL"))
            )
        tell(found)


async def _edit(
    job: Job,
    key: str,
    request: EditRequest,
    folder: Path,
    client: AsyncRetouch,
    journal: Journal,
    force: bool,
) -> None:
    check_output(folder / job.out, force)
    told = {
        "image": str(job.image),
        "instruction": job.instruction,
        "out": job.out,
        "seed": request.seed,
    }
    try:
        answer = await client.edit_one(**vars(request))
    except RequestError as failure:
        journal.add(key, status=FAILED, **told, code=failure.code, error=str(failure))
        raise
    write_output(folder / job.out, answer.image, force)
    info = answer.info
    journal.add(
        key,
        status=DONE,
        **told,
        lane=info.lane,
        steps=info.steps,
        milliseconds=info.milliseconds.get("total"),
    )
