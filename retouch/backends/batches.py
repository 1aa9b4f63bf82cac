"""Rows of inputs through a backend, several in one run where that gains time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from retouch.backends.base import Backend

LARGEST = 8  # rows of a run

Arrays = dict[str, np.ndarray]


def run_rows(
    backend: Backend,
    rows: Sequence[Arrays],
    shared: Sequence[str] = (),
    most: Callable[[Arrays], int] = lambda row: LARGEST,
) -> list[Arrays]:
    """The outputs for every row's inputs, all with a batch dimension of 1.

    Where the backend `batches`, rows with equal shapes share a run, else every row runs alone.
    Inputs named in `shared` have no batch dimension; only rows with equal ones share a run.
    `most` is the number of rows like this one that may share a run."""
    outputs: list[Arrays] = [{} for _ in rows]
    for group in _groups(backend, rows, shared, most):
        inputs = {
            name: value if name in shared else [rows[index][name] for index in group]
            for name, value in rows[group[0]].items()
        }
        results = backend.run(**inputs)
        for place, index in enumerate(group):
            outputs[index] = {
                name: _row(value, place, len(group)) for name, value in results.items()
            }
    return outputs


def _groups(
    backend: Backend,
    rows: Sequence[Arrays],
    shared: Sequence[str],
    most: Callable[[Arrays], int],
) -> Iterator[list[int]]:
    """The indices of the rows of every run."""
    if not backend.batches:
        yield from ([index] for index in range(len(rows)))
        return
    alike: dict[tuple, list[int]] = {}
    for index, row in enumerate(rows):
        key = tuple(
            (name, value.shape, value.tobytes() if name in shared else b"")
            for name, value in row.items()
        )
        alike.setdefault(key, []).append(index)
    for group in alike.values():
        size = most(rows[group[0]])
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _row(value: np.ndarray, place: int, size: int) -> np.ndarray:
    """One row of an output; a copy, where a view would keep the others' memory."""
    return value if size == 1 else value[place : place + 1].copy()
