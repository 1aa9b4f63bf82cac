"""Run the edits of a batch concurrently and record each in the journal when it ends."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import AsyncRetouch, Retries
from retouch_clients.batch.job import Job
from retouch_clients.batch.journal import DONE, FAILED, Journal
from retouch_clients.cli.output_files import OutputError, check_output, write_output
from retouch_clients.option_names import with_options

RETRIES = Retries(attempts=8)  # about 17 s, enough for a server restart
# errors after which no other result could be written either
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass
class Run:
    """Edits done in this run and in earlier runs, and the errors of the others."""

    done: int = 0
    done_before: int = 0
    failed: list[tuple[Job, RequestError]] = field(default_factory=list)


async def run(
    jobs: list[Job],
    folder: Path,
    client: AsyncRetouch,
    journal: Journal,
    workers: int,
    on_progress: Callable[[Run], None],
    force: bool = False,
) -> Run:
    """Run all jobs, `workers` at a time, and call `on_progress` after each.

    Results are written to `folder`; those of a different edit are overwritten only with `force`.
    A failed edit does not stop the others. RequestError (UNAVAILABLE) if the server is gone, as
    every further edit would fail. The journal is complete however the run ends.
    """
    result = Run()
    waiting = iter(jobs)
    async with client:
        working = [
            asyncio.create_task(_work(waiting, folder, client, journal, result, on_progress, force))
            for _ in range(workers)
        ]
        try:
            await asyncio.gather(*working)
        finally:
            for worker in working:
                worker.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    return result


async def _work(
    waiting: Iterator[Job],
    folder: Path,
    client: AsyncRetouch,
    journal: Journal,
    result: Run,
    on_progress: Callable[[Run], None],
    force: bool,
) -> None:
    for job in waiting:
        try:
            request = job.request()
            key = job.key(request)
            if journal.done(key):
                result.done_before += 1
            else:
                await _edit(job, key, request, folder, client, journal, force)
                result.done += 1
        except RequestError as failure:
            if failure.code == "UNAVAILABLE":
                raise
            has_mask = isinstance(job.fields.get("region"), Path)
            result.failed.append((job, with_options(failure, has_mask)))
        except OutputError as failure:
            if failure.errno in DISK_ERRORS:
                raise
            result.failed.append(
                (job, RequestError(f"{job.out} cannot be written: {failure.message}", "INTERNAL"))
            )
        on_progress(result)


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
    entry = {
        "image": str(job.image),
        "instruction": job.instruction,
        "out": job.out,
        "seed": request.seed,
    }
    try:
        answer = await client.edit_one(**vars(request))
    except RequestError as failure:
        journal.add(key, status=FAILED, **entry, code=failure.code, error=str(failure))
        raise
    write_output(folder / job.out, answer.image, force)
    info = answer.info
    journal.add(
        key,
        status=DONE,
        **entry,
        lane=info.lane,
        steps=info.steps,
        milliseconds=info.milliseconds.get("total"),
    )
