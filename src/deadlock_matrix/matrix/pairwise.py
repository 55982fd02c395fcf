"""Cover every pair of values of two axes with few rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from allpairspy import AllPairs

Row = tuple[int, ...]
Pair = tuple[int, int, int, int]


def pairs_of(row: Row) -> Iterator[Pair]:
    """Yield the pairs that a row covers: two axes, and the value of each."""
    for first, second in combinations(range(len(row)), 2):
        yield first, second, row[first], row[second]


def cover_pairs(rows: Sequence[Row]) -> list[Row]:
    """Choose a few of ``rows`` that cover every pair which any of them covers.

    Args:
        rows: What is allowed: for each axis the number of a value. All have the same length.

    Returns:
        The chosen rows, sorted; the same ones for the same input.
    """
    if not rows:
        return []
    allowed = set(rows)
    beginnings = {row[:length] for row in allowed for length in range(1, len(row) + 1)}
    values = [sorted({row[axis] for row in allowed}) for axis in range(len(rows[0]))]
    chosen = {
        tuple(row) for row in AllPairs(values, filter_func=lambda begun: tuple(begun) in beginnings)
    }
    # If not every combination is allowed, allpairspy stops at the first pair it cannot place.
    missing = {pair for row in allowed for pair in pairs_of(row)}
    missing -= {pair for row in chosen for pair in pairs_of(row)}
    while missing:
        best = max(sorted(allowed), key=lambda row: len(missing.intersection(pairs_of(row))))
        chosen.add(best)
        missing -= set(pairs_of(best))
    return sorted(chosen)
