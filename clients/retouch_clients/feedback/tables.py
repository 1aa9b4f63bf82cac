"""The tables of the store. Rows are added and deleted, never changed."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

ANSWERS = Table(
    "retouch_answers",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("request_id", String(128), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("model", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("source_sha256", String(64), nullable=False),
    Column("answer_sha256", String(64), nullable=False),
    Column("operations", Text, nullable=False),  # JSON
    Column("scores", Text, nullable=False),  # JSON
    Column("versions", Text, nullable=False),  # JSON
)

IMAGES = Table(
    "retouch_answer_images",
    METADATA,
    Column("answer_id", ForeignKey(ANSWERS.c.id, ondelete="CASCADE"), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

FEEDBACK = Table(
    "retouch_feedback",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("answer_id", ForeignKey(ANSWERS.c.id, ondelete="CASCADE"), nullable=False),
    Column("idempotency_key", String(128), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("score", Double, nullable=False),
    Column("thumb", String(4)),
    Column("reason", Text, nullable=False),
    Column("given_at", Double, nullable=False),
    UniqueConstraint("answer_id", "idempotency_key", name="retouch_feedback_once"),
    Index("retouch_feedback_given_at", "given_at"),
)
