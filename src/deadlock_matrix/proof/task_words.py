"""What a task of asyncio does, in words."""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.tasks import Task, TaskAwaits
from deadlock_matrix.proof.tasks import LOCKS, MOST_NAMED, OF_TASKS, TaskKey, Tasks, label_of
from deadlock_matrix.proof.words import enumeration

_VERBS = {
    "event": "waits until {} is set",
    "condition": "waits to be notified by {}",
    "barrier": "waits for others at {}",
    "future": "waits for {}",
}


def phrase_of(tasks: Tasks, key: TaskKey) -> str:
    """Say what a task does: ``waits for Lock 0x7f.. (b), held by task 'two' (inside ..)``."""
    task = tasks.by_key[key]
    if not isinstance(task.awaits, Known):
        return f"is not waiting: {task.awaits.reason}"
    awaits = task.awaits.value
    label = label_of(awaits)
    if awaits.kind in LOCKS:
        holders = tasks.of_awaits(key, awaits)
        held = [
            f"{'itself' if each.key == key else tasks.name(each.key)} ({each.how})"
            for each in holders[:MOST_NAMED]
        ]
        if len(holders) > MOST_NAMED:
            held.append(f"{len(holders) - MOST_NAMED} more")
        return f"waits for {label}" + (f", held by {enumeration(held)}" if held else "")
    if awaits.kind == "queue":
        return f"waits in {_function(task)} of {label}{_alone(awaits)}"
    if awaits.kind in OF_TASKS:
        return f"waits for {_of_tasks(tasks, key, awaits)}" + _limit(awaits)
    if awaits.kind == "timer":
        return "sleeps"
    if awaits.kind == "io":
        return f"waits for input or output, in {awaits.what}"
    if awaits.kind == "executor":
        return _of_executor(awaits)
    return _VERBS.get(awaits.kind, "waits for {}").format(label) + _alone(awaits)


def _alone(awaits: TaskAwaits) -> str:
    if awaits.known_to_others:
        return ""
    return ", to which no other code has a reference"


def _of_executor(awaits: TaskAwaits) -> str:
    """Name a job, or the end of all of them, for which asyncio waits at its own end."""
    if awaits.what == "job":
        thread = f", which thread {awaits.thread} runs" if awaits.thread else ""
        return f"waits for a job of an executor{thread}"
    thread = f", which thread {awaits.thread} waits for" if awaits.thread else ""
    return f"waits for the end of the default executor's threads{thread}: {awaits.what} of asyncio"


def _limit(awaits: TaskAwaits) -> str:
    return ", with a time limit" if awaits.limited else ""


def _of_tasks(tasks: Tasks, key: TaskKey, awaits: TaskAwaits) -> str:
    keys = [(key[0], address) for address in awaits.tasks]
    names = [tasks.name(each) for each in keys if each in tasks.by_key]
    if len(names) > MOST_NAMED:
        names = [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"]
    through = "" if awaits.kind == "task" else f"{awaits.what}: "
    return f"{through}{enumeration(names)}" if names else f"{awaits.what}: nothing that is pending"


def _function(task: Task) -> str:
    """Return the outermost function of asyncio in which a task waits: ``get``."""
    inner = ""
    folder = task.frames[-1].file.rpartition("/")[0] if task.frames else ""
    for frame in reversed(task.frames):
        if frame.file.rpartition("/")[0] != folder:
            break
        inner = frame.function
    return inner
