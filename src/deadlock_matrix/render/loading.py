"""Which of the watched modules each entry loads, layout beside layout."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from deadlock_matrix.diagnosis.grouping import entry_of, grouped, layout_of
from deadlock_matrix.diagnosis.text import listed, one_line
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.render.finished import Loaded, loaded, longest_chains


def loading(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    """Yield, for each entry and layout, what it loads, by which chains, and what it does not.

    If only some entries name the target, the others say nothing about it and are left out. A module
    that no entry loads in any layout says nothing about a layout and is left out. Entries with the
    same lines share them.
    """
    results = [each for each in results if each.cell.target in each.cell.entry.statement] or results
    by_entry = {
        entry: {layout: loaded(column) for layout, column in grouped(row, layout_of).items()}
        for entry, row in grouped(results, entry_of).items()
    }
    everything = [item for row in by_entry.values() for items in row.values() for item in items]
    somewhere = {module for item in everything for module in item.modules}
    alike: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for entry, row in by_entry.items():
        alike.setdefault(tuple(_told(row, somewhere)), []).append(entry)
    statements = {entry_of(result): result.cell.entry.statement for result in results}
    for lines, entries in alike.items():
        if lines:
            yield from (Text(one_line(f"{entry}: {statements[entry]}")) for entry in entries)
        yield from (Padding(Text(line), (0, 0, 0, inset)) for line, inset in lines)


def _told(
    row: Mapping[str, Sequence[Loaded]], somewhere: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Yield lines about one entry, each with its indent; layouts that are alike share one."""
    said: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for layout, items in row.items():
        for item in items:
            if item.modules or item.spared:
                by = tuple(longest_chains(item, outermost(item.modules)))
                said.setdefault((sentence(item, somewhere), by), []).append(layout)
    for (text, chains), layouts in said.items():
        yield one_line(f"{', '.join(layouts)}: {text}"), 2
        yield from ((one_line(f"by {chain}"), 4) for chain in chains)


def sentence(item: Loaded, somewhere: Collection[str] = ()) -> str:
    """Return ``loads a, not b``, ``loads neither a nor b (on conda)``.

    Args:
        item: What was loaded.
        somewhere: Modules worth mentioning as not loaded; empty for all watched ones.
    """
    where = "" if item.everywhere else f" (on {', '.join(item.interpreters)})"
    spared = outermost([name for name in item.spared if name in somewhere or not somewhere])
    if item.modules:
        rest = f", not {listed(spared, 'nor')}" if spared else ""
        return f"loads {listed(outermost(item.modules))}{rest}{where}"
    if len(spared) > 1:
        return f"loads neither {listed(spared, 'nor')}{where}"
    return f"does not load {listed(spared)}{where}"


def outermost(modules: Sequence[str]) -> list[str]:
    """Return ``modules`` without those inside another one of them."""
    return [
        name for name in modules if not any(name.startswith(f"{package}.") for package in modules)
    ]
