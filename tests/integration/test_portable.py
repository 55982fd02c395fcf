"""The supervisor and collector of other systems, on Linux: they prove nothing, and leave nothing.

What they can tell is less: a hang is a hang, and never more. Every scenario goes through them.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import psutil
import pytest
from integration.cells import THIS, cell_of, missing, observed, of_kind
from msgspec.structs import replace
from scenarios.document import ScenarioKind
from scenarios.scenario import Scenario

from deadlock_matrix.capture.portable import PortableCollector
from deadlock_matrix.errors import Unavailable
from deadlock_matrix.model.observation import Stopped
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.portable import PortableSupervisor
from deadlock_matrix.run.workspace import Workspace

DEADLINE_S = 3.0
TOKEN = "PORTABLE_TOKEN"
AT_ONCE = 12
"""They sleep nearly all the time; what they cost is their start."""

BATCHES = 2

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no others"),
    pytest.mark.timeout(600),
]


class PortableWorkspace(Workspace):
    """Its helpers are those of macOS and Windows."""

    @cached_property
    def collector(self) -> PortableCollector:  # type: ignore[override]
        return PortableCollector()

    @property
    def supervisor(self) -> PortableSupervisor:
        if self._supervisor is None:
            self._supervisor = PortableSupervisor()
        assert isinstance(self._supervisor, PortableSupervisor)
        return self._supervisor


def carrying(token: str) -> list[int]:
    """The processes that have a variable in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def through(scenario: Scenario, folder: Path) -> str:
    """Run a scenario; what is not as it must be whatever it is, or nothing."""
    if missing(scenario, THIS):
        return ""
    token = f"{folder}/{scenario.name}"
    with PortableWorkspace(folder / "cache", folder / "scratch") as workspace:
        try:
            cell = cell_of(scenario, THIS, workspace.cache)
        except Unavailable:
            return ""
        hangs = scenario.kind is ScenarioKind.DEADLOCK
        profile = replace(cell.profile, set={**cell.profile.set, TOKEN: token})
        limit_s = DEADLINE_S if hangs else cell.deadline_s
        result = run_cell(replace(cell, profile=profile, deadline_s=limit_s), workspace)
        seen = observed(result)
        expected = scenario.expectation_for(THIS.version).verdict
        if expected in (Verdict.DEADLOCK, Verdict.HANG):
            right = result.verdict in (Verdict.HANG, Verdict.SLOW)
            right = right and seen.end == Stopped(reason="deadline")
        else:
            right = result.verdict is expected
        proved = result.judgement is not None and result.judgement.proof is not None
        left = (*seen.leftovers.alive, *carrying(token))
    faults = [
        *([] if right else [f"{result.verdict.value}, {seen.end}: {result.why}"]),
        *(["something is proved"] if proved else []),
        *([f"left behind: {left}"] if left else []),
    ]
    return f"{scenario.name}: {'; '.join(faults)}" if faults else ""


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize("kind", [ScenarioKind.DEADLOCK, ScenarioKind.LOOK_ALIKE])
def test_every_scenario(kind: ScenarioKind, batch: int, tmp_path: Path) -> None:
    todo = of_kind(kind)[batch::BATCHES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = [*filter(None, pool.map(lambda each: through(each, tmp_path), todo))]
    assert not faults, "\n".join(faults)
