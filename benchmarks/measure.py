"""What the benchmarks share: a workspace, cells of scenarios, medians."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.matrix.scenarios import Scenario, build, load_scenarios
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.run.workspace import Workspace


@contextmanager
def workspace() -> Iterator[Workspace]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace(Path(folder) / "cache", Path(folder) / "scratch") as opened,
    ):
        yield opened


def cell(
    python: str, statement: str, overlays: tuple[str, ...] = (), deadline_s: float = 60
) -> Cell:
    return Cell(
        target="benchmark",
        interpreter=Interpreter(name="python", executable=python),
        profile=Profile(name="as-is"),
        layout=Layout(name="layout", overlays=overlays),
        entry=Entry(name="entry", statement=statement),
        context=Context(name="main"),
        deadline_s=deadline_s,
    )


def deadlocks(*patterns: str) -> tuple[Scenario, ...]:
    """The deadlock scenarios that need no extra package, in order of their names."""
    return tuple(
        scenario
        for scenario in load_scenarios(repro_root() / "scenarios")
        if scenario.kind == "deadlock"
        and scenario.expectation.verdict == "deadlock"
        and not scenario.requires
        and (not patterns or any(pattern in scenario.name for pattern in patterns))
    )


def built(scenario: Scenario, python: str, opened: Workspace) -> str:
    return str(build(scenario, python, opened.cache))


def spread(values: Sequence[float]) -> str:
    """``median (least to most)`` in milliseconds."""
    low, high = min(values) * 1e3, max(values) * 1e3
    return f"{statistics.median(values) * 1e3:.1f} ms ({low:.1f} to {high:.1f})"
