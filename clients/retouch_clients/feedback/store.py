"""The store: answers and feedback in two tables that only grow, until rows are deleted."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from retouch_clients.feedback.database import ROW_FAULTS, Database
from retouch_clients.feedback.errors import (
    ForeignAnswer,
    OtherFeedback,
    TooMuchFeedback,
    UnknownAnswer,
)
from retouch_clients.feedback.records import (
    MAX_FEEDBACK,
    Answer,
    Deleted,
    Feedback,
    KeptImage,
    Labelled,
    Receipt,
    Recorded,
)
from retouch_clients.feedback.tables import ANSWERS, FEEDBACK, IMAGES

JSON_COLUMNS = ("operations", "scores", "versions")


class Store:
    """Safe to call from any thread. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time):
        self.database = database
        self._clock = clock
        self._insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert

    def prepare(self) -> None:
        """Make the tables, unless they are there."""
        with self.database.transaction(reading=True):
            pass

    def close(self) -> None:
        self.database.close()

    def add(self, recorded: Sequence[Recorded]) -> None:
        """Store answers and their images; those that are stored already stay as they are.

        ROW_FAULTS for a row that the database does not take."""
        answers = [_row_of(entry.answer) for entry in recorded]
        images = [asdict(image) for entry in recorded for image in entry.images]
        with self.database.transaction() as connection:
            for table, rows in ((ANSWERS, answers), (IMAGES, images)):
                if rows:
                    connection.execute(self._insert(table).on_conflict_do_nothing(), rows)

    def give(self, feedback: Feedback) -> Receipt:
        """Store feedback once, and return what is on disk then. FeedbackError."""
        try:
            with self.database.transaction() as connection:
                answer_id = self._answer_of(connection, feedback)
                receipt = self._added(connection, answer_id, feedback)
                return receipt or _receipt_of(_existing(connection, answer_id, feedback), feedback)
        except ROW_FAULTS:  # the answer was deleted in between
            raise _unknown(feedback) from None

    def delete(self, request_id: str) -> Deleted:
        """Delete all answers of a request, with their images and the feedback on them."""
        ids = select(ANSWERS.c.id).where(ANSWERS.c.request_id == request_id)
        with self.database.transaction() as connection:
            images = connection.execute(delete(IMAGES).where(IMAGES.c.answer_id.in_(ids)))
            feedback = connection.execute(delete(FEEDBACK).where(FEEDBACK.c.answer_id.in_(ids)))
            answers = connection.execute(delete(ANSWERS).where(ANSWERS.c.request_id == request_id))
            counts = Deleted(answers.rowcount, feedback.rowcount, images.rowcount)
        self.database.overwrite_log()
        return counts

    def expire(self) -> int:
        """Delete the images whose time is over, and return their number."""
        with self.database.transaction() as connection:
            done = connection.execute(delete(IMAGES).where(IMAGES.c.expires_at <= self._clock()))
        if done.rowcount:
            self.database.overwrite_log()
        return done.rowcount

    def images(self, request_id: str, number: int = 0) -> list[KeptImage]:
        """The images of a request's answers that are kept still."""
        statement = (
            select(IMAGES)
            .join(ANSWERS, ANSWERS.c.id == IMAGES.c.answer_id)
            .where(ANSWERS.c.request_id == request_id, ANSWERS.c.number == number)
            .where(IMAGES.c.expires_at > self._clock())
            .order_by(IMAGES.c.answer_id, IMAGES.c.kind.desc())
        )
        with self.database.transaction(reading=True) as connection:
            return [KeptImage(**row._mapping) for row in connection.execute(statement)]

    def labelled(self) -> list[Labelled]:
        """The answers that have feedback, by time, with the newest of it."""
        columns = (FEEDBACK.c.score, FEEDBACK.c.reason, FEEDBACK.c.given_at)
        statement = (
            select(*ANSWERS.c, *(column.label(f"feedback_{column.name}") for column in columns))
            .join(FEEDBACK, FEEDBACK.c.answer_id == ANSWERS.c.id)
            .order_by(ANSWERS.c.made_at, ANSWERS.c.id, FEEDBACK.c.given_at, FEEDBACK.c.id)
        )
        with self.database.transaction(reading=True) as connection:
            rows = connection.execute(statement).all()
        newest = {row.id: _labelled_of(row) for row in rows}  # later ones replace earlier ones
        return list(newest.values())

    def counts(self) -> tuple[int, int]:
        """How many answers and how many feedbacks are stored."""
        with self.database.transaction(reading=True) as connection:
            answers = connection.execute(select(func.count()).select_from(ANSWERS)).scalar_one()
            feedback = connection.execute(select(func.count()).select_from(FEEDBACK)).scalar_one()
        return answers, feedback

    def _answer_of(self, connection: Connection, feedback: Feedback) -> str:
        """The id of the newest answer of this request that the feedback's owner has made."""
        statement = (
            select(ANSWERS.c.id, ANSWERS.c.owner)
            .where(ANSWERS.c.request_id == feedback.request_id)
            .where(ANSWERS.c.number == feedback.number)
            .order_by(ANSWERS.c.made_at.desc(), ANSWERS.c.id.desc())
        )
        rows = connection.execute(statement).all()
        if not rows:
            raise _unknown(feedback)
        own = [row.id for row in rows if row.owner == feedback.owner]
        if not own:
            raise ForeignAnswer(f"another key has made the answer '{feedback.request_id}'")
        return own[0]

    def _added(self, connection: Connection, answer_id: str, feedback: Feedback) -> Receipt | None:
        """The receipt of new feedback; None if its idempotency key is taken."""
        receipt = Receipt(f"fb_{secrets.token_hex(12)}", self._clock(), repeated=False)
        row = {
            "id": receipt.id,
            "answer_id": answer_id,
            "idempotency_key": feedback.idempotency_key,
            "owner": feedback.owner,
            "score": feedback.score,
            "thumb": feedback.thumb,
            "reason": feedback.reason,
            "given_at": receipt.given_at,
        }
        statement = self._insert(FEEDBACK).values(row).on_conflict_do_nothing()
        if connection.execute(statement.returning(FEEDBACK.c.id)).first() is None:
            return None
        same = FEEDBACK.c.answer_id == answer_id
        count = connection.execute(select(func.count()).select_from(FEEDBACK).where(same))
        if count.scalar_one() > MAX_FEEDBACK:  # raising takes the row back
            raise TooMuchFeedback(f"an answer takes at most {MAX_FEEDBACK} feedbacks")
        return receipt


def _existing(connection: Connection, answer_id: str, feedback: Feedback) -> Row:
    statement = (
        select(FEEDBACK)
        .where(FEEDBACK.c.answer_id == answer_id)
        .where(FEEDBACK.c.idempotency_key == feedback.idempotency_key)
    )
    return connection.execute(statement).one()


def _receipt_of(row: Row, feedback: Feedback) -> Receipt:
    """The receipt of feedback that is stored already; OtherFeedback if it says something else."""
    stored = (row.score, row.thumb, row.reason, row.owner)
    if stored != (feedback.score, feedback.thumb, feedback.reason, feedback.owner):
        raise OtherFeedback(
            f"the answer '{feedback.request_id}' has other feedback under this idempotency key"
        )
    return Receipt(row.id, row.given_at, repeated=True)


def _unknown(feedback: Feedback) -> UnknownAnswer:
    return UnknownAnswer(f"there is no answer '{feedback.request_id}' number {feedback.number}")


def _row_of(answer: Answer) -> dict[str, Any]:
    row = asdict(answer)
    return row | {name: json.dumps(row[name]) for name in JSON_COLUMNS}


def _labelled_of(row: Row) -> Labelled:
    values = dict(row._mapping)
    score, reason, given_at = (
        values.pop(f"feedback_{name}") for name in ("score", "reason", "given_at")
    )
    values |= {name: json.loads(values[name]) for name in JSON_COLUMNS}
    return Labelled(Answer(**values), score, reason, given_at)
