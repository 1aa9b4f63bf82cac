"""Retries of edits that the server could not take, and the time limit of all attempts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from retouch.api.errors import RequestError
from retouch.client.errors import too_late

SHORT = 10.0  # seconds for any call but an edit


@dataclass(frozen=True)
class Retries:
    """When an edit is sent again: only after UNAVAILABLE, and never after an answer has come.

    There are at most `attempts` in all. The first pause is `first` seconds; every further one is
    twice as long, up to `longest`. Each is shortened at random by up to a half, so that clients
    that were refused together do not return together. No pause is shorter than the server asks."""

    attempts: int = 4
    first: float = 0.2
    longest: float = 10.0

    def pause(self, failure: RequestError, attempts: int) -> float | None:
        """Seconds until the next attempt; None when there is none.

        `attempts` have failed so far, the last one with `failure`."""
        if failure.code != "UNAVAILABLE" or attempts >= self.attempts:
            return None
        pause = min(self.first * 2 ** (attempts - 1), self.longest) * random.uniform(0.5, 1.0)
        return max(pause, failure.retry_after or 0.0)


class Timeout:
    """A limit of `seconds` from now that all attempts of an edit share; None is no limit."""

    def __init__(self, seconds: float | None):
        self._seconds = seconds
        self._begin = time.monotonic()

    def remaining(self) -> float | None:
        """Seconds until the limit, None without one; RequestError (DEADLINE_EXCEEDED) after it."""
        if self._seconds is None:
            return None
        remaining = self._begin + self._seconds - time.monotonic()
        if remaining <= 0:
            raise self.error()
        return remaining

    def allows(self, pause: float) -> bool:
        """Whether more than `pause` seconds remain."""
        return self._seconds is None or self._begin + self._seconds - time.monotonic() > pause

    def error(self) -> RequestError:
        return too_late(self._seconds or 0.0)


class Attempts:
    """The attempts of one edit: their number, their common timeout, and whether an answer has
    come."""

    def __init__(self, retries: Retries, seconds: float | None):
        self.timeout = Timeout(seconds)
        self.answered = False
        self._retries = retries
        self._failed = 0

    def pause_after(self, failure: RequestError) -> float:
        """Seconds until the next attempt; raises `failure` when there is none."""
        self._failed += 1
        pause = None if self.answered else self._retries.pause(failure, self._failed)
        if pause is None or not self.timeout.allows(pause):
            raise failure
        return pause
