"""The difference of two colours as people see it: CIEDE2000.

Luo, Cui and Rigg (2001), in the form of Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference
Formula: Implementation Notes", Color Research and Application 2005. 1 is about the least difference
that is seen side by side."""

from __future__ import annotations

import numpy as np

from retouch.imaging.lab import lab_of

CHUNK = 1 << 16  # pixels that are compared at once, in about 20 MB
POWER = 25.0**7


def mean_difference(first: np.ndarray, second: np.ndarray, inside: np.ndarray) -> float:
    """Mean CIEDE2000 over the pixels `inside` bool [H, W] of two pictures uint8 [H, W, 3]; 0 where
    there are none."""
    pair = first[inside], second[inside]
    count = len(pair[0])
    total = 0.0
    for start in range(0, count, CHUNK):
        chunks = (lab_of(pixels[start : start + CHUNK]) for pixels in pair)
        total += float(ciede2000(*chunks).sum())
    return total / count if count else 0.0


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Differences of colours L*a*b*, float [..., 3] each → [...]. All parametric weights are 1."""
    lightness = _pair(first, second, 0)
    b = _pair(first, second, 2)
    a = _pair(first, second, 1)
    gain = 1.5 - 0.5 * _saturating(np.hypot(a, b).mean(0))
    a = a * gain
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    grey = chroma.prod(0) == 0
    turn = np.where(grey, 0, (hue[1] - hue[0] + 180) % 360 - 180)
    turn = np.where(turn == -180, _half_turn(hue), turn)
    mean_hue = np.where(grey, hue.sum(0), _mean_hue(hue))
    mean_chroma = chroma.mean(0)
    away = (lightness.mean(0) - 50) ** 2
    of_lightness = np.diff(lightness, axis=0)[0] / (1 + 0.015 * away / np.sqrt(20 + away))
    of_chroma = np.diff(chroma, axis=0)[0] / (1 + 0.045 * mean_chroma)
    of_hue = 2 * np.sqrt(chroma.prod(0)) * np.sin(np.radians(turn / 2))
    of_hue = of_hue / (1 + 0.015 * mean_chroma * _hue_weight(mean_hue))
    rotation = -2 * _saturating(mean_chroma) * np.sin(np.radians(60 * _blue(mean_hue)))
    squares = of_lightness**2 + of_chroma**2 + of_hue**2 + rotation * of_chroma * of_hue
    return np.sqrt(np.maximum(squares, 0))


def _pair(first: np.ndarray, second: np.ndarray, channel: int) -> np.ndarray:
    return np.stack([first[..., channel], second[..., channel]])


def _saturating(chroma: np.ndarray) -> np.ndarray:
    power = chroma**7
    return np.sqrt(power / (power + POWER))


def _half_turn(hue: np.ndarray) -> np.ndarray:
    """Degrees between opposite hues, with the sign of the way that does not pass 0."""
    return np.where(hue[1] > hue[0], 180.0, -180.0)


def _mean_hue(hue: np.ndarray) -> np.ndarray:
    """On the shorter way between two hues [2, ...], in degrees."""
    total = hue.sum(0)
    is_near = np.abs(hue[0] - hue[1]) <= 180
    return np.where(is_near, total, np.where(total < 360, total + 360, total - 360)) / 2


def _hue_weight(hue: np.ndarray) -> np.ndarray:
    turn = np.radians(hue)
    return (
        1
        - 0.17 * np.cos(turn - np.radians(30))
        + 0.24 * np.cos(2 * turn)
        + 0.32 * np.cos(3 * turn + np.radians(6))
        - 0.20 * np.cos(4 * turn - np.radians(63))
    )


def _blue(hue: np.ndarray) -> np.ndarray:
    return np.exp(-(((hue - 275) / 25) ** 2))
