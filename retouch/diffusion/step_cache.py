"""Steps without running the network: the previous velocity is reused while its predicted change is
small.

The rule is that of EasyCache (arXiv 2507.02860), a TeaCache that learns its rate while it runs. The
rate is the velocity's change per change of the noisy tokens, over the last two steps that ran. The
previous velocity is reused while the predicted accumulated change, relative to the velocity, stays
below a threshold. Every edit decides by itself, so edits with different thresholds share steps."""

from __future__ import annotations

import numpy as np


class StepCache:
    """The cache of one edit. `threshold` 0 reuses nothing; 0.05 is cautious, 0.3 is bold."""

    def __init__(self, threshold: float):
        self.threshold = threshold
        self._tokens = np.empty(0)  # of the last step, reused or run; empty before the first
        self._velocity = np.empty(0)  # likewise
        self._rate = 0.0  # the velocity's change per change of the tokens
        self._change = 0.0  # accumulated since the last run, as predicted

    def serves(self, tokens: np.ndarray) -> bool:
        """Whether to reuse the previous velocity for noisy tokens [n, D]; never in an edit's first
        two steps."""
        return bool(self._rate) and self._predicted_change(tokens) < self.threshold

    def velocity(self, tokens: np.ndarray) -> np.ndarray:
        """The previous velocity [n, D], reused for these tokens [n, D]."""
        self._change = self._predicted_change(tokens)
        self._tokens = tokens
        return self._velocity

    def ran(self, tokens: np.ndarray, velocity: np.ndarray) -> None:
        """Record the network's `velocity` for `tokens`, both [n, D]."""
        if self.threshold and self._tokens.size:
            self._rate = _size(velocity - self._velocity) / max(_size(tokens - self._tokens), 1e-12)
        self._tokens = tokens
        self._velocity = velocity
        self._change = 0.0

    def _predicted_change(self, tokens: np.ndarray) -> float:
        return self._change + self._rate * _size(tokens - self._tokens) / max(
            _size(self._velocity), 1e-12
        )


def _size(array: np.ndarray) -> float:
    return float(np.abs(array).mean())
