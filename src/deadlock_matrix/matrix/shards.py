"""A matrix in N shards: each machine computes the same ones by itself, and runs one of them."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.report import Shard

MOST_SHARDS = 10_000
OVERHEAD_S = 0.3  # of a cell, beyond what its process takes


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """``number`` of ``of``, counted from 1."""

    number: int
    of: int


def parse_shard(text: str) -> Which:
    """Parse ``3/8`` as a shard.

    Raises:
        ConfigurationError: It is not one.
    """
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
        raise ConfigurationError(
            f"{text!r} is not a shard: write I/N, with I from 1 to N, such as 3/8"
        )
    return Which(number=int(found[1]), of=int(found[2]))


def divide(ids: Sequence[str], of: int, times: Mapping[str, float] | None = None) -> dict[str, int]:
    """Return each cell's shard, from 1; none is empty. The order of ``ids`` does not matter.

    Without times every shard has as many cells as the others, or one fewer. With times, the longest
    cells go first, each to the shard that has least to do so far.

    Args:
        ids: The ids of all cells.
        of: How many shards.
        times: Seconds, by the ids of some cells, from an earlier report; the others are assumed to
            take the median of these.

    Raises:
        ConfigurationError: There are more shards than cells.
    """
    if of > len(ids):
        raise ConfigurationError(f"{of} shards are more than the {len(ids)} cells there are")
    shuffled = sorted(ids, key=lambda id_: hashlib.sha256(id_.encode()).digest())
    if not times:
        return {id_: rank % of + 1 for rank, id_ in enumerate(shuffled)}
    usual = median(times.values())
    shuffled.sort(key=lambda id_: -times.get(id_, usual))  # stable: equals stay shuffled
    loads = [(0.0, number) for number in range(1, of + 1)]
    shard: dict[str, int] = {}
    for id_ in shuffled:
        load, number = heapq.heappop(loads)
        shard[id_] = number
        heapq.heappush(loads, (load + times.get(id_, usual) + OVERHEAD_S, number))
    return shard


def take_shard(
    cells: Sequence[Cell], which: Which, times: Mapping[str, float] | None = None
) -> tuple[tuple[Cell, ...], Shard]:
    """Return the cells of one shard in order, and what distinguishes it from the others.

    Raises:
        ConfigurationError: As for `divide`.
    """
    shards = divide([cell.id for cell in cells], which.of, times)
    chosen = tuple(cell for cell in cells if shards[cell.id] == which.number)
    text = "\n".join(f"{number} {id_}" for id_, number in sorted(shards.items()))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return chosen, Shard(number=which.number, of=which.of, cells=len(cells), partition=digest)
