"""What the benchmarks share: a workspace, cells of scenarios, medians."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from scenarios.scenario import Scenario, build, load_scenarios

from deadlock_matrix.matrix.repro import repro_root
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


def deadlocks(python: str, *patterns: str) -> tuple[Scenario, ...]:
    """The deadlocks that an interpreter can show without an extra package, by their names."""
    ask = (
        "import platform, sysconfig\n"
        "print(platform.python_version(), sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    )
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    version, free_threaded = told.stdout.split()
    return tuple(
        scenario
        for scenario in load_scenarios(repro_root() / "scenarios")
        if scenario.kind == "deadlock"
        and scenario.expectation.verdict == "deadlock"
        and not scenario.requires
        and scenario.applies_to(version, free_threaded=free_threaded == "1")
        and (not patterns or any(pattern in scenario.name for pattern in patterns))
    )


def built(scenario: Scenario, python: str, opened: Workspace) -> str:
    return str(build(scenario, python, opened.cache))


def spread(values: Sequence[float]) -> str:
    """``median (least to most)`` in milliseconds."""
    low, high = min(values) * 1e3, max(values) * 1e3
    return f"{statistics.median(values) * 1e3:.1f} ms ({low:.1f} to {high:.1f})"
