"""Tasks of asyncio for a reader: the sentence about those that are stuck, and who awaits whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.verdict import Doing, TaskDoing
from deadlock_matrix.render.looked_at import LookedAt, short_place
from deadlock_matrix.render.page import Line

MOST_IN_SENTENCE = 3
MOST_PLACES = 4
MOST_SHOWN = 40
"""Most lines of a tree."""

MOST_DEEP = 12
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")

Key = tuple[int, int]


def core_tasks(looked: LookedAt) -> list[TaskDoing]:
    """Return the tasks that the answer is about; empty if it is about threads alone."""
    return [each for each in looked.found.tasks if each.core and (each.stuck or each.likely)]


def stuck_tasks_sentence(looked: LookedAt, tasks: Sequence[TaskDoing]) -> str:
    """Return who waits for what, held by whom, each task with the user's own line."""
    told = [f"{_named(looked, each)} {in_short(each)}" for each in tasks[:MOST_IN_SENTENCE]]
    if len(tasks) > MOST_IN_SENTENCE:
        told.append(f"{count(len(tasks) - MOST_IN_SENTENCE, 'more task')} likewise")
    told += [f"behind it, {each}" for each in _threads_behind(looked, tasks[:MOST_IN_SENTENCE])]
    likely = "" if any(each.stuck for each in tasks) else ", if the assumptions hold"
    return f"{'; '.join(told)}: stuck for good{likely}"


def tasks_of_thread(looked: LookedAt, doing: Doing) -> str:
    """Say what the few tasks of the loop that a thread runs wait for; empty if there are many."""
    tasks = [each for each in looked.found.tasks if (each.pid, each.tid) == (doing.pid, doing.tid)]
    if not 0 < len(tasks) <= MOST_IN_SENTENCE:
        return ""
    told = [f"{_named(looked, each)} {in_short(each)}" for each in tasks]
    return f"in its event loop {'; '.join(told)}"


def _threads_behind(looked: LookedAt, tasks: Sequence[TaskDoing]) -> Iterator[str]:
    """Yield the threads that run the jobs for which tasks wait, or for which those threads wait."""
    by_key = {(each.pid, each.tid): each for each in looked.found.threads}
    for task in tasks:
        key = (task.pid, task.awaits.thread if task.awaits is not None else 0)
        seen = {key}
        while (doing := by_key.get(key)) is not None and doing.held_by is not None:
            key = doing.held_by.pid, doing.held_by.tid
            if key in seen:
                break
            seen.add(key)
        if doing is not None:
            place = looked.place(doing)
            # What it does already mentions the line, if it waits for a Python lock.
            where = (
                f" in {short_place(place)}"
                if place and short_place(place) not in doing.does
                else ""
            )
            yield one_line(f"{doing.name}{where} {doing.does}")


def in_short(task: TaskDoing) -> str:
    """Name what it waits for, and who holds that; the details are further down."""
    awaits = task.awaits
    if awaits is None or not awaits.name:
        return one_line(task.does)
    of = f" of {awaits.of}" if awaits.of else ""
    told = f"waits for {awaits.what} {awaits.name}{of}"
    holders = ["itself" if each.address == task.address else each.name for each in task.held_by]
    if len(holders) > MOST_IN_SENTENCE:
        holders = [*holders[:MOST_IN_SENTENCE], f"{len(holders) - MOST_IN_SENTENCE} more"]
    return one_line(told + (f", held by {listed(holders)}" if holders else ""))


def place_lines(looked: LookedAt, frames: Iterable[PythonFrame | None]) -> Iterator[Line]:
    """Yield the user's lines, each once, in full, so that an editor can open them."""
    told = set()
    for frame in frames:
        if frame is None or (frame.file, frame.line) in told:
            continue
        told.add((frame.file, frame.line))
        if len(told) > MOST_PLACES:
            return
        text = looked.text(frame)
        yield Line(
            f"    {one_line(frame.file)}:{frame.line}" + (f": {text}" if text else ""), "cyan"
        )


def _named(looked: LookedAt, task: TaskDoing) -> str:
    place = looked.place_of_task(task)
    return one_line(task.name) + (f" in {short_place(place)}" if place is not None else "")


# --- the tree -----------------------------------------------------------------------------------


def task_lines(looked: LookedAt, pid: int, *, all_tasks: bool) -> Iterator[Line]:
    """Yield the loops of a process, each with its tasks as a tree of who waits for whom.

    Args:
        looked: The inspection.
        pid: The process.
        all_tasks: Fold nothing. Otherwise tasks that differ only in numbers share one line, and
            where something is stuck the others are only counted.
    """
    if pid in looked.unread_tasks:
        yield Line()
        yield Line(one_line(looked.unread_tasks[pid]), "dim")
    by_loop: dict[int, list[TaskDoing]] = {}
    for task in looked.found.tasks:
        if task.pid == pid:
            by_loop.setdefault(task.tid, []).append(task)
    for tid, tasks in by_loop.items():
        yield Line()
        runs = f"run by thread {tid}" if tid != pid else f"run by main thread {tid}"
        yield Line(
            f"event loop {runs if tid else 'that no thread runs'}: {count(len(tasks), 'task')}",
            "bold",
        )
        shown = [each for each in tasks if each.stuck or each.likely]
        if all_tasks or not shown:
            shown = tasks
        yield from _tree(looked, shown, all_tasks=all_tasks)
        if len(shown) < len(tasks):
            yield Line(f"    {count(len(tasks) - len(shown), 'other task')}, not stuck")


def _tree(looked: LookedAt, tasks: Sequence[TaskDoing], *, all_tasks: bool) -> Iterator[Line]:
    by_key = {(each.pid, each.address): each for each in tasks}
    waited_for = {
        (each.pid, other)
        for each in tasks
        for other in each.waits_for_tasks
        if other != each.address
    }
    tops = [each for key, each in by_key.items() if key not in waited_for]
    shown: set[Key] = set()
    lines = 0
    groups = [[each] for each in tops] if all_tasks else _alike(looked, tops)
    # A circle that nothing outside waits for has no top: start anywhere.
    rest = [[each] for key, each in by_key.items() if key in waited_for]
    for group in [*groups, *rest]:
        if (group[0].pid, group[0].address) in shown:
            continue
        for line in _branch(looked, by_key, group, shown, 1):
            lines += 1
            if lines > MOST_SHOWN and not all_tasks:
                left = len(by_key) - len(shown)
                if left > 0:
                    yield Line(f"    and {count(left, 'more task')}", "dim")
                return
            yield line


def _branch(
    looked: LookedAt,
    by_key: dict[Key, TaskDoing],
    group: Sequence[TaskDoing],
    shown: set[Key],
    depth: int,
) -> Iterator[Line]:
    first = group[0]
    shown.update((each.pid, each.address) for each in group)
    mark = "stuck: " if first.stuck else "likely stuck: " if first.likely else ""
    name = _named(looked, first)
    if len(group) > 1:
        name = f"{len(group)} tasks alike, such as {name},"
    style = ("bold red" if first.stuck else "bold yellow") if first.core else ""
    yield Line(f"{'    ' * depth}{name} {mark}{one_line(first.does)}", style)
    again: list[str] = []
    for address in first.waits_for_tasks:
        other = by_key.get((first.pid, address))
        if other is None or depth >= MOST_DEEP:
            continue
        if (other.pid, other.address) in shown:
            again.append(one_line(other.name))
        else:
            yield from _branch(looked, by_key, [other], shown, depth + 1)
    if again:
        yield Line(f"{'    ' * (depth + 1)}({listed(again)}: shown above)", "dim")


def _alike(looked: LookedAt, tasks: Sequence[TaskDoing]) -> list[list[TaskDoing]]:
    groups: dict[tuple[object, ...], list[TaskDoing]] = {}
    for task in tasks:
        place = looked.place_of_task(task)
        where = (place.file, place.line) if place is not None else None
        groups.setdefault((_NUMBER.sub("#", task.does), where, task.stuck), []).append(task)
    return list(groups.values())
