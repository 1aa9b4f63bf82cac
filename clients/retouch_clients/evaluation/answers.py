"""A judge's answers: asked in parallel, kept in a journal, and counted by how they ended."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retouch_clients.batch.journal import Journal
from retouch_clients.cli.progress_bar import ProgressBar
from retouch_clients.evaluation.judge import Judge, JudgeError, Refused, Unanswered
from retouch_clients.evaluation.pictures import PictureError
from retouch_clients.evaluation.question import Question, Value

NAME = "answers.jsonl"
ANSWERED = "answered"
UNREADABLE = "unreadable"
REFUSED = "refused"
UNANSWERED = "unanswered"
STATUSES = (ANSWERED, UNREADABLE, REFUSED, UNANSWERED)
LONGEST_TEXT = 4000  # characters of an answer that the journal keeps
# questions in a row that fail before the others are given up
GIVE_UP_FIRST = 5  # where no question has been answered yet
GIVE_UP = 20


@dataclass(frozen=True)
class Asked:
    """A question about the result of an item by a method."""

    method: str
    item: str
    question: Question


@dataclass
class Answers:
    """The values of the readable answers, and what became of all questions.

    `values` are by method and item; an item with a question that has no readable answer is left
    out. `models` and `dates` are those of the answers."""

    values: dict[tuple[str, str], dict[str, Value]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)


def key_of(judge: Judge, asked: Asked) -> str:
    """A hash of the judge, the question and the pictures' content; OSError."""
    digest = hashlib.sha256()
    pictures = [
        (picture.label, _content(picture.path), picture.like and _content(picture.like))
        for picture in asked.question.pictures
    ]
    parts = (judge.url, judge.model, judge.seed, asked.question.prompt(), asked.item, pictures)
    digest.update(repr((*parts, asked.method)).encode())
    return digest.hexdigest()


def ask_all(judge: Judge, questions: Iterable[Asked], folder: Path, workers: int) -> Answers:
    """Ask what the journal in `folder` has no answer to, `workers` at a time.

    Unanswered questions are asked again by the next run; unreadable and refused ones are kept, so
    that a score does not depend on how often a command was run. JudgeError if there is no judge."""
    pending: list[tuple[str, Asked]] = []
    entries: list[tuple[Asked, dict[str, Any]]] = []
    with Journal(folder, NAME) as journal:
        for asked in questions:
            key = key_of(judge, asked)
            entry = journal.last(key)
            if entry and entry.get("status") in STATUSES and entry["status"] != UNANSWERED:
                entries.append((asked, entry))
            else:
                pending.append((key, asked))

        def keep(key: str, asked: Asked, entry: dict[str, Any]) -> None:
            journal.add(key, **entry)
            entries.append((asked, entry))

        _ask(judge, pending, workers, keep, before=len(entries))
    return _collected(entries)


def _ask(
    judge: Judge,
    pending: list[tuple[str, Asked]],
    workers: int,
    keep: Callable[[str, Asked, dict[str, Any]], None],
    before: int,
) -> None:
    """Ask the pending questions and hand each entry on, in this thread; JudgeError."""
    failed = in_a_row = 0
    limit = GIVE_UP if before else min(GIVE_UP_FIRST, len(pending))
    with (
        ProgressBar("judging", before + len(pending)) as bar,
        contextlib.closing(_entries(judge, pending, workers)) as entries,
    ):
        bar.show(before)
        for ended, (key, asked, entry) in enumerate(entries, 1):
            keep(key, asked, entry)
            if entry["status"] in (REFUSED, UNANSWERED):
                failed += 1
                in_a_row += 1
            else:
                in_a_row = 0
                limit = GIVE_UP
            bar.show(before + ended, failed)
            if in_a_row >= limit:
                raise JudgeError(
                    f"the judge at {judge.host} has failed {in_a_row} times in a row: "
                    f"{entry['error']}"
                )


def _entries(
    judge: Judge, pending: list[tuple[str, Asked]], workers: int
) -> Generator[tuple[str, Asked, dict[str, Any]], None, None]:
    """The pending questions with their entries, as they end; JudgeError.

    Workers are daemons, so that a command that is stopped does not wait for a judge that stalls."""
    todo: queue.SimpleQueue[tuple[str, Asked]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[str, Asked, dict[str, Any] | Exception]] = queue.SimpleQueue()
    for pair in pending:
        todo.put(pair)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while not judge.stop.is_set():
                key, asked = todo.get_nowait()
                try:
                    ended.put((key, asked, _entry(judge, asked)))
                except Exception as failure:
                    ended.put((key, asked, failure))

    for _ in range(min(workers, len(pending))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in pending:
            key, asked, entry = ended.get()
            if isinstance(entry, Exception):
                raise entry
            yield key, asked, entry
    except BaseException:  # also GeneratorExit, where the reader stops
        judge.stop.set()
        raise


def _entry(judge: Judge, asked: Asked) -> dict[str, Any]:
    """What the journal keeps of a question; JudgeError."""
    entry: dict[str, Any] = {
        "method": asked.method,
        "item": asked.item,
        "question": asked.question.name,
        "judge": judge.model,
        "endpoint": judge.host,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }
    try:
        reply = judge.ask(asked.question)
    except Unanswered as failure:
        return {"status": UNANSWERED, **entry, "error": str(failure)}
    except (Refused, PictureError) as failure:
        return {"status": REFUSED, **entry, "error": str(failure)}
    values = asked.question.read(reply.text)
    entry |= {"model": reply.model, "attempts": reply.attempts, "text": reply.text[:LONGEST_TEXT]}
    if values is None:
        return {"status": UNREADABLE, **entry}
    return {"status": ANSWERED, **entry, "values": values}


def _collected(entries: Iterable[tuple[Asked, Mapping[str, Any]]]) -> Answers:
    result = Answers()
    incomplete = set()
    for asked, entry in entries:
        place = (asked.method, asked.item)
        result.statuses[entry["status"]] += 1
        if entry["status"] == ANSWERED:
            result.values.setdefault(place, {}).update(entry["values"])
        else:
            incomplete.add(place)
        if entry["status"] in (ANSWERED, UNREADABLE):
            result.models.add(entry["model"])
            result.dates.add(entry["date"])
    for place in incomplete:
        result.values.pop(place, None)
    return result


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
