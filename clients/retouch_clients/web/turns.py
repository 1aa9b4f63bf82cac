"""The turns of one tab: edits of edits, with undo, redo and branches."""

from __future__ import annotations

from dataclasses import dataclass, replace

from retouch.api.response import EditInfo

MOST = 24  # turns of one tab; beyond, the oldest edits are dropped
MOST_BYTES = 64 * 1024 * 1024  # likewise


@dataclass(frozen=True)
class Turn:
    """An encoded image and the edit that made it.

    `parent` is the index of the turn that was edited. The first turn is the uploaded image, without
    `info` and `parent`.
    """

    image: bytes
    instruction: str = ""
    info: EditInfo | None = None
    parent: int | None = None


@dataclass(frozen=True)
class History:
    """All turns, oldest first, and the index of the current one, which is edited next.

    An edit of an earlier turn adds a branch; later turns are kept.
    """

    turns: tuple[Turn, ...]
    at: int = 0

    @classmethod
    def of(cls, image: bytes) -> History:
        return cls((Turn(image),))

    @property
    def current(self) -> Turn:
        return self.turns[self.at]

    @property
    def before(self) -> Turn | None:
        """The turn that the current turn is an edit of."""
        return None if self.current.parent is None else self.turns[self.current.parent]

    @property
    def redoable(self) -> int | None:
        """The index of the newest edit of the current turn."""
        return max(
            (number for number, turn in enumerate(self.turns) if turn.parent == self.at),
            default=None,
        )

    def added(self, image: bytes, instruction: str, info: EditInfo) -> History:
        """The history with an edit of the current turn, which becomes the current turn."""
        turns = (*self.turns, Turn(image, instruction, info, self.at))
        return History(turns, len(turns) - 1)._bounded()

    def undone(self) -> History:
        return self if self.current.parent is None else replace(self, at=self.current.parent)

    def redone(self) -> History:
        return self if self.redoable is None else replace(self, at=self.redoable)

    def moved(self, to: int) -> History:
        """The history at another turn. An index out of range selects the nearest turn."""
        return replace(self, at=min(max(to, 0), len(self.turns) - 1))

    def _bounded(self) -> History:
        history = self
        while len(history.turns) > 2 and (len(history.turns) > MOST or history.bytes > MOST_BYTES):
            history = history._without(1)
        return history

    @property
    def bytes(self) -> int:
        """Size of all images."""
        return sum(len(turn.image) for turn in self.turns)

    def _without(self, removed: int) -> History:
        """The history without a turn, whose edits become edits of its parent."""

        def new_index(old: int | None) -> int | None:
            old = self.turns[removed].parent if old == removed else old
            return old - 1 if old is not None and old > removed else old

        kept = (turn for index, turn in enumerate(self.turns) if index != removed)
        turns = tuple(replace(turn, parent=new_index(turn.parent)) for turn in kept)
        return History(turns, new_index(self.at) or 0)
