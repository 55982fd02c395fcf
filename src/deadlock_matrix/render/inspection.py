"""An inspected process, for a reader: the answer, the threads, what is in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from deadlock_matrix.diagnosis.recognition.recognise import Recognition
from deadlock_matrix.diagnosis.text import count, one_line
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.verdict import Doing
from deadlock_matrix.render.causes import cause_lines
from deadlock_matrix.render.inspected_answer import answer_lines, concerned
from deadlock_matrix.render.inspected_process import process_line
from deadlock_matrix.render.inspected_proof import gap_lines, proof_lines
from deadlock_matrix.render.inspected_tasks import task_lines
from deadlock_matrix.render.inspected_threads import (
    MOST_IDS,
    alike,
    group_lines,
    likeness,
    thread_lines,
)
from deadlock_matrix.render.looked_at import LookedAt, index
from deadlock_matrix.render.page import Line, put_down

MOST_TOLD = 8
"""How many stuck threads are shown one by one, or at all while the command goes on."""

MOST_STACKS = 20
"""How many stacks are shown of threads about which nothing is proved."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What to show of an inspection, and how.

    ``only`` is the process whose threads are shown besides the stuck ones; ``None`` for all.
    ``proof`` adds what a proof rests on. ``all_frames`` folds neither frames nor threads,
    ``native`` shows native frames. ``source`` holds the lines that could be read here, by file and
    number. ``width`` is where prose is broken; ``None`` breaks it nowhere. ``hint`` says whether to
    mention ``--proof``: pytest has no such option.
    """

    only: int | None = None
    proof: bool = False
    all_frames: bool = False
    native: bool = False
    source: Mapping[tuple[str, int], str] = msgspec.field(default_factory=dict)
    width: int | None = None
    colour: bool = False
    hint: bool = True


PLAIN = View()


def inspection_text(
    found: Inspection, view: View = PLAIN, recognitions: Sequence[Recognition] = ()
) -> str:
    """Return the whole text; ``recognitions`` are the known causes that were recognised in it."""
    lines = _lines(index(found, view.source), view, recognitions)
    return put_down(lines, view.width, view.colour)


def stuck_text(found: Inspection, view: View = PLAIN) -> str:
    """Return what is stuck while the rest goes on: the answer, and the stacks of those threads."""
    return put_down(_stuck_lines(index(found, view.source), view), view.width, view.colour)


def _stuck_lines(looked: LookedAt, view: View) -> Iterator[Line]:
    yield from answer_lines(looked)
    stuck = [doing for doing in looked.found.threads if doing.stuck or doing.likely]
    for doing in stuck[:MOST_TOLD]:
        yield Line()
        yield from thread_lines(looked, doing, all_frames=view.all_frames, native=view.native)
    if len(stuck) > MOST_TOLD:
        yield Line()
        yield Line(f"and {count(len(stuck) - MOST_TOLD, 'thread')} more")
    for pid in dict.fromkeys(each.pid for each in looked.found.tasks if each.core):
        yield from task_lines(looked, pid, all_tasks=view.all_frames)


def _lines(looked: LookedAt, view: View, recognitions: Sequence[Recognition]) -> Iterator[Line]:
    found = looked.found
    yield from answer_lines(looked)
    yield from _above(looked)
    if recognitions:
        yield Line()
        yield from map(Line, cause_lines(recognitions))
    yield from _threads(looked, view)
    if found.gaps:
        yield Line()
        yield from gap_lines(found.gaps, of_more=found.proof is not None)
    if found.proof is None:
        return
    if view.proof:
        yield Line()
        yield from proof_lines(found.proof)
    elif view.hint:
        yield Line()
        yield Line("--proof shows what this rests on, and where each fact was read", "dim")


def _above(looked: LookedAt) -> Iterator[Line]:
    evidence = looked.found.evidence
    parents = evidence.value.parents if isinstance(evidence, Known) else ()
    for parent in (each for each in parents if each.acts):
        acts = (
            f"process {parent.pid} ({parent.name}) {parent.acts}; it may interrupt or end this one"
        )
        yield Line(f"  above it: {one_line(acts)}", prose=True)


def _threads(looked: LookedAt, view: View) -> Iterator[Line]:
    threads = looked.found.threads
    shown = [
        doing
        for doing in threads
        if view.only is None or doing.stuck or doing.likely or doing.pid == view.only
    ]
    by_process: dict[int, list[Doing]] = {}
    for doing in shown:
        by_process.setdefault(doing.pid, []).append(doing)
    for first, *others in _processes_alike(looked, view, by_process):
        yield Line()
        yield process_line(looked, first)
        if others:
            yield Line(f"and {count(len(others), 'process', 'processes')} like it: {_ids(others)}")
        if first in looked.unread:
            yield Line(f"no Python stacks: {one_line(looked.unread[first])}", "dim")
        yield from _of_process(looked, view, by_process[first])
        yield from task_lines(looked, first, all_tasks=view.all_frames)
    if len(shown) < len(threads):
        hidden = count(len(threads) - len(shown), "thread")
        yield Line()
        yield Line(f"{hidden} of its descendants not shown; --tree shows them")


def _processes_alike(
    looked: LookedAt, view: View, by_process: Mapping[int, Sequence[Doing]]
) -> list[list[int]]:
    """Group processes that differ only in numbers, if there are many."""
    if view.all_frames or len(by_process) <= MOST_TOLD:
        return [[pid] for pid in by_process]
    groups: dict[tuple[object, ...], list[int]] = {}
    for pid, doings in by_process.items():
        key = tuple(likeness(looked, doing) for doing in doings)
        groups.setdefault(key, []).append(pid)
    return list(groups.values())


def _ids(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:MOST_IDS])) + (", ..." if len(numbers) > MOST_IDS else "")


def _of_process(looked: LookedAt, view: View, doings: Sequence[Doing]) -> Iterator[Line]:
    """Yield those concerned first, each with its stack; then the others, alike ones together."""
    first = {(each.pid, each.tid) for each in concerned(looked)}
    stuck = [each for each in doings if _is_concerned(each, first)]
    stuck.sort(key=lambda each: (each.pid, each.tid) not in first)
    others = [each for each in doings if not _is_concerned(each, first)]
    told = 0
    each_alone = view.all_frames or len(stuck) <= MOST_TOLD
    for group in [[each] for each in stuck] if each_alone else alike(looked, stuck):
        told += 1
        yield Line()
        yield from thread_lines(looked, group[0], all_frames=view.all_frames, native=view.native)
        if len(group) > 1:
            ids = _ids([each.tid for each in group[1:]])
            yield Line(f"    and {count(len(group) - 1, 'thread')} like it ({ids})")
    # Where something is stuck, the others are there only for comparison.
    whole = view.all_frames or looked.found.proof is None
    for group in [[each] for each in others] if view.all_frames else alike(looked, others):
        told += 1
        yield Line()
        yield from group_lines(
            looked,
            group,
            whole=whole and (view.all_frames or told <= MOST_STACKS),
            all_frames=view.all_frames,
            native=view.native,
        )


def _is_concerned(doing: Doing, first: set[tuple[int, int]]) -> bool:
    return doing.stuck or doing.likely or (doing.pid, doing.tid) in first
