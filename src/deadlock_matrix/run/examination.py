"""Look at a process tree closely, once: two snapshots, the stacks between them, a judgement."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import msgspec

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.errors import OutOfTime
from deadlock_matrix.model.evidence import Evidence, Machine, Parent
from deadlock_matrix.model.fact import Known, unknown
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.stack_facts import StackFacts
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import NoTimeout, ThreadFacts
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.outlook import outlook

ATTEMPTS = 5

ATTEMPTS_WITHIN_S = 1.0
"""Do not read thousands of threads again just to catch them all asleep."""

STACKS_WITHIN_S = 2.0
"""For the stacks of a whole tree, which may have a thousand processes; parents come first."""

BETWEEN_ATTEMPTS_S = 0.003
"""A thread that waits for the GIL runs for a moment every 5 ms, longer on a busy machine. It takes
a few attempts to catch it asleep.
"""


SOON_S = 0.05
"""A thread that wakes within that may be awake by chance; another look soon after tells."""

STRENGTH = ("not-proved", "likely-partial", "likely", "partial", "deadlock")

Roots = Callable[[], tuple[int, ...]]
"""The processes at the head of a tree, the one to judge first, requested anew for each snapshot: a
process whose parent ends meanwhile moves to the head.
"""


def examine(
    collector: Collector,
    roots: Roots,
    *,
    always_stacks: bool = False,
    parts: bool = False,
    parents: tuple[Parent, ...] = (),
    attempts: int = ATTEMPTS,
    awaited: Collection[int] = (),
    earlier: tuple[Evidence, Judgement] | None = None,
) -> tuple[Evidence, Judgement]:
    """Examine a tree of processes.

    Stacks are read only if they could make a difference, or in order to be shown
    (``always_stacks``). With ``parts``, other threads count too while the main thread goes on.
    ``parents`` are processes above the tree that may interrupt it. ``attempts`` is how often to try
    to catch threads asleep; one is enough if none of them moves. ``awaited`` are processes for
    whose main thread somebody outside waits, as a session waits for its tests. ``earlier`` has
    already shown something: its second snapshot serves as the first.

    While all sleep, a further attempt would find the same, so one is enough.

    Raises:
        CaptureError: The process to judge has ended or cannot be read.
    """
    if earlier is not None:
        machine, before, possible = earlier[0].machine, earlier[0].after, True
    else:
        machine = collector.machine(roots()[0])
        enough = time.monotonic() + ATTEMPTS_WITHIN_S
        for _ in range(attempts):
            before = collector.snapshot(roots())
            alone = Evidence(
                machine=machine, before=before, stacks=(), after=before, parents=parents
            )
            seen = outlook(alone, parts=parts)
            possible = seen.possible
            if possible or time.monotonic() > enough:
                break
            if not _stirs(before) or not (parts or _by_chance(before, seen.in_the_way)):
                break
            time.sleep(BETWEEN_ATTEMPTS_S)
        if not possible and not always_stacks:
            return alone, judge(alone)
    read = partial(collector.python_stacks, awaited=awaited)
    stacks = read_stacks(read, before.processes)
    best: tuple[Evidence, Judgement] | None = None
    enough = time.monotonic() + ATTEMPTS_WITHIN_S
    for attempt in range(attempts if possible else 1):
        if attempt and time.monotonic() > enough:
            break
        if attempt:
            time.sleep(BETWEEN_ATTEMPTS_S)
        try:
            after = collector.snapshot(roots())
        except OutOfTime as error:
            if best is None:
                return _first_half(machine, before, stacks, parents, error)
            break
        evidence = Evidence(
            machine=machine, before=before, stacks=stacks, after=after, parents=parents
        )
        found = evidence, judge(evidence)
        again = any(each and strength(found[1]) == strength(each[1]) for each in (best, earlier))
        if best is None or strength(found[1]) >= strength(best[1]):
            best = found
        # An answer that rests only on assumptions, or was found twice, did not just miss its
        # moment.
        whole = found[1].outcome in ("deadlock", "likely")
        if whole or (again and found[1].proof is not None) or not _stirs(after):
            break
    assert best is not None
    return best


def _stirs(snapshot: Snapshot) -> bool:
    """Return whether a thread was awake, or wakes so soon that it may be asleep by chance."""
    return any(
        thread.state != "S" or _wakes_soon(thread)
        for process in snapshot.processes
        for thread in process.threads
    )


def _by_chance(snapshot: Snapshot, in_the_way: Collection[tuple[int, int]]) -> bool:
    """Return whether a look soon after may not find these threads in the way.

    Whoever runs may go to sleep, and whoever waits for the GIL runs now and then. Whoever sleeps
    for another reason that ends by itself goes on then, be it in milliseconds. An event loop may
    have been at work for a moment, and threads may have begun during the look.
    """
    return all(
        thread.state != "S" or (_wakes_soon(thread) and _sleeps_on_a_word(thread))
        for process in snapshot.processes
        for thread in process.threads
        if (process.pid, thread.tid) in in_the_way
    ) or any(
        process.threads_after != tuple(thread.tid for thread in process.threads)
        or _has_epoll(process)
        for process in snapshot.processes
    )


def _sleeps_on_a_word(thread: ThreadFacts) -> bool:
    return thread.call is None or blocking(thread.call.name).waits_for is WaitsFor.WORD


def _has_epoll(process: ProcessFacts) -> bool:
    return any(each.target.endswith("[eventpoll]") for each in process.descriptors.or_else(()))


def _wakes_soon(thread: ThreadFacts) -> bool:
    if not isinstance(thread.timeout, Known) or isinstance(thread.timeout.value, NoTimeout):
        return False
    due_s = thread.timeout.value.due_s
    return not isinstance(due_s, Known) or due_s.value < SOON_S


def _first_half(
    machine: Machine,
    before: Snapshot,
    stacks: tuple[StackFacts, ...],
    parents: tuple[Parent, ...],
    error: OutOfTime,
) -> tuple[Evidence, Judgement]:
    """Return what was read before the time was up. It can be shown, but proves nothing.

    Only a second snapshot tells whether a thread ran meanwhile.

    Raises:
        OutOfTime: `error`, should that prove anything after all.
    """
    reason = unknown(f"there was no time for a second look: {error}")
    processes = tuple(
        msgspec.structs.replace(
            process,
            threads=tuple(
                msgspec.structs.replace(thread, switches=reason) for thread in process.threads
            ),
        )
        for process in before.processes
    )
    after = msgspec.structs.replace(before, processes=processes)
    evidence = Evidence(machine=machine, before=before, stacks=stacks, after=after, parents=parents)
    judgement = judge(evidence)
    if judgement.outcome != "not-proved":
        raise error
    return evidence, judgement


def strength(judgement: Judgement) -> int:
    """Rank how much a judgement says, for comparisons."""
    return STRENGTH.index(judgement.outcome)


def examine_twice(
    collector: Collector,
    roots: Roots,
    pause_s: float,
    *,
    always_stacks: bool = False,
    parts: bool = False,
    parents: tuple[Parent, ...] = (),
    attempts: int = ATTEMPTS,
    awaited: Collection[int] = (),
) -> tuple[Evidence, Judgement]:
    """Examine, and if that proves something, examine it again; the weaker answer counts.

    A proof needs no second look. But the holder of the GIL is read from two words, one after the
    other, and if a proof should ever be wrong, this is the place to find out.
    """

    def look(earlier: tuple[Evidence, Judgement] | None = None) -> tuple[Evidence, Judgement]:
        return examine(
            collector,
            roots,
            always_stacks=always_stacks,
            parts=parts,
            parents=parents,
            attempts=attempts,
            awaited=awaited,
            earlier=earlier,
        )

    first = look()
    if first[1].outcome == "not-proved":
        return first
    time.sleep(pause_s)
    try:
        second = look(first)
    except OutOfTime:
        return first
    return min(second, first, key=lambda found: strength(found[1]))


def add_native_stacks(collector: Collector, evidence: Evidence) -> Evidence:
    """Read native stacks too, for people. This stops each process for a moment."""
    stacks = read_stacks(collector.native_stacks, evidence.after.processes)
    return msgspec.structs.replace(evidence, native_stacks=stacks)


def read_stacks(
    read: Callable[[Sequence[int]], tuple[StackFacts, ...]], processes: Sequence[ProcessFacts]
) -> tuple[StackFacts, ...]:
    """Read one process after another as long as there is time; the rest stays unknown."""
    end = time.monotonic() + STACKS_WITHIN_S
    late = unknown(f"not read: the stacks of other processes took {STACKS_WITHIN_S:g} s already")
    found: list[StackFacts] = []
    for process in processes:
        if time.monotonic() < end:
            found += read([process.pid])
        else:
            found.append(StackFacts(pid=process.pid, stacks=late))
    return tuple(found)
