"""Who waits for what, held by whom, in one line that says most when it is cut off.

For a summary of failed tests: ids of threads and addresses are for those who read on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deadlock_matrix.diagnosis.text import base_name, one_line
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.verdict import Doing, TaskDoing
from deadlock_matrix.render.inspected_answer import concerned
from deadlock_matrix.render.inspected_tasks import core_tasks, in_short
from deadlock_matrix.render.looked_at import LookedAt, index

MOST_STEPS = 4

_OBJECT = re.compile(
    r"\b((?:recursive |error-checking )?\w[\w.]*) 0x[0-9a-f]+(?: \((?:[^()]|\([^()]*\))*\))?"
)
_PLACE = re.compile(r",? in \S+ \(([^()]+:\d+)\)")
_THREAD = re.compile(r"\b(main thread|thread(?= \d+ ')) \d+")
_HELD = re.compile(r", held (?:by|in) ")
_VOWELS = ("A", "E", "I", "O", "U", "RLock", "error")


def in_brief(found: Inspection) -> str:
    """Return ``main thread waits for self._lock (store.py:40), held by thread 'writer', ...``."""
    looked = index(found, {})
    tasks = core_tasks(looked)
    if tasks:
        return one_line("; ".join(_of_task(looked, each) for each in tasks[:MOST_STEPS]))
    threads = concerned(looked)
    if not threads:
        return one_line(found.sentence)
    main = [each for each in threads if each.tid == each.pid]
    first = (main or threads)[0]
    return one_line("".join(_chain(looked, first))).replace(f" of process {first.pid}", "")


def _of_task(looked: LookedAt, task: TaskDoing) -> str:
    clause = _shortened(in_short(task), "", looked.place_of_task(task))
    return f"{task.name} {clause}"


def _chain(looked: LookedAt, first: Doing) -> Iterator[str]:
    """Yield a clause for each thread, as far as one waits for another."""
    by_key = {(each.pid, each.tid): each for each in looked.found.threads}
    yield f"{_without_id(first.name)} "
    doing, seen = first, {(first.pid, first.tid)}
    for _ in range(MOST_STEPS):
        name = doing.waits_for.name if doing.waits_for is not None else ""
        of_kernel = " 0x" in name  # then it is no name
        clause = _shortened(
            _HELD.split(doing.does)[0], "" if of_kernel else name, looked.place(doing)
        )
        yield clause
        if doing.lead:
            yield f": {doing.lead}"
            return
        if doing.held_by is None:
            behind = _of_another_process(looked, seen)
            if behind is None:
                return
            yield f"; {behind.name} "
            doing = behind
        else:
            holder = _without_id(doing.held_by.name)
            key = doing.held_by.pid, doing.held_by.tid
            if holder not in clause:
                yield f", held by {'itself' if key == (doing.pid, doing.tid) else holder}"
            if key in seen or key not in by_key:
                return
            yield ", which "
            doing = by_key[key]
        seen.add((doing.pid, doing.tid))


def _of_another_process(looked: LookedAt, seen: set[tuple[int, int]]) -> Doing | None:
    """Return the first stuck thread of a process that is not in the line yet, its main one."""
    pids = {pid for pid, _ in seen}
    return next(
        (
            each
            for each in looked.found.threads
            if (each.stuck or each.likely) and each.tid == each.pid and each.pid not in pids
        ),
        None,
    )


def _without_id(text: str) -> str:
    return _THREAD.sub(r"\1", text)


def _shortened(does: str, name: str, place: PythonFrame | None) -> str:
    """Return a clause with a name in the place of an address, and the user's own line."""

    def put(match: re.Match[str]) -> str:
        kind = match[1]
        return name or f"{'an' if kind.startswith(_VOWELS) else 'a'} {kind}"

    where = f" ({base_name(place.file)}:{place.line})" if place is not None else ""
    text = _without_id(_OBJECT.sub(put, does, count=1))
    if _PLACE.search(text):
        return _PLACE.sub(where or r" (\1)", text, count=1)
    first, comma, rest = text.partition(",")
    return f"{first}{where}{comma}{rest}"
