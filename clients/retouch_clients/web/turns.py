"""The turns of one tab: pictures that came one from the other, with undo, redo and ways back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from retouch.api.response import EditInfo

MOST = 24
MOST_BYTES = 64 * 1024 * 1024  # of one tab; beyond, the oldest edits are forgotten


@dataclass(frozen=True)
class Turn:
    """An encoded picture, and how it came to be: the first turn is what was dropped and has no
    `info` and no `parent`.

    `parent` is the number of the turn that was edited.
    """

    image: bytes
    instruction: str = ""
    info: EditInfo | None = None
    parent: int | None = None


@dataclass(frozen=True)
class History:
    """All turns, the oldest first, and the number of the one that is looked at and edited next.

    Nothing is lost by going back: an edit of an earlier turn is a branch beside the later ones.
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
        """What the current turn is an edit of."""
        return None if self.current.parent is None else self.turns[self.current.parent]

    @property
    def redoable(self) -> int | None:
        """The newest edit of the current turn."""
        return max(
            (number for number, turn in enumerate(self.turns) if turn.parent == self.at),
            default=None,
        )

    def added(self, image: bytes, instruction: str, info: EditInfo) -> History:
        """With an edit of the current turn, which is the current one then."""
        turns = (*self.turns, Turn(image, instruction, info, self.at))
        return History(turns, len(turns) - 1)._bounded()

    def undone(self) -> History:
        return self if self.current.parent is None else replace(self, at=self.current.parent)

    def redone(self) -> History:
        return self if self.redoable is None else replace(self, at=self.redoable)

    def moved(self, to: int) -> History:
        """At another turn; at the nearest there is when there is none of that number."""
        return replace(self, at=min(max(to, 0), len(self.turns) - 1))

    def _bounded(self) -> History:
        history = self
        while len(history.turns) > 2 and (len(history.turns) > MOST or history.bytes > MOST_BYTES):
            history = history._without(1)
        return history

    @property
    def bytes(self) -> int:
        """Of all pictures."""
        return sum(len(turn.image) for turn in self.turns)

    def _without(self, gone: int) -> History:
        """Edits of the turn that goes become edits of what it was an edit of."""

        def number(old: int | None) -> int | None:
            old = self.turns[gone].parent if old == gone else old
            return old - 1 if old is not None and old > gone else old

        kept = (turn for each, turn in enumerate(self.turns) if each != gone)
        return History(
            tuple(replace(turn, parent=number(turn.parent)) for turn in kept), number(self.at)
        )
