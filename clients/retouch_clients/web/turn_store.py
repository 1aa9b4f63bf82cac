"""The turns of tabs by a token that the tab itself keeps, so that they are there again after a
refresh or a way back."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from retouch_clients.web.turns import History

TOKEN = re.compile(r"[0-9a-f]{32}")
TABS = 64  # whose turns are kept; beyond, those that were idle longest are forgotten
MOST_BYTES = 512 * 1024 * 1024  # of all pictures
SECONDS = 3600.0  # without a change or a visit

Entry = tuple[float, History]


class KeptTurns:
    """Histories by token, and the tokens of the tabs that are open. Any thread may call."""

    def __init__(
        self,
        tabs: int = TABS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._tabs = tabs
        self._most_bytes = most_bytes
        self._clock = clock
        self._histories: OrderedDict[str, Entry] = (
            OrderedDict()
        )  # the one that was idle longest is first
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def opened(self, tab: str, token: object) -> History | None:
        """What is kept of the page that had this token before, from now on the token of `tab`."""
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

    def left(self, tab: str) -> None:
        """The tab is gone, perhaps for the moment of a refresh: its turns stay."""
        with self._lock:
            self._tokens.pop(tab, None)

    def keep(self, tab: str, history: History) -> None:
        """The turns that `tab` shows now. Without a token they are not kept."""
        with self._lock:
            if token := self._tokens.get(tab):
                self._put(token, history)
                self._drop_old()

    def forget(self, tab: str) -> None:
        with self._lock:
            self._histories.pop(self._tokens.get(tab, ""), None)

    def _put(self, token: str, history: History) -> None:
        self._histories[token] = (self._clock(), history)
        self._histories.move_to_end(token)

    def _drop_old(self) -> None:
        """One history is kept, however large: its own bound is in turns.py."""
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
