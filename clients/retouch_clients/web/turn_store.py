"""The turns of tabs by a token that each tab stores, so that they survive a page refresh."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from retouch_clients.web.turns import History

TOKEN = re.compile(r"[0-9a-f]{32}")
TABS = 64  # kept at most; beyond, the longest idle tab is dropped
MOST_BYTES = 512 * 1024 * 1024  # of all images
SECONDS = 3600.0  # without a change or a visit

Entry = tuple[float, History]


class TurnStore:
    """Histories by token, and the tokens of the open tabs. Safe to call from any thread."""

    def __init__(
        self,
        tabs: int = TABS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._tabs = tabs
        self._most_bytes = most_bytes
        self._clock = clock
        # the longest idle first
        self._histories: OrderedDict[str, Entry] = OrderedDict()
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def open_tab(self, tab: str, token: object) -> History | None:
        """Give `tab` this token, and return the turns kept under it, if any."""
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            return None
        with self._lock:
            self._tokens[tab] = token
            self._drop_old()
            if token not in self._histories:
                return None
            history = self._histories[token][1]
            self._put(token, history)
            return history

    def close_tab(self, tab: str) -> None:
        """Forget the tab but keep its turns: it may only be refreshed."""
        with self._lock:
            self._tokens.pop(tab, None)

    def keep(self, tab: str, history: History) -> None:
        """Store the turns that `tab` shows. Turns of a tab without a token are not kept."""
        with self._lock:
            if token := self._tokens.get(tab):
                self._put(token, history)
                self._drop_old()

    def forget(self, tab: str) -> None:
        """Drop the turns of `tab`."""
        with self._lock:
            self._histories.pop(self._tokens.get(tab, ""), None)

    def _put(self, token: str, history: History) -> None:
        self._histories[token] = (self._clock(), history)
        self._histories.move_to_end(token)

    def _drop_old(self) -> None:
        """Drop old histories and enforce the limits, but keep the last one whatever its size.

        turns.py limits the size of one history."""
        oldest = self._clock() - SECONDS
        total = sum(history.bytes for _, history in self._histories.values())
        for token, (since, history) in list(self._histories.items()):
            full = len(self._histories) > self._tabs or (
                total > self._most_bytes and len(self._histories) > 1
            )
            if since >= oldest and not full:
                return
            del self._histories[token]
            total -= history.bytes
