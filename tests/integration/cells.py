"""Scenarios as cells: built once, run through a workspace, with what came out and what must."""

from __future__ import annotations

import platform
import queue
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scenarios.document import ScenarioKind
from scenarios.scenario import Scenario, build, load_scenarios

from deadlock_matrix.errors import Unavailable
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Observation
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

SCENARIOS = Path(__file__).parents[2] / "repro" / "scenarios"
DEADLOCK_WITHIN_S = 30.0
LOOK_ALIKE_SLACK_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Python:
    """An interpreter to run scenarios on."""

    executable: str
    version: str
    free_threaded: bool = False

    def can_import(self, module: str) -> bool:
        """Whether it has a module, of its standard library or installed."""
        ask = f"from importlib.util import find_spec; print(find_spec({module!r}) is not None)"
        command = [self.executable, "-c", ask]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        return done.stdout.strip() == "True"


THIS = Python(
    executable=sys.executable,
    version=platform.python_version(),
    free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
)


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Every scenario of the project."""
    return load_scenarios(SCENARIOS)


def of_kind(kind: ScenarioKind, python: Python = THIS) -> list[Scenario]:
    """The scenarios of one kind that an interpreter can show, without what they require."""
    return [
        scenario
        for scenario in scenarios()
        if scenario.kind is kind
        and scenario.applies_to(python.version, free_threaded=python.free_threaded)
    ]


def missing(scenario: Scenario, python: Python) -> str:
    """What the interpreter lacks for the scenario, or nothing."""
    lacking = [module for module in scenario.requires if not python.can_import(module)]
    return f"{', '.join(lacking)} cannot be imported" if lacking else ""


def cell_of(scenario: Scenario, python: Python, cache: Path) -> Cell:
    """Build a scenario.

    Raises:
        Unavailable: no compiler, or no headers.
    """
    folder = build(scenario, python.executable, cache)
    look_alike = scenario.kind is ScenarioKind.LOOK_ALIKE
    hangs_unproved = scenario.expectation_for(python.version).proof is None
    deadline_s = 5.0 if hangs_unproved else DEADLOCK_WITHIN_S
    return Cell(
        target="scenario",
        interpreter=Interpreter(name="python", executable=python.executable),
        profile=Profile(name="scenario", set=scenario.environment),
        layout=Layout(name=scenario.name, overlays=(str(folder),)),
        entry=Entry(name="scenario", statement=scenario.statement),
        context=Context(name="main"),
        deadline_s=scenario.lasts_s + LOOK_ALIKE_SLACK_S if look_alike else deadline_s,
    )


def observed(result: CellResult) -> Observation:
    """The observation of a cell that was run."""
    assert isinstance(result.observation, Known), result.why
    return result.observation.value


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run of one scenario."""

    scenario: Scenario
    python: Python
    result: CellResult | None
    unavailable: str = ""

    def problem(self) -> str:
        """What did not come out as it must, or nothing."""
        if self.result is None:
            return ""
        expected = self.scenario.expectation_for(self.python.version)
        judgement = self.result.judgement
        proof = judgement.proof if judgement is not None else None
        found = f"{self.scenario.name} on {self.python.version}: {self.result.verdict.value}"
        if self.result.verdict is not expected.verdict:
            told = observed(self.result).stderr.kept[-500:]
            return f"{found}, not {expected.verdict.value}: {self.result.why}\n{told}"
        if expected.proof is not None and (proof is None or proof.kind is not expected.proof):
            return f"{found} with the proof {proof}, not {expected.proof.value}"
        outcome = judgement.outcome if judgement is not None else None
        if expected.outcome is not None and outcome != expected.outcome:
            return f"{found}, judged {outcome}, not {expected.outcome}: {self.result.why}"
        if left := observed(self.result).leftovers.alive:
            return f"{found}, and left behind: {', '.join(left)}"
        return ""


def run_scenario(scenario: Scenario, python: Python, workspace: Workspace) -> Outcome:
    """Build and run one scenario."""
    lacking = missing(scenario, python)
    if lacking:
        return Outcome(scenario=scenario, python=python, result=None, unavailable=lacking)
    try:
        cell = cell_of(scenario, python, workspace.cache)
    except Unavailable as error:
        return Outcome(scenario=scenario, python=python, result=None, unavailable=str(error))
    return Outcome(scenario=scenario, python=python, result=run_cell(cell, workspace))


def run_all(
    todo: Iterable[tuple[Scenario, Python]], jobs: int, open_workspace: Callable[[], Workspace]
) -> list[Outcome]:
    """Run many at once, each thread in a workspace of its own.

    Raises:
        Exception: The first that came up in any of the threads.
    """
    waiting: queue.SimpleQueue[tuple[Scenario, Python]] = queue.SimpleQueue()
    for item in todo:
        waiting.put(item)
    done: list[Outcome] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with open_workspace() as workspace:
                while not errors:
                    done.append(run_scenario(*waiting.get_nowait(), workspace))
        except queue.Empty:
            return
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return done
