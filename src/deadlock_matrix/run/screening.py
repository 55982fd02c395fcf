"""Find out which of many processes are worth an examination, by reading them all in one go.

Most of a snapshot's cost is the table of all processes of the machine, and who shares memory with
whom. For a batch, that is read once. Each tree is then cut out of it and judged. The cut knows less
about who else could wake a thread, never more, so no process is missed. What it proves is not
reported: a process that passes is examined alone, from the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.stack_facts import StackFacts
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.outlook import outlook
from deadlock_matrix.run.examination import read_stacks

BATCH = 32


def worth_examining(
    collector: Collector, machines: dict[int, Machine], restless: frozenset[int]
) -> set[int]:
    """Screen a batch of processes.

    Args:
        collector: Reads the facts.
        machines: The processes, and what numbers read from them depend on.
        restless: Those in which threads run that may matter, such as threads that wait for the GIL.
            There every thread that could be stuck passes, as one look may miss it asleep.

    Raises:
        CaptureError: One of them has ended or cannot be read, so nothing is known about any.
    """
    before = collector.snapshot(tuple(machines))
    possible = []
    for pid, machine in machines.items():
        cut = cut_out(before, pid)
        alone = Evidence(machine=machine, before=cut, stacks=(), after=cut)
        if outlook(alone, parts=True).possible:
            possible.append(pid)
    passed = set(possible) & restless
    still = [pid for pid in possible if pid not in passed]
    if not still:
        return passed
    stacks = _stacks(collector, before, still)
    after = collector.snapshot(still)
    for pid in still:
        first, second = cut_out(before, pid), cut_out(after, pid)
        those = tuple(stacks[each.pid] for each in first.processes if each.pid in stacks)
        evidence = Evidence(machine=machines[pid], before=first, stacks=those, after=second)
        if judge(evidence).proof is not None:
            passed.add(pid)
    return passed


def cut_out(snapshot: Snapshot, root: int) -> Snapshot:
    """Return the part of a snapshot that is one process and its descendants.

    Raises:
        CaptureError: The process is not in it: it has ended.
    """
    children: dict[int, list[ProcessFacts]] = {}
    for process in snapshot.processes:
        children.setdefault(process.parent, []).append(process)
    found = [each for each in snapshot.processes if each.pid == root]
    if not found:
        raise CaptureError(f"process {root} has ended.")
    for process in found:  # it grows meanwhile
        found += children.get(process.pid, ())
    return msgspec.structs.replace(snapshot, root=root, processes=tuple(found))


def _stacks(
    collector: Collector, snapshot: Snapshot, roots: Sequence[int]
) -> dict[int, StackFacts]:
    """Read the stacks of every process in these trees, each once."""
    wanted = {each.pid: each for root in roots for each in cut_out(snapshot, root).processes}
    return {each.pid: each for each in read_stacks(collector.python_stacks, tuple(wanted.values()))}
