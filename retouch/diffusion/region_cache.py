"""Steps on the region alone, in families whose tokens all attend to one another: the region's
tokens over the keys and values that all others had in the last whole step.

RegionE (arXiv 2510.25590) does so too, with a schedule of its own. Here the first quarter of the
steps runs whole, in which the picture takes its shape. Then every whole step is followed by a fixed
number of steps on the region. Meanwhile the other tokens move by their last velocity."""

from __future__ import annotations

from retouch.diffusion.changed_region import decisive_step


class RegionCache:
    """The schedule of one edit of `steps`. `interval` is how many steps on the region follow a
    whole one; 0 is none."""

    def __init__(self, interval: int, steps: int):
        self._interval = interval
        self._steps = steps
        self._first = decisive_step(steps)

    def keeps(self, done: int) -> bool:
        """Whether the step after `done` is whole and keeps what the next ones need."""
        is_followed = self._interval > 0 and done + 1 < self._steps
        return is_followed and done >= self._first and not self._place(done)

    def serves(self, done: int) -> bool:
        """Whether the step after `done` may run on the region alone."""
        return self._interval > 0 and done > self._first and self._place(done) > 0

    def _place(self, done: int) -> int:
        """Place of a step in its group; the first is whole."""
        return (done - self._first) % (self._interval + 1)
