"""What the parser's heads say of one image: boxes, the region, and whether it is understood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.families.instructx import parser_output
from retouch.families.instructx.assessment import Assessment, Calibration, assess
from retouch.families.instructx.parser_output import Fields


@dataclass(frozen=True)
class HeadsReading:
    """`boxes` [S, 2, 4] are those of `parser_output.places`, `region` bool [N] the cells that may
    change: none where the instruction asks for no change."""

    boxes: np.ndarray
    region: np.ndarray
    assessment: Assessment


@dataclass(frozen=True)
class HeadsReader:
    """`fields`, `threshold` of the region and `calibration` are a checkpoint's."""

    fields: Fields
    threshold: float
    calibration: Calibration

    def read(
        self,
        labels: np.ndarray,
        boxes: np.ndarray,
        region: np.ndarray,
        presence: np.ndarray | None,
        seen: tuple[int, int],
        grid: tuple[int, int],
    ) -> HeadsReading:
        """The heads' outputs for one image: `labels` [S, K], `boxes` [S, 2, 4], `region` [V] of the
        tokens of the grid `seen`, and `presence` [S]. The image is edited on `grid`."""
        places = parser_output.places(labels, boxes, self.fields)
        cells = parser_output.region(
            region, self.threshold, labels, places, self.fields, seen, grid
        )
        assessment = assess(labels, boxes, self.fields, presence, self.calibration)
        if assessment.asks_for_nothing:
            cells = np.zeros_like(cells)
        return HeadsReading(places, cells, assessment)
