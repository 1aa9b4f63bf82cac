"""The frequencies of a picture: what its detail has gained or lost against the source.

The power of natural pictures falls with the frequency by about its square (van der Schaaf and van
Hateren, "Modelling the Power Spectra of Natural Images", Vision Research 1996). Blur makes it fall
faster, noise slower."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.imaging.luma import luma

LEAST_SIDE = 16  # pixels
HIGH = 0.25  # cycles a pixel: half of the highest frequency of a row
BANDS = 12  # of equal width on a logarithmic scale, in which the slope is fitted
FAINT = 1e-2  # squared grey levels: the power that even a flat picture counts as having


@dataclass(frozen=True)
class SpectrumChange:
    """`detail` is the power above HIGH in decibels, answer over source: below 0 where it has become
    less. `slope` is the change of the spectrum's exponent: below 0 where high frequencies have
    become weaker against low ones."""

    detail: float
    slope: float


def spectrum_change(
    source: np.ndarray, answer: np.ndarray, region: np.ndarray
) -> SpectrumChange | None:
    """Of the luma of two pictures uint8 [H, W, 3], in the box around `region` bool [H, W]. None
    where it has a side below LEAST_SIDE."""
    box = _box(region)
    if box is None:
        return None
    before, after = (_power(luma(pixels[box])) for pixels in (source, answer))
    frequency = _frequency(before.shape)
    high = frequency >= HIGH
    detail = 10 * np.log10(after[high].mean() / before[high].mean())
    return SpectrumChange(float(detail), _slope(after, frequency) - _slope(before, frequency))


def _box(region: np.ndarray) -> tuple[slice, slice] | None:
    spans = [np.flatnonzero(region.any(axis)) for axis in (1, 0)]
    if any(len(span) == 0 or span[-1] - span[0] + 1 < LEAST_SIDE for span in spans):
        return None
    rows, columns = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return rows, columns


def _power(grey: np.ndarray) -> np.ndarray:
    """Power of all frequencies in squared grey levels a pixel, under Hann's window."""
    height, width = grey.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    centred = grey - (grey * window).sum() / window.sum()
    return np.abs(np.fft.fft2(centred * window)) ** 2 / (window**2).sum() + FAINT


def _frequency(shape: tuple[int, ...]) -> np.ndarray:
    """Cycles a pixel, from 0."""
    down, across = (np.fft.fftfreq(side) for side in shape)
    return np.hypot(down[:, None], across[None])


def _slope(power: np.ndarray, frequency: np.ndarray) -> float:
    """The exponent of the power by frequency, from the second of a side up to the highest of a
    row, by least squares over the bands that have frequencies."""
    lowest = 2 / min(power.shape)
    edges = np.geomspace(lowest, 0.5, BANDS + 1)
    bands = [(frequency >= low) & (frequency < high) for low, high in zip(edges, edges[1:])]
    points = [(frequency[band].mean(), power[band].mean()) for band in bands if band.any()]
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])
