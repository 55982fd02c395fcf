"""Run the cells of a session by an engine, and each test once the result of its cell is there.

So one pytest process is enough for any number of cells at once, here or on other machines, and the
selection, reports, ``-x`` and other plugins work as always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.engine import Engine, Finished
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.pytest_plugin.runner import Runner, cell_of


class Dispatcher:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, runner: Runner, open_engine: Callable[[], Engine]) -> None:
        self._runner = runner
        self._open_engine = open_engine

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run tests without a cell first, one after another, and the others as results come."""
        if session.config.option.collectonly:
            return None
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return None  # pytest says so
        items = {cell.id: item for item in session.items if (cell := _dispatched(item))}
        cells = [cell for item in items.values() if (cell := cell_of(item))]
        left: dict[pytest.Item, None] = dict.fromkeys(session.items)
        mine = frozenset(items.values())
        for item in session.items:
            if item not in mine:
                self._run(session, item, left)
        if cells:
            self._run_cells(session, items, cells, left)
        return True

    def _run_cells(
        self,
        session: pytest.Session,
        items: dict[str, pytest.Item],
        cells: Sequence[Cell],
        left: dict[pytest.Item, None],
    ) -> None:
        engine = self._open_engine()
        tell = session.config.hook.pytest_deadlock_matrix_cell_started
        try:
            for told in engine.run(cells):
                item = items[told.cell]
                if isinstance(told, Finished):
                    self._runner.arrived[told.cell] = told.result
                    self._run(session, item, left)
                    self._runner.arrived.pop(told.cell, None)
                else:
                    tell(cell=told.cell, nodeid=item.nodeid)
        except RunError as error:  # what has not come by now will not come
            raise session.Interrupted(str(error)) from error
        finally:
            engine.close()

    def _run(
        self, session: pytest.Session, item: pytest.Item, left: dict[pytest.Item, None]
    ) -> None:
        del left[item]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=next(iter(left), None))
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)


def _dispatched(item: pytest.Item) -> Cell | None:
    """Return the cell of a test that runs it; a test may also have a cell and not run it."""
    return cell_of(item) if "run_cell" in getattr(item, "fixturenames", ()) else None
