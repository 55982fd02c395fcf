"""The table of each interpreter as soon as its last cell is done, while others still run."""

from __future__ import annotations

from collections import Counter

import pytest

from deadlock_matrix.errors import DeadlockMatrixError
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.pytest_plugin.controller import Controller
from deadlock_matrix.render.terminal import interpreter_text
from deadlock_matrix.report.journal import read_journals
from deadlock_matrix.studies import load_studies


class EarlyTables:
    """Prints them between pytest's own lines; the last interpreter's is in the report."""

    def __init__(self, config: pytest.Config, controller: Controller) -> None:
        self._config = config
        self._reporter: pytest.TerminalReporter = config.pluginmanager.getplugin("terminalreporter")
        self._controller = controller
        self._left: Counter[str] | None = None
        self._of: dict[str, str] | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note that a cell is done; it may be the last of its interpreter."""
        cell = self._controller.tests.get(nodeid)
        plan = self._controller.plan
        if cell is None or plan is None:
            return
        if self._of is None:
            self._of = {each.id: each.interpreter.name for each in plan.cells}
        of = self._of
        if self._left is None:
            chosen = [of[id_] for id_ in self._controller.tests.values() if id_ in of]
            self._left = Counter(chosen)
        if cell not in of:  # a control
            return
        self._left[of[cell]] -= 1
        if not self._left[of[cell]] and any(self._left.values()):
            self._print(of[cell])

    def _print(self, interpreter: str) -> None:
        assert self._controller.folder is not None and self._controller.plan is not None
        try:
            done = read_journals(self._controller.folder).results
        except DeadlockMatrixError:
            return  # the report at the end says what is wrong
        cells = [
            each
            for each in done
            if each.cell.interpreter.name == interpreter and each.cell.role is Role.MATRIX
        ]
        if all(each.verdict is Verdict.UNAVAILABLE for each in cells):
            return
        facts = {each.name: each for each in self._controller.plan.interpreters}
        writer = self._config.get_terminal_writer()
        width = min(writer.fullwidth, 120)
        colour = writer.hasmarkup
        shown = interpreter_text(
            interpreter, facts.get(interpreter), cells, width, colour, load_studies()
        )
        if self._reporter.isatty():
            self._reporter.rewrite("", erase=True)
        self._reporter.ensure_newline()
        self._reporter.write_line(f"\n{shown}\n")
