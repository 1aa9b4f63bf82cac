"""Detail of the source image in an edit that was made of a smaller picture.

The edit is described at its own size by four things, which are then applied to the whole source
image:

- a map of colours, and how strongly it acts at every place: most changes of tone and colour
- a residual, what the map leaves; small ones are taken for noise of the networks
- where the source image's detail is gone: objects that were added or removed, blur. There the
  answer is the enlarged edit.

The loss of detail is measured: the slope of the edit's finest band over that of the mapped source
image, by least squares in a window. It is 1 where the content is the same, 0 where it is another.
Pixels are float32 from 0 to 1 unless they are uint8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from retouch.api.response import Detail
from retouch.imaging.colour_map import ColourMap, ColourSamples
from retouch.imaging.enlarged import Enlarged
from retouch.imaging.strips import in_strips

FIT_SIDE = 256  # pixels of the longer side at which the map is fitted
ROUNDS = 2  # of fitting the map and its strength in turn
LEVEL = 1 / 255
STRENGTH_WINDOW = 3  # radius of a window, in pixels of the fit
RESIDUAL_WINDOW = 2
FAR_WINDOW = 12  # for places without detail of their own
EVERYWHERE = 1.05  # a map of all pixels serves where its error is at most so much larger
NOISE = (1 * LEVEL, 8 * LEVEL)  # the least and the largest noise that is assumed
ABOVE_NOISE = 1.6  # times the noise, from which a residual counts
DEAD = (0.75 * LEVEL, 2 * LEVEL)  # changes that count as none, and those that count in full
GONE = 0.25  # slope of detail at which the answer is the enlarged edit
KEPT = 0.55  # and at which all of the detail is the source image's
HOLE = 3  # radius of places within a replaced one that are replaced, too, in pixels of the fit
FAINT = 1.5 * LEVEL  # contrast of the finest band below which it says nothing


@dataclass(frozen=True)
class Change:
    """An edit at its own size. `colours` is the map and `strength` [h, w, 1] how much of it acts,
    None for all of it everywhere. `residual` [h, w, 3] is added, and `replaced` [h, w, 1] is how
    much of the answer is `edited` [h, w, 3]. `detail` is their summary."""

    colours: ColourMap
    strength: np.ndarray | None
    residual: np.ndarray
    replaced: np.ndarray
    edited: np.ndarray
    detail: Detail

    @classmethod
    def of(
        cls,
        source: np.ndarray,
        edited: np.ndarray,
        editable: np.ndarray,
        finest_detail: int = 1,
    ) -> Change:
        """The change from `source` to `edited`, uint8 [h, w, 3] both, where `editable` bool [h, w]
        has a pixel that is True. Detail smaller than `finest_detail` pixels counts as lost by the
        autoencoder, not by the edit."""
        factor = -(-max(editable.shape) // FIT_SIDE)
        weights = editable.astype(np.float32)
        pixels = _floats(source)
        pair = _Pair(_blurred(pixels, finest_detail), _floats(edited), weights, factor)
        colours, small_strength = _fit_colours(pair)
        mapped = _floats(colours.of(source))
        strength = None
        if small_strength is not None:
            strength = _resized(small_strength, editable.shape)[:, :, None]
            mapped = pixels + strength * (mapped - pixels)
        residual = pair.edited - _blurred(mapped, finest_detail)
        residual = residual * _resized(_residual_gain(pair, residual), editable.shape)[:, :, None]
        replaced = _resized(_lost_detail(pair, mapped, finest_detail), editable.shape)
        share = round(float((replaced * weights).sum() / weights.sum()), 4)
        detail = Detail(round(1 - share, 4), share)
        return cls(colours, strength, residual, replaced[:, :, None], pair.edited, detail)

    def apply(self, source: np.ndarray) -> np.ndarray:
        """The edit of a larger `source` uint8 [H, W, 3], as uint8 of the same shape."""
        size = source.shape[0], source.shape[1]
        strength = None if self.strength is None else Enlarged(self.strength, size, is_smooth=True)
        residual = Enlarged(self.residual * 255, size)
        replaced = Enlarged(self.replaced, size, is_smooth=True)
        edited = Enlarged(self.edited * 255, size)
        out = np.empty_like(source)

        def fill(rows: slice) -> None:
            pixels = source[rows]
            mapped = self.colours.of(pixels)
            more = residual.rows_or_none(rows)
            share = replaced.rows_or_none(rows)
            if strength is None and more is None and share is None:
                out[rows] = mapped
                return
            values = mapped.reshape(len(mapped), -1).astype(np.float32)
            if strength is not None:
                before = pixels.reshape(values.shape).astype(np.float32)
                acting = strength.rows_or_none(rows)
                values = before if acting is None else before + acting * (values - before)
            if more is not None:
                values = values + more
            if share is not None:
                values += share * (edited.rows(rows) - values)
            np.rint(values, out=values)
            out[rows] = values.clip(0, 255, out=values).reshape(mapped.shape)

        in_strips(fill, size[0])
        return out


class _Pair:
    """A source image and its edit [h, w, 3], and the weights [h, w] of their pixels; `small` ones
    are means of `factor` pixels in both directions."""

    def __init__(
        self, source: np.ndarray, edited: np.ndarray, weights: np.ndarray, factor: int
    ) -> None:
        self.source = source
        self.edited = edited
        self.weights = weights
        self.size = -(-weights.shape[0] // factor), -(-weights.shape[1] // factor)
        self.small_source = self.small(source)
        self.small_edited = self.small(edited)
        self.small_weights = self.small(weights)

    def small(self, planes: np.ndarray) -> np.ndarray:
        """The means of [h, w] or [h, w, 3]."""
        return _means(planes, self.size)

    def mean(self, planes: np.ndarray, radius: int) -> np.ndarray:
        """The weighted means of small [h, w] in windows; 0 where no pixel counts."""
        total = _window_sums(self.small_weights, radius)
        return _window_sums(planes * self.small_weights, radius) / np.maximum(total, 1e-6)

    def mean_of_all(self, planes: np.ndarray) -> float:
        """The weighted mean of small [h, w]."""
        return float((planes * self.small_weights).sum() / self.small_weights.sum())


def _fit_colours(pair: _Pair) -> tuple[ColourMap, np.ndarray | None]:
    """The map, and its strength [h, w] at the size of the fit: None where one of all pixels
    serves."""
    shape = pair.small_source.shape
    source = pair.small_source.reshape(-1, 3)
    change = pair.small_edited - pair.small_source
    weights = pair.small_weights.ravel()
    samples = ColourSamples(source)
    everywhere, everywhere_values = samples.fit(pair.small_edited.reshape(-1, 3), weights)
    rest = pair.small_edited - everywhere_values.clip(0, 1).reshape(shape)
    if np.sqrt(pair.mean_of_all((rest**2).mean(2))) < LEVEL:
        return _everywhere(pair, everywhere, everywhere_values.reshape(shape))
    strength = _first_strength(pair, change)
    colours = everywhere
    for _ in range(ROUNDS):
        full = source + (change / np.maximum(strength, 0.1)[:, :, None]).reshape(-1, 3)
        colours, values = samples.fit(full, weights * strength.ravel() ** 2)
        step = values.clip(0, 1).reshape(shape) - pair.small_source
        strength = _strength(pair, change, step)
    error = pair.mean_of_all(np.abs(rest).mean(2))
    places = pair.mean_of_all(np.abs(change - strength[:, :, None] * step).mean(2))
    if error < EVERYWHERE * places + LEVEL / 8:
        return _everywhere(pair, everywhere, everywhere_values.reshape(shape))
    amount = np.abs(step).max(2) * strength
    return colours, strength * _rise(pair.mean(amount, 1), *DEAD)


def _everywhere(
    pair: _Pair, colours: ColourMap, values: np.ndarray
) -> tuple[ColourMap, np.ndarray | None]:
    """A map of all pixels, with no strength where its `values` [h, w, 3] are the source's."""
    amount = pair.mean(np.abs(values - pair.small_source).max(2), 1)
    if np.quantile(amount[pair.small_weights > 0], 0.99) < DEAD[1]:
        return colours, np.zeros(amount.shape, np.float32)
    return colours, None


def _first_strength(pair: _Pair, change: np.ndarray) -> np.ndarray:
    """Where something changes, from 0 to 1, [h, w]."""
    amount = np.sqrt(pair.mean((change**2).sum(2), 1))
    top = float(np.quantile(amount[pair.small_weights > 0], 0.95)) + 1e-6
    return _rise(amount, 0.15 * top, 0.5 * top)


def _strength(pair: _Pair, change: np.ndarray, step: np.ndarray) -> np.ndarray:
    """How much of the map's `step` explains the change around every pixel, by least squares."""
    fit = pair.mean((change * step).sum(2), STRENGTH_WINDOW)
    power = pair.mean((step**2).sum(2), STRENGTH_WINDOW)
    strength = ((fit + 1e-5) / (power + 1e-5)).clip(0, 1)
    is_faint = np.sqrt(power) < 3 * LEVEL
    return np.where(is_faint, pair.mean(strength, 3 * STRENGTH_WINDOW), strength)


def _residual_gain(pair: _Pair, residual: np.ndarray) -> np.ndarray:
    """How much of the residual [h, w, 3] is no noise, from 0 to 1, at the size of the fit: a Wiener
    filter whose noise is the lower quartile."""
    power = pair.mean(pair.small((residual**2).mean(2)), RESIDUAL_WINDOW)
    height = np.sqrt(power)
    noise = np.quantile(height[pair.small_weights > 0], 0.25).clip(*NOISE)
    gain = (1 - (ABOVE_NOISE * noise) ** 2 / np.maximum(power, 1e-12)).clip(0, 1)
    return pair.mean(gain, 1)


def _lost_detail(pair: _Pair, mapped: np.ndarray, finest_detail: int) -> np.ndarray:
    """Where the detail of `mapped` [h, w, 3] is not in the edit, from 0 to 1, at the size of the
    fit."""
    ours = _finest(_reduced(mapped, finest_detail))
    theirs = _finest(_reduced(pair.edited, finest_detail))
    shared = pair.small((ours * theirs).sum(2))
    power = pair.small((ours**2).sum(2))
    tiny = 1e-6
    far = (pair.mean(shared, FAR_WINDOW) + tiny) / (pair.mean(power, FAR_WINDOW) + tiny)
    new = pair.mean(pair.small((theirs**2).sum(2)), RESIDUAL_WINDOW)
    noise = np.quantile(new[pair.small_weights > 0], 0.25).clip(0, NOISE[1] ** 2)
    shared = pair.mean(shared, RESIDUAL_WINDOW)
    power = pair.mean(power, RESIDUAL_WINDOW)
    faint = 3 * FAINT**2
    slope = (shared + faint * far) / (np.maximum(power, new - ABOVE_NOISE**2 * noise) + faint)
    return pair.mean(_closed(1 - _rise(slope, GONE, KEPT)), 1)


def _closed(share: np.ndarray) -> np.ndarray:
    """Shares [h, w] from 0 to 1 without small holes, and wider by a pixel."""
    image = Image.fromarray(np.rint(share * 255).astype(np.uint8))
    wider = image.filter(ImageFilter.MaxFilter(2 * HOLE + 3))
    closed = wider.filter(ImageFilter.MinFilter(2 * HOLE + 1))
    return np.asarray(closed).astype(np.float32) * LEVEL


def _blurred(pixels: np.ndarray, factor: int) -> np.ndarray:
    """[h, w, 3] as an autoencoder returns it whose latents are the means of squares of `factor`
    pixels."""
    if factor == 1:
        return pixels
    few = np.moveaxis(_reduced(pixels, factor), 2, 0)
    return np.dstack([_resized(plane, pixels.shape[:2]) for plane in few])


def _reduced(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The means of squares of `factor` pixels of [h, w, 3]."""
    return _means(pixels, (-(-pixels.shape[0] // factor), -(-pixels.shape[1] // factor)))


def _means(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[h, w] or [h, w, 3] at a smaller `size` (height, width)."""
    if planes.shape[:2] == size:
        return planes
    if planes.ndim == 2:
        return _resized(planes, size, Image.Resampling.BOX)
    return np.dstack([_means(plane, size) for plane in np.moveaxis(planes, 2, 0)])


def _finest(pixels: np.ndarray) -> np.ndarray:
    """Pixels [h, w, 3] less the means of 3 × 3."""
    wide = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return pixels - (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def _window_sums(planes: np.ndarray, radius: int) -> np.ndarray:
    """The sums of [h, w] in windows of 2 `radius` + 1 pixels, those beyond the border left out."""
    for axis in (0, 1):
        planes = np.moveaxis(planes, axis, 0)
        count = len(planes)
        sums = np.zeros((count + 1, planes.shape[1]))
        np.cumsum(planes, 0, out=sums[1:])
        index = np.arange(count)
        ends = sums[np.minimum(index + radius + 1, count)]
        planes = np.moveaxis(ends - sums[np.maximum(index - radius, 0)], 0, axis)
    return planes.astype(np.float32)


def _rise(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0 at `low` to 1 at `high`, smoothly."""
    part = ((values - low) / (high - low)).clip(0, 1)
    return (part * part * (3 - 2 * part)).astype(np.float32)


def _resized(
    plane: np.ndarray,
    size: tuple[int, ...],
    by: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """[h, w] at `size` (height, width)."""
    if plane.shape == tuple(size):
        return plane
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((size[1], size[0]), by))


def _floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) * LEVEL
