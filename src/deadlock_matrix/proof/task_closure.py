"""Which tasks can never go on, because only they themselves could release one another.

This is the same greatest fixed point as for threads (`closure`), under the assumptions that the
waits name. In addition, every task is stuck in a loop whose thread is stuck.
"""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import (
    Assumption,
    AssumptionKind,
    Condition,
    Edge,
    Node,
    Proof,
    ProofKind,
    Relation,
    TaskDoing,
    TaskHolder,
)
from deadlock_matrix.proof.closure import Stuck
from deadlock_matrix.proof.task_keepers import (
    collected_words,
    kept_tasks,
    not_collected,
    reachable,
)
from deadlock_matrix.proof.task_words import phrase_of
from deadlock_matrix.proof.tasks import (
    OF_TASKS,
    TaskKey,
    Tasks,
    TaskWait,
    read_task,
    task_id,
)
from deadlock_matrix.proof.words import enumeration

MOST_TOLD = 6


def stuck_tasks(tasks: Tasks) -> dict[TaskKey, TaskWait]:
    """Return the largest set of tasks that no other task could release."""
    read = {key: read_task(tasks, key) for key in tasks.by_key}
    stuck = {key: wait for key, wait in read.items() if isinstance(wait, TaskWait)}
    while True:
        rest = {key: wait for key, wait in stuck.items() if wait.wakers <= stuck.keys()}
        if len(rest) == len(stuck):
            return stuck
        stuck = rest


def _told(stuck: dict[TaskKey, TaskWait]) -> list[TaskKey]:
    """Choose the smallest closed set, preferring those in which tasks wait only for one another.

    A task that nobody waits for, and that waits for something nobody has, does the least harm.
    """

    def rank(key: TaskKey) -> tuple[int, int, TaskKey]:
        order = reachable(stuck, [key])
        lost = [stuck[each].node.kind == "task-wait" for each in order]
        return any(lost) + all(lost), len(order), key

    return reachable(stuck, [min(stuck, key=rank)])


def write_task_proof(tasks: Tasks, stuck: dict[TaskKey, TaskWait]) -> Proof:
    """Write down the smallest closed set of tasks; others wait for it, or are like it."""
    order = _told(stuck)
    root = order[0]
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    conditions: dict[Condition, None] = {}

    def connect(tail: str, head: str, relation: Relation, source: str) -> None:
        edge = Edge(tail=tail, head=head, relation=relation, source=source)
        if edge not in edges:
            edges.append(edge)

    def add_task(key: TaskKey) -> str:
        node = Node(id=task_id(key), kind="task", label=tasks.name(key))
        return nodes.setdefault(node.id, node).id

    kept = kept_tasks(tasks, stuck, order)
    for key in order:
        wait, source = stuck[key], tasks.sources[key[0]]
        conditions.update(dict.fromkeys(wait.conditions))
        conditions[not_collected(tasks, key, kept=key in kept)] = None
        node = nodes.setdefault(wait.node.id, wait.node)
        connect(add_task(key), node.id, "waits for", source)
        if len(wait.wakers) == 1:
            connect(node.id, add_task(*wait.wakers), "held by", wait.held_source)
            continue
        group = Node(
            id=f"of-{node.id}",
            kind="tasks",
            label=f"the {len(wait.wakers)} tasks that could end the wait for {node.label}",
            members=len(wait.wakers),
        )
        nodes[group.id] = group
        connect(node.id, group.id, "ended only by", wait.held_source)
        for waker in sorted(wait.wakers):
            connect(group.id, add_task(waker), "consists of", wait.held_source)
    owned = all(len(stuck[key].wakers) == 1 for key in order)
    assumptions = tuple(dict.fromkeys(each for c in conditions for each in c.assumes))
    return Proof(
        kind=ProofKind.OWNER if owned else ProofKind.CLOSED_WORLD,
        sentence=_sentence(tasks, order, assumptions),
        roots=(task_id(root),),
        nodes=tuple(nodes.values()),
        edges=tuple(edges),
        conditions=tuple(conditions),
        assumptions=assumptions,
    )


def _sentence(tasks: Tasks, order: list[TaskKey], assumptions: tuple[Assumption, ...]) -> str:
    """Say who waits for what, and everything that is assumed."""
    order = _first_what_is_waited_for(tasks, order)
    clauses = [f"{tasks.name(key)} {phrase_of(tasks, key)}" for key in order[:MOST_TOLD]]
    if len(order) > MOST_TOLD:
        clauses.append(f"{len(order) - MOST_TOLD} more tasks wait in the same way")
    told = "; ".join(clauses)
    released = dict.fromkeys(
        each.detail for each in assumptions if each.kind is AssumptionKind.RELEASED_BY_HOLDER
    )
    never = "none of them can ever" if len(order) > 1 else "it can never"
    cancelled = f"any of these {len(order)} tasks" if len(order) > 1 else "it"
    collected = collected_words(tasks, order, assumptions)
    assumed = enumeration([*released, f"nobody cancels {cancelled}", *collected])
    return f"{told[0].upper()}{told[1:]}: {never} go on, if {assumed}. The loop goes on."


def _first_what_is_waited_for(tasks: Tasks, order: list[TaskKey]) -> list[TaskKey]:
    """Put those first that wait for something other than tasks: there it begins."""

    def waits_for_tasks(key: TaskKey) -> bool:
        awaits = tasks.by_key[key].awaits
        return isinstance(awaits, Known) and awaits.value.kind in OF_TASKS

    return sorted(order, key=waits_for_tasks)


# --- for a reader -------------------------------------------------------------------------------


def task_doings(
    tasks: Tasks, facts: Stuck, likely: Stuck, of_tasks: dict[TaskKey, TaskWait]
) -> tuple[TaskDoing, ...]:
    """Return what every task does; those that the answer is about come first."""
    core = _core(tasks, facts, likely, of_tasks)
    places = {key: number for number, key in enumerate(core)}
    doings = []
    for key in sorted(tasks.by_key, key=lambda key: (places.get(key, len(places)), key)):
        doings.append(
            _doing(
                tasks,
                key,
                stuck=_by_thread(tasks, key, facts),
                likely=key in of_tasks or _by_thread(tasks, key, likely),
                core=key in places,
            )
        )
    return tuple(doings)


def _by_thread(tasks: Tasks, key: TaskKey, stuck: Stuck) -> bool:
    """Return whether the thread that runs a task's loop is stuck."""
    return (key[0], tasks.loops[key].tid) in stuck.waits


def _core(
    tasks: Tasks, facts: Stuck, likely: Stuck, of_tasks: dict[TaskKey, TaskWait]
) -> list[TaskKey]:
    """Choose the stuck tasks that explain the rest: a circle, or those that wait for no other task.

    Leave out tasks whose loop cannot run them because its thread is stuck elsewhere: they explain
    nothing, and that thread is reported.
    """
    if of_tasks:
        return _first_what_is_waited_for(tasks, _told(of_tasks))
    stuck = [key for key in tasks.by_key if _in_loop(tasks, key, facts, likely)]
    circle = _circle({key: _waits_for(tasks, key) for key in stuck})
    if circle:
        return circle
    ends = [key for key in stuck if not _waits_for(tasks, key)]
    waited_for = {other for key in stuck for other in _waits_for(tasks, key)}
    return sorted(ends, key=lambda key: (key not in waited_for, key))


def _in_loop(tasks: Tasks, key: TaskKey, facts: Stuck, likely: Stuck) -> bool:
    """Return whether the thread of a task's loop is stuck where the loop waits for events."""
    thread = (key[0], tasks.loops[key].tid)
    wait = facts.waits.get(thread) or likely.waits.get(thread)
    return wait is not None and wait.node.kind == "polled"


def _circle(edges: dict[TaskKey, tuple[TaskKey, ...]]) -> list[TaskKey]:
    """Return the tasks of one circle, in its order; empty if there is no circle."""
    done: set[TaskKey] = set()
    for start in edges:
        path: dict[TaskKey, Iterator[TaskKey]] = {}
        at: TaskKey | None = start
        while at is not None:
            if at not in path and at not in done:
                path[at] = iter(edges.get(at, ()))
            following = next(path[at], None) if at in path else None
            if following is None:
                done.add(at)
                path.pop(at, None)
                at = next(reversed(path), None)
            elif following in path:
                order = list(path)
                return order[order.index(following) :]
            elif following not in done:
                at = following
    return []


def _waits_for(tasks: Tasks, key: TaskKey) -> tuple[TaskKey, ...]:
    """Return the tasks that a task waits for, by awaiting them or because they are in a block."""
    awaits = tasks.by_key[key].awaits
    if not isinstance(awaits, Known):
        return ()
    keys = [(key[0], address) for address in awaits.value.tasks]
    keys += [each.key for each in tasks.of_awaits(key, awaits.value)]
    return tuple(each for each in dict.fromkeys(keys) if each in tasks.by_key)


def _doing(tasks: Tasks, key: TaskKey, *, stuck: bool, likely: bool, core: bool) -> TaskDoing:
    task = tasks.by_key[key]
    awaits = task.awaits.value if isinstance(task.awaits, Known) else None
    return TaskDoing(
        pid=key[0],
        tid=tasks.loops[key].tid,
        address=key[1],
        name=tasks.name(key),
        does=phrase_of(tasks, key),
        stuck=stuck,
        likely=likely and not stuck,
        core=core,
        awaits=awaits,
        inside=task.inside,
        held_by=tuple(
            TaskHolder(address=each.key[1], name=tasks.name(each.key), how=each.how)
            for each in (tasks.of_awaits(key, awaits) if awaits is not None else ())
        ),
        waits_for_tasks=tuple(each[1] for each in _waits_for(tasks, key)),
    )
