"""The part that runs cells: in each pytest-xdist worker, or in the only process there is."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from deadlock_matrix.cache import cache_folder
from deadlock_matrix.errors import ReportError
from deadlock_matrix.matrix.contents import content_key
from deadlock_matrix.model.cell import Cell, Role
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.pytest_plugin.controller import (
    DONE_KEY,
    FOLDER_KEY,
    PLAN_KEY,
    SCRATCH_KEY,
    UNWRITTEN_ATTRIBUTE,
    Controller,
)
from deadlock_matrix.report.journal import Journal, unwritten
from deadlock_matrix.report.plan import Plan
from deadlock_matrix.report.private import make_redaction
from deadlock_matrix.report.redaction import Redaction

if TYPE_CHECKING:
    from deadlock_matrix.run.workspace import Workspace

GUARD_MARGIN_S = 90.0  # for evidence, and for ending a process tree that resists

RunCell = Callable[[Cell], CellResult]


class Outcome(NamedTuple):
    """What a test's report carries about its cell from a worker to the controller."""

    verdict: str
    as_expected: bool
    why: str
    duration_s: float | None  # None: it was not run


_OUTCOME: pytest.StashKey[Outcome] = pytest.StashKey()
_UNWRITTEN: pytest.StashKey[str] = pytest.StashKey()
_ATTRIBUTE = "deadlock_matrix_outcome"  # pytest-xdist passes on a report's own attributes


class Runner:
    """Makes a test of each cell, runs them, and keeps the journal of this process."""

    def __init__(self, config: pytest.Config, controller: Controller | None = None) -> None:
        self.config = config
        self._controller = controller
        self._plan: Plan | None = None
        self._journal: Journal | None = None
        self._redaction: Redaction | None = None
        self._facts: dict[str, Known[Fingerprint] | Unknown] | None = None
        self._free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        self._workspaces: list[Workspace] = []
        self.arrived: dict[str, CellResult | Exception] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that requests ``cell`` once for each control, then once for each cell."""
        if "cell" not in metafunc.fixturenames:
            return
        plan, done = self._read_plan(), self._done()
        guarded = self.config.pluginmanager.hasplugin("timeout")
        metafunc.parametrize(
            "cell",
            [
                pytest.param(cell, id=cell.id, marks=[_guard(cell)] if guarded else [])
                for cell in (*plan.controls, *plan.cells)
                if cell.id not in done
            ],
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Keep the controls of each interpreter of which ``-k`` or the like leaves a cell.

        Without them the results of the cells would prove nothing.
        """
        before = list(items)
        yield
        left = set(items)
        used = {
            cell.interpreter.name
            for item in items
            if (cell := cell_of(item)) and not _is_control(cell)
        }
        back = [
            item
            for item in before
            if item not in left
            and (cell := cell_of(item))
            and _is_control(cell)
            and cell.interpreter.name in used
        ]
        items[:0] = back
        self._count_as_selected(back)

    @pytest.fixture
    def run_cell(self, request: pytest.FixtureRequest) -> RunCell:
        """Run a cell in a fresh process, and have its result in the report whatever comes next."""

        def run(cell: Cell) -> CellResult:
            result = self.arrived.pop(cell.id, None) or self.run(cell)
            if isinstance(result, Exception):
                raise result
            if not result.content:
                content = self._read_plan().contents.get(content_key(cell), "")
                result = msgspec.structs.replace(result, content=content)
            result = self._redact(result)
            request.node.stash[_OUTCOME] = _outcome(result)
            try:
                self._open_journal().append(result)
            except ReportError as error:
                left = unwritten(result, error)
                request.node.stash[_UNWRITTEN] = msgspec.json.encode(left).decode()
                with suppress(ReportError):  # there may be room without the evidence
                    self._open_journal().append(left.result)
                pytest.fail(f"{result.cell.id} is {result.verdict.value}, but {error}", False)
            return result

        return run

    @pytest.fixture
    def explain(self) -> Callable[[CellResult], str]:
        """Say why a cell came out as it did, with the known causes that are recognised in it."""

        def say(result: CellResult) -> str:
            from deadlock_matrix.causes import load_causes
            from deadlock_matrix.diagnosis.recognition.recognise import NO_FINGERPRINT, recognise
            from deadlock_matrix.render.failure import failure

            facts = {each.name: each.fingerprint for each in self._read_plan().interpreters}
            fingerprint = facts.get(result.cell.interpreter.name, NO_FINGERPRINT)
            return failure(result, recognise(result, fingerprint, load_causes()))

        return say

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make the report say how the cell came out."""
        report = yield
        outcome = item.stash.get(_OUTCOME, None)
        if report.when == "call" and outcome is not None:
            setattr(report, _ATTRIBUTE, tuple(outcome))
            if (left := item.stash.get(_UNWRITTEN, None)) is not None:
                setattr(report, UNWRITTEN_ATTRIBUTE, left)
        return report

    def run(self, cell: Cell, ended: Callable[[], None] = lambda: None) -> CellResult:
        """Run a cell now, here or wherever a plugin runs it; callable from any thread.

        Args:
            cell: The cell.
            ended: Called when its processes have ended, and its result may not be there yet.
        """
        result: CellResult = self.config.hook.pytest_deadlock_matrix_run_cell(
            cell=cell, config=self.config, ended=ended
        )
        return result

    def give_up(self) -> None:
        """End the helpers, and with them every probe."""
        for workspace in self._workspaces:
            workspace.close()

    @pytest.hookimpl(trylast=True)
    def pytest_deadlock_matrix_run_cell(self, cell: Cell, ended: Callable[[], None]) -> CellResult:
        """Run it here, unless somebody else did."""
        from deadlock_matrix.run.cell import run_cell

        if self._facts is None:
            plan = self._read_plan()
            self._facts = {each.name: each.fingerprint for each in plan.interpreters}
        workspace = self._take_workspace()
        taken = [workspace]

        def leave() -> None:
            if taken:
                self._free.put(taken.pop())
                ended()

        try:
            return run_cell(cell, workspace, self._facts.get(cell.interpreter.name), ended=leave)
        finally:
            leave()

    def pytest_unconfigure(self) -> None:
        """End the helpers, and close the journal."""
        self.give_up()
        if self._journal is not None:
            self._journal.close()

    def _read_plan(self) -> Plan:
        if self._plan is None:
            given = self._controller.plan if self._controller else None
            self._plan = given or self._plan_from_controller()
        return self._plan

    def _done(self) -> frozenset[str]:
        if self._controller is not None:
            return self._controller.done
        return frozenset(self.config.workerinput[DONE_KEY])  # type: ignore[attr-defined]

    def _plan_from_controller(self) -> Plan:
        # The one on disk has been redacted: its paths do not lead anywhere.
        text = self.config.workerinput[PLAN_KEY]  # type: ignore[attr-defined]
        return msgspec.json.decode(text, type=Plan)

    def _redact(self, result: CellResult) -> CellResult:
        if self._redaction is None:
            include = self.config.getoption("deadlock_matrix_include_host")
            self._redaction = make_redaction(self._read_plan(), include_host=include)
        return self._redaction.apply(result)

    def _folder(self) -> Path:
        if self._controller is None:
            return Path(self.config.workerinput[FOLDER_KEY])  # type: ignore[attr-defined]
        if self._controller.folder is None:
            raise pytest.UsageError("the matrix was not planned, so no cell can be run")
        return self._controller.folder

    def _scratch(self) -> Path:
        if self._controller is None:
            given = self.config.workerinput  # type: ignore[attr-defined]
            return Path(given[SCRATCH_KEY], self._worker())
        if self._controller.scratch is None:
            raise pytest.UsageError("the matrix was not planned, so no cell can be run")
        return self._controller.scratch

    def _worker(self) -> str:
        given = getattr(self.config, "workerinput", {})
        return str(given.get("workerid", "main"))

    def _open_journal(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self._folder(), self._worker())
        return self._journal

    def _take_workspace(self) -> Workspace:
        """Take a workspace that nobody uses, or a new one; several threads may call this."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            from deadlock_matrix.run.workspace import Workspace

            folder = self._scratch() / str(len(self._workspaces))
            self._workspaces.append(Workspace(cache=cache_folder(), scratch=folder))
            return self._workspaces[-1]

    def _count_as_selected(self, items: list[pytest.Item]) -> None:
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and "deselected" in reporter.stats:
            reporter.stats["deselected"] = [
                item for item in reporter.stats["deselected"] if item not in items
            ]


def _outcome(result: CellResult) -> Outcome:
    seen = result.observation
    duration_s = seen.value.duration_s if isinstance(seen, Known) else None
    return Outcome(result.verdict.value, result.as_expected, result.why, duration_s)


def outcome_of(report: pytest.TestReport) -> Outcome | None:
    """Return how the cell of a test came out; ``None`` if it has none, or no result."""
    values = getattr(report, _ATTRIBUTE, None)
    return Outcome(*values) if values else None


def cell_of(item: pytest.Item) -> Cell | None:
    """Return the cell that a test runs; ``None`` if it runs none."""
    callspec = getattr(item, "callspec", None)
    cell = callspec.params.get("cell") if callspec is not None else None
    return cell if isinstance(cell, Cell) else None


def _is_control(cell: Cell) -> bool:
    return cell.role is not Role.MATRIX


def _guard(cell: Cell) -> pytest.MarkDecorator:
    """Return a second guard, in case ``run_cell`` itself hangs; it has its own deadline."""
    return pytest.mark.timeout(cell.deadline_s + GUARD_MARGIN_S)
