"""A result is rated by a thumb and a reason."""

from __future__ import annotations

import secrets
from typing import Any

from retouch_clients.feedback.errors import FeedbackError
from retouch_clients.feedback.records import MAX_REASON, PAGE, SCORES, Feedback, Thumb
from retouch_clients.feedback.service import FeedbackService
from retouch_clients.web.layout import Layout
from retouch_clients.web.turn_view import EXPIRED, Updates


class RatingEvents:
    """Handlers of a page that takes feedback. Of several clicks on a result the last one counts."""

    def __init__(self, page: Layout, service: FeedbackService):
        self._page = page
        self._service = service

    async def rated_up(self, values: dict[Any, Any]) -> Updates:
        return await self._rated("up", values)

    async def rated_down(self, values: dict[Any, Any]) -> Updates:
        return await self._rated("down", values)

    async def _rated(self, thumb: Thumb, values: dict[Any, Any]) -> Updates:
        rating = self._page.rating
        history = values[self._page.history]
        if history is None or history.current.info is None:
            return {rating.status: rating.trouble(EXPIRED.rstrip("."))}
        feedback = Feedback(
            history.current.info.request_id,
            SCORES[thumb],
            thumb,
            (values[rating.reason] or "").replace("\0", "")[:MAX_REASON],
            owner=PAGE,
            idempotency_key=secrets.token_hex(8),
        )
        try:
            await self._service.give(feedback)
        except FeedbackError as failure:
            return {rating.status: rating.trouble(str(failure))}
        return {rating.status: rating.stored()}
