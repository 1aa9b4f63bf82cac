"""Steps that need not run the network: where the velocity has hardly changed of late, the last one
serves again.

The rule is that of EasyCache (arXiv 2507.02860), which TeaCache's became when it learnt its rate
while it runs: over the last two steps that ran, the velocity changed so much for so much change of
the noisy tokens; as long as the change that this foretells adds up to less than a threshold,
relative to the velocity, no step runs. An edit decides by itself, so that edits with other
thresholds, or none, can share their steps."""

from __future__ import annotations

import numpy as np


class StepCache:
    """Of one edit. `threshold` 0 reuses nothing; 0.05 is cautious, 0.3 is bold."""

    def __init__(self, threshold: float):
        self.threshold = threshold
        self._tokens = self._velocity = None  # of the last step, whether it ran or not
        self._rate = self._change = (
            0.0  # of the velocity by the tokens', and what it foretells since the last run
        )

    def serves(self, tokens: np.ndarray) -> bool:
        """Whether the last velocity is near enough for the noisy tokens [n, D]; never at an edit's
        first two steps."""
        return bool(self._rate) and self._foretold(tokens) < self.threshold

    def velocity(self, tokens: np.ndarray) -> np.ndarray:
        """The last one [n, width], taken for these tokens."""
        self._change = self._foretold(tokens)
        self._tokens = tokens
        return self._velocity

    def ran(self, tokens: np.ndarray, velocity: np.ndarray) -> None:
        """The network said `velocity` for `tokens`, both [n, D]."""
        if self.threshold and self._tokens is not None:
            self._rate = _size(velocity - self._velocity) / max(_size(tokens - self._tokens), 1e-12)
        self._tokens = tokens
        self._velocity = velocity
        self._change = 0.0

    def _foretold(self, tokens: np.ndarray) -> float:
        return self._change + self._rate * _size(tokens - self._tokens) / max(
            _size(self._velocity), 1e-12
        )


def _size(array: np.ndarray) -> float:
    return float(np.abs(array).mean())
