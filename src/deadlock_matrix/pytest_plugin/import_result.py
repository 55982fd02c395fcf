"""What an import showed, and what a test may demand of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from deadlock_matrix.model.cell import Calling, Cell
from deadlock_matrix.model.observation import CellResult, ImportStep, ProbeFacts
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.pytest_plugin.import_messages import Importer, imported, not_ok, too_long


class ImportResult:
    """One import that was run; every ``assert_`` method returns the result itself.

    Attributes:
        cell_result: Everything that was seen, as in a report of the matrix.
    """

    def __init__(
        self, cell_result: CellResult, root: Path, run: Callable[[Cell], CellResult]
    ) -> None:
        self.cell_result = cell_result
        self._root = root
        self._run = run

    def __repr__(self) -> str:
        statement = self.cell_result.cell.entry.statement
        return f"<ImportResult {statement!r}: {self.verdict.value}, {self.why}>"

    @property
    def verdict(self) -> Verdict:
        """How it came out; it compares equal to its name: ``result.verdict == "deadlock"``."""
        return self.cell_result.verdict

    @property
    def why(self) -> str:
        """One sentence that explains the verdict."""
        return self.cell_result.why

    @property
    def seconds(self) -> float:
        """Seconds of the statement, without the interpreter's start; in ``fork-again``, both times.

        A statement that did not finish fails the test.
        """
        facts = self._facts()
        again = self.cell_result.cell.context.calling is Calling.FORK_AGAIN
        return facts.entry_s + (facts.prelude_s if again else 0.0)

    @property
    def packages(self) -> dict[str, int]:
        """Top-level modules that the statement loaded, with the number of modules in each.

        A statement that did not finish fails the test.
        """
        return dict(self._facts().top_levels)

    def assert_ok(self) -> ImportResult:
        """Fail, and say why, unless the import ended well."""
        __tracebackhide__ = True
        if self.verdict is not Verdict.OK:
            pytest.fail(not_ok(self.cell_result), pytrace=False)
        return self

    def assert_within(self, seconds: float) -> ImportResult:
        """Fail, and say what was loaded, if the statement took longer."""
        __tracebackhide__ = True
        self.assert_ok()
        if self.seconds > seconds:
            message = too_long(self.cell_result, self.seconds, seconds, self._facts())
            pytest.fail(message, pytrace=False)
        return self

    def assert_not_imported(self, *modules: str) -> ImportResult:
        """Fail, and say who imports it, if one of these modules was loaded.

        Submodules count: ``package`` is loaded even if only ``package.part`` was requested.
        """
        __tracebackhide__ = True
        facts = self._facts()
        cell = self.cell_result.cell
        unwatched = [each for each in modules if each not in cell.watch_modules]
        # What a package's name alone shows does not need a run; who imported it does.
        suspects = [each for each in unwatched if each.partition(".")[0] in facts.top_levels]
        if suspects:
            watched = (*cell.watch_modules, *suspects)
            again = ImportResult(
                self._run(replace(cell, watch_modules=watched)), self._root, self._run
            )
            facts = again._facts()
        found = {
            name: Importer(chain=facts.chains.get(name, ()), root=self._root)
            for name in modules
            if _is_loaded(name, facts)
        }
        if found:
            pytest.fail(imported(self.cell_result, found), pytrace=False)
        return self

    def chain(self, module: str) -> Sequence[ImportStep]:
        """Return the imports that led to a module in ``without``; empty if it was not loaded."""
        return self._facts().chains.get(module, ())

    def _facts(self) -> ProbeFacts:
        __tracebackhide__ = True
        self.assert_ok()
        if self.cell_result.probe is not None:
            return self.cell_result.probe
        raise AssertionError("the import ended well, but reported no facts about itself")


def _is_loaded(name: str, facts: ProbeFacts) -> bool:
    if "." in name:
        return bool(facts.watched.get(name))
    return name in facts.top_levels
