"""Every process of the machine, read once for all who ask something of each of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from deadlock_matrix.capture.newcomers import births_of_processes, visit_all
from deadlock_matrix.capture.proc_files import numbers_in
from deadlock_matrix.capture.tree import Process, process_table, read_entry


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """The table of processes, and how many had been born before it was read (0: unknown)."""

    born: int
    table: dict[int, Process]

    def is_complete(self) -> bool:
        """Return whether nobody was born since: then everybody who lives is in the table.

        Nor has anybody another's number then.
        """
        return self.born > 0 and births_of_processes() == self.born


def take_census() -> Census:
    """Read the table of processes."""
    return Census(born=births_of_processes(), table=process_table())


def visit_processes(
    census: Census, skip: Callable[[Process], bool], visit: Callable[[Process], bool]
) -> None:
    """Call ``visit`` for everybody in a census, and for all who were born since.

    If nobody was, no process is listed or read again. Otherwise, whoever was skipped for what the
    census says must still be the same process.

    Args:
        census: Taken before.
        skip: Returns whether a process need not be visited, now or later.
        visit: Looks at the process that has the number now; returns whether there was one.

    Raises:
        Restless: Somebody new was found each time.
        OSError: What ``visit`` raises.
    """
    skipped: list[Process] = []
    visited: set[int] = set()
    for process in census.table.values():
        if skip(process):
            skipped.append(process)
        elif visit(process):
            visited.add(process.pid)
    if census.is_complete():
        return

    def visit_anew(pid: int) -> bool:
        process = read_entry(pid)
        return process is not None and (skip(process) or visit(process))

    visited.update(process.pid for process in skipped if _is_same(process))
    visit_all("processes", lambda: numbers_in("/proc"), visit_anew, 2, births_of_processes, visited)


def _is_same(process: Process) -> bool:
    now = read_entry(process.pid)
    return now is not None and now.started == process.started
