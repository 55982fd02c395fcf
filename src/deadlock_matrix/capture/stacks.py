"""Stacks of a process: from its memory, else by pystack in a helper, else by py-spy."""

from __future__ import annotations

import os
import time
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.capture.foreign import stuck_at
from deadlock_matrix.capture.kept_values import keep_only_needed
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import open_directory, reason_of
from deadlock_matrix.capture.python_stacks import NotReadable, PythonStacks
from deadlock_matrix.capture.python_waits import with_locks_of_lines
from deadlock_matrix.capture.standard_library import places_of, standard_library
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.stack_facts import ProcessStacks, StackFacts, ThreadStack
from deadlock_matrix.model.tasks import EventLoop

if TYPE_CHECKING:
    from deadlock_matrix.capture.stack_tools import StackTools

PYTHON_LIMIT_S = 2.0
NATIVE_LIMIT_S = 4.0


class StackReader:
    """Reads stacks; owns the other readers. Close it at the end."""

    def __init__(
        self,
        python_limit_s: float = PYTHON_LIMIT_S,
        native_limit_s: float = NATIVE_LIMIT_S,
        *,
        own_session: bool = True,
    ) -> None:
        self._limits = {False: python_limit_s, True: native_limit_s}
        self._own_session = own_session

    @cached_property
    def _tools(self) -> StackTools:
        """The other readers, which take long to import and need a helper process."""
        from deadlock_matrix.capture.stack_tools import StackTools

        return StackTools(self._limits, own_session=self._own_session)

    def close(self) -> None:
        """End the helper, if there is one. May be called twice."""
        if "_tools" in self.__dict__:
            self._tools.close()

    def read(self, pid: int, native: bool, *, awaited: bool = False) -> StackFacts:
        """Read all stacks of one process.

        Args:
            pid: The process.
            native: Whether to read native frames, for which each thread is stopped for a moment.
                Without them nothing is stopped, and the stacks hold only as far as the threads
                slept, which two snapshots around the call can tell.
            awaited: Whether somebody outside waits for its main thread.
        """
        stuck = stuck_at(pid)
        if stuck is not None:  # whoever reads stacks reads all of it
            return StackFacts(pid=pid, stacks=unknown(str(stuck.strerror)))
        begun = time.monotonic()
        own, reason = _from_memory(pid, awaited=awaited)
        if own is not None and not native:
            facts = _facts(pid, python_stacks.TOOL, begun, own.threads, own.loops)
            return _awaited(facts) if awaited else facts
        from deadlock_matrix.capture.stack_tools import ToolsFailed

        try:
            told = self._tools.read(pid, native, own)
        except ToolsFailed as error:
            from_memory = "" if own is not None else f"from its memory: {reason}; "
            return StackFacts(pid=pid, stacks=unknown(f"{from_memory}{error}"))
        return _facts(pid, told.tool, told.begun_s, told.threads, told.loops)


def _facts(
    pid: int,
    tool: str,
    begun: float,
    threads: tuple[ThreadStack, ...],
    loops: Known[tuple[EventLoop, ...]] | Unknown,
) -> StackFacts:
    """Build the facts, without values if the place of the interpreter's own library is unknown."""
    places: tuple[PurePosixPath, ...] = ()
    standard: Known[tuple[str, ...]] | Unknown
    try:
        directory = open_directory(f"/proc/{pid}")
    except OSError as error:
        standard = unknown(reason_of(error, f"/proc/{pid}"))
    else:
        try:
            with Memory(pid, directory) as memory:
                threads = with_locks_of_lines(memory, threads)
                places = places_of(memory)
            found = standard_library(threads, places)
            standard = known(found, "the folder beside the executable or libpython")
        except OSError as error:
            standard = unknown(reason_of(error, f"/proc/{pid}/exe"))
        finally:
            os.close(directory)
    stacks = ProcessStacks(
        pid=pid,
        tool=tool,
        begun_s=begun,
        ended_s=time.monotonic(),
        threads=keep_only_needed(threads, places),
        standard_library=standard,
        loops=loops,
    )
    return StackFacts(pid=pid, stacks=known(stacks, tool))


def _awaited(facts: StackFacts) -> StackFacts:
    if not isinstance(facts.stacks, Known):
        return facts
    stacks = msgspec.structs.replace(facts.stacks.value, awaited=True)
    return StackFacts(pid=facts.pid, stacks=known(stacks, facts.stacks.source))


def _from_memory(pid: int, *, awaited: bool) -> tuple[PythonStacks | None, str]:
    try:
        return python_stacks.read_stacks(pid, awaited=awaited), ""
    except NotReadable as error:
        return None, str(error)
