"""What each task of asyncio waits for, and which tasks could end that.

A living loop does not show everybody who could finish a task: whoever has a future may complete it,
and whoever has a task may cancel it. So nothing here rests on facts alone; a wait is read under the
assumptions that it names. A wait that a time limit would end is open, and so is that of a task that
was not in the same place when it was read again.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import ProcessStacks
from deadlock_matrix.model.tasks import Entered, EventLoop, Task, TaskAwaits
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, Node
from deadlock_matrix.proof.words import base_name, enumeration
from deadlock_matrix.proof.world import World, between_snapshots

TaskKey = tuple[int, int]
"""Process id as the observer sees it, and the address of the task."""

MOST_NAMED = 3
LOCKS = ("lock", "semaphore")
OF_TASKS = ("task", "gather", "tasks")
"""Kinds of waits for the ends of other tasks."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A task inside a block of what another task, or a thread, waits for."""

    key: TaskKey
    block: Entered

    @property
    def how(self) -> str:
        """Where it is: ``inside `async with lock` at store.py:40``."""
        name = f" {self.block.name}" if self.block.name else ""
        block = "with" if self.block.what.startswith("threading.") else "async with"
        return f"inside `{block}{name}` at {base_name(self.block.file)}:{self.block.line}"


class Tasks(msgspec.Struct, frozen=True, kw_only=True):
    """All tasks that were read between the snapshots."""

    by_key: dict[TaskKey, Task] = msgspec.field(default_factory=dict)
    loops: dict[TaskKey, EventLoop] = msgspec.field(default_factory=dict)
    sources: dict[int, str] = msgspec.field(default_factory=dict)  # by process
    holders: dict[TaskKey, list[Holder]] = msgspec.field(
        default_factory=dict
    )  # by what they are inside
    limited: frozenset[TaskKey] = frozenset()
    waited_for: frozenset[TaskKey] = frozenset()  # other tasks wait for their ends
    awaited: frozenset[int] = frozenset()  # processes whose main thread does not wait on purpose
    several_processes: bool = False

    def name(self, key: TaskKey) -> str:
        """Return ``task 'reader'``."""
        task = self.by_key[key]
        name = f"task {task.name!r}" if task.name else f"task {task.address:#x}"
        return f"{name} of process {key[0]}" if self.several_processes else name

    def of_awaits(self, key: TaskKey, awaits: TaskAwaits) -> tuple[Holder, ...]:
        """Return who is inside blocks of the lock or semaphore that a task waits for."""
        if awaits.kind not in LOCKS:
            return ()
        return tuple(self.holders.get((key[0], awaits.address), ()))


class TaskWait(msgspec.Struct, frozen=True, kw_only=True):
    """A wait that only ``wakers`` could end, if what the conditions assume holds."""

    node: Node
    wakers: frozenset[TaskKey]
    held_source: str
    conditions: tuple[Condition, ...]


def index_tasks(world: World) -> Tasks:
    """Index all tasks of all loops, if they were read between the snapshots."""
    by_key: dict[TaskKey, Task] = {}
    loops: dict[TaskKey, EventLoop] = {}
    sources: dict[int, str] = {}
    holders: dict[TaskKey, list[Holder]] = {}
    awaited: set[int] = set()
    for pid, stacks in _stacks(world):
        if not isinstance(stacks.loops, Known):
            continue
        sources[pid] = stacks.loops.source
        if stacks.awaited:
            awaited.add(pid)
        for loop in stacks.loops.value:
            for task in loop.tasks:
                by_key[pid, task.address] = task
                loops[pid, task.address] = loop
                for block in task.inside:
                    holder = Holder(key=(pid, task.address), block=block)
                    holders.setdefault((pid, block.address), []).append(holder)
    return Tasks(
        by_key=by_key,
        loops=loops,
        sources=sources,
        holders=holders,
        limited=frozenset(_limited(by_key)),
        waited_for=frozenset(_waited_for(by_key)),
        awaited=frozenset(awaited),
        several_processes=len(world.after) > 1,
    )


def _stacks(world: World) -> Iterator[tuple[int, ProcessStacks]]:
    for pid, fact in world.stacks.items():
        if isinstance(fact, Known) and pid in world.after and between_snapshots(world, fact.value):
            yield pid, fact.value


def _limited(by_key: dict[TaskKey, Task]) -> Iterator[TaskKey]:
    """Yield tasks that end after some time, and those they wait for, cancelled with them."""
    waiting = [
        key
        for key, task in by_key.items()
        if task.limited or (isinstance(task.awaits, Known) and task.awaits.value.limited)
    ]
    seen = set(waiting)
    while waiting:
        key = waiting.pop()
        yield key
        awaits = by_key[key].awaits
        for address in awaits.value.tasks if isinstance(awaits, Known) else ():
            other = key[0], address
            if other in by_key and other not in seen:
                seen.add(other)
                waiting.append(other)


def _waited_for(by_key: dict[TaskKey, Task]) -> Iterator[TaskKey]:
    for (pid, _), task in by_key.items():
        for address in task.awaits.value.tasks if isinstance(task.awaits, Known) else ():
            yield pid, address


def read_task(tasks: Tasks, key: TaskKey) -> TaskWait | str:
    """Say what a task waits for, or why that may end."""
    task = tasks.by_key[key]
    if not isinstance(task.awaits, Known):
        return task.awaits.reason
    if not task.steady:
        return "it moved while it was read"
    if key in tasks.limited:
        return "its wait, or that of a task that waits for it, has a time limit"
    if not tasks.loops[key].tid:
        return "no thread runs its loop"
    awaits = task.awaits.value
    if awaits.kind in LOCKS and awaits.busy and tasks.of_awaits(key, awaits):
        return _for_lock(tasks, key, awaits)
    if awaits.kind in OF_TASKS and awaits.tasks:
        return _for_tasks(tasks, key, awaits)
    if awaits.known_to and not awaits.known_to_others:
        return _for_known(tasks, key, awaits)
    return "who could finish that is not known"


def _for_lock(tasks: Tasks, key: TaskKey, awaits: TaskAwaits) -> TaskWait | str:
    holders = tasks.of_awaits(key, awaits)
    if not holders or (awaits.kind == "lock" and len(holders) > 1):
        return "what holds it cannot be seen"
    names = enumeration([tasks.name(each.key) for each in holders])
    blocks = enumeration(list(dict.fromkeys(each.how for each in holders)))
    only = f"only {names} {'release' if len(holders) > 1 else 'releases'} "
    detail = f"{only}{awaits.what} {awaits.address:#x} ({blocks})"
    source = tasks.sources[key[0]]
    released = Condition(
        name="released-by-holder",
        subject=task_id(key),
        detail=detail,
        source=source,
        assumes=(
            Assumption(
                kind=AssumptionKind.RELEASED_BY_HOLDER,
                subject=task_id(key),
                detail=detail,
                source=source,
            ),
        ),
    )
    return TaskWait(
        node=Node(
            id=f"task-lock-{key[0]}-{awaits.address:#x}", kind="task-lock", label=label_of(awaits)
        ),
        wakers=frozenset(each.key for each in holders),
        held_source=f"{source}: {blocks}",
        conditions=(released, *_of_every_task(tasks, key)),
    )


def _for_tasks(tasks: Tasks, key: TaskKey, awaits: TaskAwaits) -> TaskWait | str:
    wakers = frozenset((key[0], address) for address in awaits.tasks)
    if not wakers <= tasks.by_key.keys():
        return "a task that it waits for is not among those that were read"
    names = ", ".join(tasks.name(each) for each in sorted(wakers))
    return TaskWait(
        node=Node(
            id=f"task-end-{key[0]}-{awaits.address:#x}",
            kind="task-end",
            label=f"the end of {names}",
        ),
        wakers=wakers,
        held_source=tasks.sources[key[0]],
        conditions=_of_every_task(tasks, key),
    )


def _for_known(tasks: Tasks, key: TaskKey, awaits: TaskAwaits) -> TaskWait | str:
    """Read a wait that anybody with a reference could end, if all tasks that have one are known."""
    wakers = frozenset((key[0], address) for address in awaits.known_to)
    if not wakers <= tasks.by_key.keys():
        return "a task that has a reference to it is not among those that were read"
    if wakers == {key} and _on_purpose(tasks, key, awaits):
        return "it may be meant to wait until it is cancelled"
    names = enumeration([tasks.name(each) for each in sorted(wakers)][:MOST_NAMED])
    more = f" and {len(wakers) - MOST_NAMED} more" if len(wakers) > MOST_NAMED else ""
    known = Condition(
        name="known-to-tasks-alone",
        subject=task_id(key),
        detail=f"all references to {awaits.what} {awaits.address:#x} that its count says there are "
        f"lead to the frames of {names}{more}",
        source=tasks.sources[key[0]],
    )
    return TaskWait(
        node=Node(
            id=f"task-wait-{key[0]}-{awaits.address:#x}", kind="task-wait", label=label_of(awaits)
        ),
        wakers=wakers,
        held_source=f"{tasks.sources[key[0]]}: reference counts",
        conditions=(known, *_of_every_task(tasks, key)),
    )


def _on_purpose(tasks: Tasks, key: TaskKey, awaits: TaskAwaits) -> bool:
    """Return whether a task that alone has what it waits for may be meant to wait for ever.

    Servers do it, to run until they are cancelled. A main task does not in a test, whose end is
    awaited; nor does another task that keeps a lock, or that others wait for. One that gave its
    event a name, or its future, meant somebody to have it.
    """
    if awaits.kind not in ("future", "event"):
        return False
    loop = tasks.loops[key]
    if loop.main == key[1]:
        return not (loop.tid == key[0] and key[0] in tasks.awaited)
    return not awaits.name and not tasks.by_key[key].inside and key not in tasks.waited_for


def _of_every_task(tasks: Tasks, key: TaskKey) -> tuple[Condition, ...]:
    source, name = tasks.sources[key[0]], tasks.name(key)
    subject = task_id(key)
    return (
        Condition(
            name="suspended-throughout",
            subject=subject,
            detail="it was suspended in the same place, for the same future, in two readings",
            source=source,
        ),
        Condition(
            name="no-time-limit",
            subject=subject,
            detail="no block around it, and no task that waits for it, has a time limit",
            source=source,
        ),
        Condition(
            name="not-cancelled",
            subject=subject,
            detail=f"nobody cancels {name}",
            source=source,
            assumes=(
                Assumption(
                    kind=AssumptionKind.NOT_CANCELLED,
                    subject=subject,
                    detail=f"nobody cancels {name}",
                    source="any code in the process may",
                ),
            ),
        ),
    )


def task_id(key: TaskKey) -> str:
    """Return the id of a task's node."""
    return f"task-{key[0]}-{key[1]:#x}"


def label_of(awaits: TaskAwaits) -> str:
    """Return ``Lock 0x7f.. (self._lock of Store)``."""
    of = f" of {awaits.of}" if awaits.of else ""
    name = f" ({awaits.name}{of})" if awaits.name else ""
    return f"{awaits.what} {awaits.address:#x}{name}"
