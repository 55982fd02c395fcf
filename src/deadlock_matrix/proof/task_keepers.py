"""Which stuck tasks the garbage collector cannot destroy, and what is assumed of the others.

A loop has only weak references to its tasks. If nothing else has a strong one, the collector closes
the task's coroutine, and its ``async with`` blocks release what they hold.

While it is stuck, a task refers to the tasks whose ends it awaits, and to a lock inside whose block
it is. Whoever waits in a lock, an event or a queue can be reached from there, by the callbacks of
its future. So a main task keeps what it leads to: the thread that runs the loop has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition
from deadlock_matrix.proof.tasks import MOST_NAMED, TaskKey, Tasks, TaskWait, task_id
from deadlock_matrix.proof.words import enumeration


def reachable(stuck: dict[TaskKey, TaskWait], roots: Iterable[TaskKey]) -> list[TaskKey]:
    """Return the tasks that ``roots`` wait for, themselves first."""
    order: list[TaskKey] = []
    waiting = deque(sorted(roots))
    seen = set(waiting)
    while waiting:
        key = waiting.popleft()
        order.append(key)
        new = sorted(stuck[key].wakers - seen)
        seen.update(new)
        waiting.extend(new)
    return order


def kept_tasks(
    tasks: Tasks, stuck: dict[TaskKey, TaskWait], told: Sequence[TaskKey]
) -> frozenset[TaskKey]:
    """Return the tasks that main tasks keep, if those that are told of never go on.

    Args:
        tasks: All tasks.
        stuck: Those that no other task could release.
        told: A closed set of them. A main task counts if it depends on these alone.
    """
    kept: set[TaskKey] = set()
    around: set[TaskKey] = set(told)
    for key in stuck:
        if tasks.loops[key].main == key[1] and tasks.loops[key].tid:
            chain = reachable(stuck, [key])
            if all(each in told or _waits_for_ends(stuck, each) for each in chain):
                kept.add(key)
                around.update(chain)
    while True:
        new = {key for key in around - kept if _is_kept(stuck, key, kept)}
        if not new:
            return frozenset(kept)
        kept |= new


def _waits_for_ends(stuck: dict[TaskKey, TaskWait], key: TaskKey) -> bool:
    return stuck[key].node.kind == "task-end"


def _is_kept(stuck: dict[TaskKey, TaskWait], key: TaskKey, kept: set[TaskKey]) -> bool:
    if any(key in stuck[each].wakers for each in kept if _waits_for_ends(stuck, each)):
        return True
    return not _waits_for_ends(stuck, key) and bool(stuck[key].wakers & kept)


def not_collected(tasks: Tasks, key: TaskKey, *, kept: bool) -> Condition:
    """Say that the collector does not destroy a task, or that this is assumed."""
    subject, source = task_id(key), tasks.sources[key[0]]
    if kept:
        return Condition(
            name="not-collected",
            subject=subject,
            detail="the main task of its loop waits too, and keeps it",
            source=source,
        )
    detail = f"the garbage collector does not destroy {tasks.name(key)}"
    assumed = Assumption(
        kind=AssumptionKind.NOT_COLLECTED,
        subject=subject,
        detail=detail,
        source="who else has a reference to it is not read",
    )
    return Condition(
        name="not-collected", subject=subject, detail=detail, source=source, assumes=(assumed,)
    )


def collected_words(
    tasks: Tasks, told: Sequence[TaskKey], assumptions: Iterable[Assumption]
) -> tuple[str, ...]:
    """Return the clause that follows "if" about the collector, or nothing."""
    of = {each.subject for each in assumptions if each.kind is AssumptionKind.NOT_COLLECTED}
    names = [tasks.name(key) for key in told if task_id(key) in of]
    if not names:
        return ()
    if len(told) == 1:
        return ("the garbage collector does not destroy it",)
    if len(names) == len(told) or len(names) > MOST_NAMED:
        return ("the garbage collector destroys none of them",)
    return (f"the garbage collector does not destroy {enumeration(names)}",)
