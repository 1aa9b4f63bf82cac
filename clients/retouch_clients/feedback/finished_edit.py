"""A finished edit as it is handed over for recording, and the rows that are made of it."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass

from retouch.api.response import EditInfo
from retouch_clients.feedback.records import Answer, KeptImage, Recorded


@dataclass(frozen=True)
class FinishedEdit:
    """An answer as it was sent. `source` and `image` are encoded files, `at` is in seconds since
    1970, and the rest is as in Answer."""

    request_id: str
    source: bytes
    image: bytes
    info: EditInfo
    at: float
    owner: str = ""
    model: str = ""
    number: int = 0

    @property
    def size(self) -> int:
        """Bytes of its images."""
        return len(self.source) + len(self.image)

    def recorded(self, keep_seconds: float = 0.0) -> Recorded:
        """Its rows; with images if they are kept for some seconds. Hashing takes a while."""
        info = self.info
        scores = asdict(info.scores) if info.scores else {}
        evaluator = scores.pop("evaluator", "")
        answer = Answer(
            id=secrets.token_hex(16),
            request_id=self.request_id,
            number=self.number,
            owner=self.owner,
            made_at=self.at,
            model=self.model,
            lane=info.lane,
            checkpoint=info.versions.get("checkpoint", ""),
            seed=info.seed,
            steps=info.steps,
            source_sha256=hashlib.sha256(self.source).hexdigest(),
            answer_sha256=hashlib.sha256(self.image).hexdigest(),
            operations=[asdict(operation) for operation in info.operations],
            scores=scores,
            versions=info.versions | ({"evaluator": evaluator} if scores else {}),
        )
        if not keep_seconds:
            return Recorded(answer)
        until = self.at + keep_seconds
        return Recorded(
            answer,
            (
                KeptImage(answer.id, "source", self.source, until),
                KeptImage(answer.id, "answer", self.image, until),
            ),
        )
