"""What the entries that finished show: how long they took, and what they loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from deadlock_matrix.diagnosis.grouping import entry_of, grouped, interpreter_of, layout_of
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.observation import CellResult, ImportStep, ProbeFacts
from deadlock_matrix.model.verdict import Verdict


def comparable(results: Iterable[CellResult]) -> list[tuple[CellResult, ProbeFacts]]:
    """Return results whose times and modules can be compared with each other, and their facts.

    These are ``ok`` and called the entry from the main thread of a fresh process: elsewhere a
    prelude may already have loaded what the entry would load.
    """
    return [
        (result, facts)
        for result in results
        if result.verdict is Verdict.OK
        and result.cell.context.calling is Calling.MAIN
        and not result.cell.context.prelude
        and (facts := result.probe) is not None
    ]


def median_s(results: Iterable[CellResult]) -> float | None:
    """Return the median seconds of the entry alone, over comparable results, or ``None``."""
    times = [facts.entry_s for _, facts in comparable(results)]
    return median(times) if times else None


def speedup(medians: Mapping[str, float], layout: str, reference: str) -> float | None:
    """Return how many times faster one layout is than another; ``None`` unless both are there."""
    before, after = medians.get(reference), medians.get(layout)
    if before is None or not after:
        return None
    return before / after


def compared_title(layout: str) -> str:
    """Return the heading of the column that compares a layout with another one."""
    return f"{layout} is"


def factor_text(factor: float) -> str:
    """Return ``350 x faster``, ``1.4 x slower``, ``as fast``: clocks are good for two digits."""
    if 0.95 < factor < 1.05:
        return "as fast"
    word, factor = ("faster", factor) if factor > 1 else ("slower", 1 / factor)
    return f"{float(f'{factor:.2g}'):.0f} x {word}" if factor >= 9.95 else f"{factor:.1f} x {word}"


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long entries took, by layout, each in the order of the results.

    ``factors`` say, for some layouts, how they compare with another one.
    """

    medians: dict[str, dict[str, float]]  # seconds, by entry and layout
    factors: dict[str, dict[str, str]]
    layouts: tuple[str, ...]  # in which any entry was timed
    compared: tuple[str, ...]  # those that any factor is about


def times(
    results: Sequence[CellResult], compared: Mapping[str, str], *, beside: bool = False
) -> Times:
    """Return median times of the entries that finished.

    Args:
        results: The results of one interpreter.
        compared: Maps layouts to those with which they are compared.
        beside: Leave out entries that were timed in only one layout, if others were not.
    """
    medians: dict[str, dict[str, float]] = {}
    for entry, row in grouped(results, entry_of).items():
        columns = {layout: median_s(part) for layout, part in grouped(row, layout_of).items()}
        if timed := {layout: time for layout, time in columns.items() if time is not None}:
            medians[entry] = timed
    if beside:
        medians = {entry: row for entry, row in medians.items() if len(row) > 1} or medians
    factors = {
        entry: {
            layout: factor_text(factor)
            for layout, reference in compared.items()
            if (factor := speedup(row, layout, reference)) is not None
        }
        for entry, row in medians.items()
    }
    return Times(
        medians=medians,
        factors=factors,
        layouts=tuple(
            layout
            for layout in grouped(results, layout_of)
            if any(layout in row for row in medians.values())
        ),
        compared=tuple(
            layout for layout in compared if any(layout in row for row in factors.values())
        ),
    )


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Which watched modules some cells loaded, in import order, and which they did not.

    ``chains`` maps each loaded module to its chain from the entry. ``interpreters`` are those on
    which it was seen; ``everywhere`` says whether these are all that ran this entry and layout.
    """

    modules: tuple[str, ...]
    spared: tuple[str, ...]
    chains: dict[str, tuple[ImportStep, ...]]
    interpreters: tuple[str, ...]
    everywhere: bool


def loaded(results: Sequence[CellResult]) -> tuple[Loaded, ...]:
    """Return what results of one entry and layout loaded, an item for each group that agrees."""
    groups: dict[frozenset[str], list[tuple[CellResult, ProbeFacts]]] = {}
    usable = comparable(results)
    alike: dict[int, frozenset[str]] = {}  # thousands of results share one mapping
    for result, facts in usable:
        if id(facts.watched) not in alike:
            alike[id(facts.watched)] = frozenset(_loaded_names(facts))
        groups.setdefault(alike[id(facts.watched)], []).append((result, facts))
    names = {interpreter_of(result) for result, _ in usable}
    return tuple(_describe(group, names) for group in groups.values())


def chain_text(chain: Sequence[ImportStep]) -> str:
    """Return ``a -> a.b -> c``: the modules whose import led to the last one."""
    return " -> ".join(step.module for step in chain)


def longest_chains(item: Loaded, modules: Sequence[str]) -> list[str]:
    """Return the chains to some modules as text, without those that begin another one."""
    texts = [chain_text(item.chains[module]) for module in modules if module in item.chains]
    return [
        text
        for text in texts
        if " -> " in text and not any(other.startswith(f"{text} -> ") for other in texts)
    ]


def _loaded_names(facts: ProbeFacts) -> list[str]:
    names = [name for name, times in facts.watched.items() if times]
    return sorted(names, key=lambda name: facts.imported_s.get(name, math.inf))


def _describe(group: Sequence[tuple[CellResult, ProbeFacts]], names: set[str]) -> Loaded:
    first, facts = group[0]
    modules = _loaded_names(facts)
    watched = dict.fromkeys((*first.cell.watch_modules, *sorted(facts.watched)))
    interpreters = {interpreter_of(result) for result, _ in group}
    return Loaded(
        modules=tuple(modules),
        spared=tuple(name for name in watched if name not in modules),
        chains={name: facts.chains[name] for name in modules if name in facts.chains},
        interpreters=tuple(sorted(interpreters)),
        everywhere=interpreters == names,
    )
