"""The collector for Linux."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from deadlock_matrix.capture.census import take_census
from deadlock_matrix.capture.foreign import reading
from deadlock_matrix.capture.glance import Glancer
from deadlock_matrix.capture.interval_timers import alarms_of_machine
from deadlock_matrix.capture.machine import machine_of, table_architecture
from deadlock_matrix.capture.parents import parents_of
from deadlock_matrix.capture.permission import check_access, explain
from deadlock_matrix.capture.pipes import outside_holders
from deadlock_matrix.capture.proc_files import is_gone
from deadlock_matrix.capture.process import read_process
from deadlock_matrix.capture.shared_memory import sharers
from deadlock_matrix.capture.source_lines import source_lines
from deadlock_matrix.capture.stacks import StackReader
from deadlock_matrix.capture.tree import members
from deadlock_matrix.closing import Closing
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Machine, Parent
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.stack_facts import StackFacts

if TYPE_CHECKING:
    from deadlock_matrix.model.scan import Program


class LinuxCollector(Closing):
    """Facts from ``/proc``, from the processes' memory, and from stack readers in a helper."""

    def __init__(self, *, own_session: bool = True) -> None:
        """Prepare; no helper is started yet.

        Args:
            own_session: Whether the helper gets a session of its own; see `worker.Worker`.
        """
        self._stacks = StackReader(own_session=own_session)

    def close(self) -> None:
        """End the helper. May be called twice; the collector can still be used afterwards."""
        self._stacks.close()

    def cpu_s(self) -> float:
        """See `collector.Collector.cpu_s`."""
        return time.process_time()

    def warm_up(self) -> None:
        """Do nothing: hardly any process needs the helper that reads stacks."""

    def hurry(self, until_s: float | None) -> None:
        """Do nothing: reads in this very process cannot be cut short; see `observer.Observer`."""

    def check(self, pid: int) -> None:
        """See `permission.check_access`."""
        check_access(pid)

    def machine(self, pid: int) -> Machine:
        """See `machine.machine_of`."""
        return machine_of(pid)

    def source_lines(
        self, pid: int, places: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], str]:
        """See `source_lines.source_lines`."""
        return {(each.file, each.line): each.text for each in source_lines(pid, places)}

    def program(self, pid: int) -> Program:
        """See `programs.program_of`."""
        from deadlock_matrix.capture.programs import program_of

        return program_of(pid)

    def parents(self, pid: int) -> tuple[Parent, ...]:
        """See `parents.parents_of`."""
        return parents_of(pid)

    def glancer(self, pid: int) -> Glancer:
        """See `glance.Glancer`."""
        return Glancer(pid)

    def snapshot(self, roots: Sequence[int]) -> Snapshot:
        """Read a tree without stopping it. See `procfs.read_thread` for what two of them prove.

        A process born while the tree is read may be missing; if nothing ran between two snapshots,
        the second has it, and the two then differ.

        Raises:
            CaptureError: The first root has ended, or we may not read it.
        """
        begun = time.monotonic()
        alarms = alarms_of_machine()
        census = take_census()
        tree = members(roots, census.table)
        shares = sharers(tree, census)
        processes: list[ProcessFacts] = []
        for pid in tree:
            try:
                with reading(f"process {pid}"):
                    architecture = table_architecture(pid)
                    processes.append(read_process(pid, architecture, shares[pid], alarms))
            except OSError as error:
                if not is_gone(error):
                    raise explain(pid, error) from None
            except ValueError as error:
                message = f"/proc of process {pid} has an unexpected form: {error}"
                raise CaptureError(message) from None
        if not processes or processes[0].pid != roots[0]:
            raise CaptureError(f"process {roots[0]} has ended.")
        holders = outside_holders(tuple(processes), census)
        return Snapshot(
            begun_s=begun,
            ended_s=time.monotonic(),
            root=roots[0],
            processes=tuple(processes),
            outside_holders=holders,
        )

    def python_stacks(
        self, pids: Sequence[int], awaited: Collection[int] = ()
    ) -> tuple[StackFacts, ...]:
        """Read Python frames, locals that matter and the GIL's holder, without stopping anybody."""
        return tuple(self._stacks.read(pid, native=False, awaited=pid in awaited) for pid in pids)

    def native_stacks(self, pids: Sequence[int]) -> tuple[StackFacts, ...]:
        """Read Python and native frames. Each process is stopped while its stacks are read."""
        return tuple(self._stacks.read(pid, native=True) for pid in pids)
