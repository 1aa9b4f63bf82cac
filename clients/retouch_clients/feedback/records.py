"""What is kept: answers, their images where the operator keeps them, and people's feedback."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_REASON = 2000  # characters
MAX_KEY = 128  # characters of an idempotency key
MAX_FEEDBACK = 16  # of one answer, under different idempotency keys

Thumb = Literal["up", "down"]
SCORES: dict[Thumb, float] = {"up": 1.0, "down": 0.0}
PAGE = "page"  # the owner of the page's answers


@dataclass(frozen=True)
class Answer:
    """A finished edit. `number` counts the answers of one request from 0.

    `owner` is who may rate it: the hash of the API key that made it, "" without keys. `made_at` is
    in seconds since 1970. `id` is unique, and orders answers of the same moment."""

    id: str
    request_id: str
    number: int
    owner: str
    made_at: float
    model: str
    lane: str
    checkpoint: str
    seed: int
    steps: int
    source_sha256: str
    answer_sha256: str
    operations: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptImage:
    """An encoded image of an answer, kept until `expires_at` (seconds since 1970)."""

    answer_id: str
    kind: Literal["source", "answer"]
    data: bytes
    expires_at: float


@dataclass(frozen=True)
class Recorded:
    """An answer with the images that are kept of it."""

    answer: Answer
    images: tuple[KeptImage, ...] = ()


@dataclass(frozen=True)
class Feedback:
    """What a person says of an answer: `score` from 0 (bad) to 1 (good), and a reason.

    One idempotency key, which may be "", stands for one feedback on an answer."""

    request_id: str
    score: float
    thumb: Thumb | None = None
    reason: str = ""
    number: int = 0
    owner: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True)
class Receipt:
    """A feedback that is on disk. `repeated`: it was there before."""

    id: str
    given_at: float
    repeated: bool


@dataclass(frozen=True)
class Deleted:
    """How many rows a deletion has removed."""

    answers: int
    feedback: int
    images: int


@dataclass(frozen=True)
class Labelled:
    """An answer with the newest feedback on it."""

    answer: Answer
    score: float
    reason: str
    given_at: float


def hash_of(key: str) -> str:
    """The hash under which an API key is kept."""
    return hashlib.sha256(b"retouch feedback: " + key.encode()).hexdigest()
