"""Visit everything in a list that changes meanwhile: processes, threads, descriptors.

A process may pass on what it has to a child and end before the visit. So the list is taken again
until it has no new entry.

On a busy machine every list has new entries. There the kernel's count of births helps. A process
gets what we look for only from its parent, when it is born; one that was visited and does not have
it will never have it. Suppose no process was born from before a list was taken until all new ones
in it had been visited. Then every living process is in the list and was visited, and so is every
child of one that has ended. The kernel counts a birth in the same critical section in which the
newborn becomes visible (``copy_process``). So the count also covers the children of a parent that
ended before its visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from deadlock_matrix.capture.proc_files import read_whole

ROUNDS = 25
ROUNDS_OF_BIRTHS = 250
"""With births counted: taking a list and visiting the few new entries takes about a millisecond."""


class Restless(Exception):
    """New entries kept coming. The message says of what."""


def visit_all(
    what: str,
    listed: Callable[[], Iterable[int]],
    visit: Callable[[int], bool],
    quiet: int = 1,
    births: Callable[[], int] | None = None,
    visited: Iterable[int] = (),
) -> None:
    """Call ``visit`` once for everybody.

    An entry that was visited and is missing from a later list has gone: whoever has its number
    after that is somebody else, and is visited too. On a machine where numbers run out quickly
    (32768 of them, many kept by processes that nobody has waited for), that happens within one
    search.

    Args:
        what: For the message: "processes".
        listed: Returns who is there now.
        visit: Returns whether the entry was still there. One that was not counts as new if listed
            again, since its number may be somebody else's.
        quiet: How many lists in a row must hold nobody new. More than one where the kernel lists by
            number: an entry that moves from a high to a low number meanwhile is in neither.
        births: Returns how many were ever born; 0 if that is unknown. One list is enough if nobody
            was born during it and during the visits after it.
        visited: Those that were visited before.

    Raises:
        Restless: Somebody new was found each time.
        OSError: What the two functions raise.
    """
    seen = set(visited)
    still = 0
    counted = births is not None and births() > 0
    for _ in range(ROUNDS_OF_BIRTHS if counted else ROUNDS):
        born = births() if births is not None else 0
        there = tuple(listed())
        seen.intersection_update(there)  # the number of one who has gone may be taken again
        new = [number for number in there if number not in seen]
        still = 0 if new else still + 1
        if still == quiet:
            return
        seen.update(number for number in new if visit(number))
        if born and births is not None and births() == born:
            return
    raise Restless(f"new {what} kept coming while they were searched")


def births_of_processes() -> int:
    """Return how many processes and threads the machine has ever started; 0 if nothing tells.

    ``processes`` in ``/proc/stat`` is the kernel's ``total_forks``, which counts threads too. A
    container may have another file in its place, which is then not used.
    """
    try:
        if Path("/proc/stat").stat().st_dev != Path("/proc/self").stat().st_dev:
            return 0
        found = [
            line for line in read_whole("/proc/stat").splitlines() if line[:10] == b"processes "
        ]
        return int(found[0].split()[1]) if found else 0
    except (OSError, ValueError):
        return 0
