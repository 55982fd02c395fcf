"""The answer: what is stuck, in which of the user's own lines, why, and what is assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.frames import is_users
from deadlock_matrix.diagnosis.text import count, listed, one_line, seconds
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import NoTimeout
from deadlock_matrix.model.verdict import TITLES, Doing, Proof
from deadlock_matrix.render.inspected_tasks import (
    core_tasks,
    place_lines,
    stuck_tasks_sentence,
    tasks_of_thread,
)
from deadlock_matrix.render.inspected_threads import idle
from deadlock_matrix.render.looked_at import LookedAt, short_place
from deadlock_matrix.render.page import Line
from deadlock_matrix.render.running_tests import test_lines

MOST_NAMED = 4
MOST_CHILDREN = 2
MOST_IN_SENTENCE = 4
"""How many assumptions a proof's own sentence names; see `deadlock_matrix.proof.sentence`."""

_FOR_A_PROCESS = (WaitsFor.CHILD, WaitsFor.READ, WaitsFor.WRITE)
"""The waits that another process may have to end. Locks are not followed that far."""

_HELPERS = ("/multiprocessing/resource_tracker.py", "/multiprocessing/forkserver.py")
"""The files of processes that ``multiprocessing`` starts beside the program's own."""

_STYLES = {
    "deadlock": "bold red",
    "partial": "bold red",
    "likely": "bold yellow",
    "likely-partial": "bold yellow",
    "not-proved": "bold",
}


def answer_lines(looked: LookedAt) -> Iterator[Line]:
    """Yield a sentence that says what is stuck where; those lines; why, with every assumption."""
    found = looked.found
    threads = concerned(looked)
    title = _title(looked)
    if found.proof is None:
        also: list[Doing] = []
        if not any(each.lead for each in threads):
            also += [each for each in _without_limit(looked) if each not in threads]
            also += _of_children(looked)
        told = _of_unproved(looked, threads, also)
        yield Line(f"{title}: {told}", _STYLES["not-proved"], prose=True)
        yield from test_lines(looked)
        yield from place_lines(looked, map(looked.place, [*threads, *also]))
        return
    style = _STYLES[found.outcome]
    tasks = core_tasks(looked)
    told = stuck_tasks_sentence(looked, tasks) if tasks else _of_stuck(looked, threads)
    yield Line(f"{title}: {told}", style, prose=True)
    yield from test_lines(looked)
    yield from place_lines(looked, map(looked.place_of_task, tasks))
    yield from place_lines(looked, map(looked.place, threads))
    yield Line(f"  {one_line(found.proof.sentence)}", prose=True)
    yield from _further_assumptions(found.proof)
    if found.likely is not None:
        sentence = one_line(found.likely.sentence)
        yield Line(f"  likely deadlock of the whole process: {sentence}", prose=True)
        yield from _further_assumptions(found.likely)


def concerned(looked: LookedAt) -> list[Doing]:
    """Return the threads that the answer is about.

    With a proof, these are the threads in it, or else whoever is stuck: those in the user's own
    lines first, then the others, such as idle workers of a framework, each in the proof's order.
    Without one, the main thread of the process that was looked at, or all its threads if the main
    thread has ended.
    """
    found = looked.found
    if found.proof is not None:
        order = {node.id: place for place, node in enumerate(found.proof.nodes)}
        stuck = [each for each in found.threads if each.stuck]
        stuck = stuck or [each for each in found.threads if each.likely]
        told = [each for each in stuck if _node(each) in order]
        return sorted(
            told or stuck,
            key=lambda each: (not _in_users_line(looked, each), order.get(_node(each), 0)),
        )
    led = [each for each in found.threads if each.lead]
    if led:
        return led
    root = _root(looked)
    of_root = [each for each in found.threads if each.pid == root]
    main = [each for each in of_root if each.tid == each.pid]
    return main or of_root


def _in_users_line(looked: LookedAt, doing: Doing) -> bool:
    place = looked.place(doing)
    return place is not None and is_users(place)


def _node(doing: Doing) -> str:
    return f"thread-{doing.pid}-{doing.tid}"


def _root(looked: LookedAt) -> int:
    evidence = looked.found.evidence
    if isinstance(evidence, Known):
        return evidence.value.after.root
    return looked.found.threads[0].pid if looked.found.threads else 0


def _title(looked: LookedAt) -> str:
    found = looked.found
    if found.proof is None and found.verdict != "not-proved":
        return str(found.verdict)
    return TITLES[found.outcome]


def _of_stuck(looked: LookedAt, threads: Sequence[Doing]) -> str:
    likely = "" if any(each.stuck for each in threads) else ", if the assumptions hold"
    be = "are" if len(threads) > 1 else "is"
    return f"{_all_named(looked, threads)} {be} stuck for good{likely}"


def _all_named(looked: LookedAt, threads: Sequence[Doing]) -> str:
    """Name each thread; if there are more than a few, group those in the same line."""
    if len(threads) <= MOST_NAMED:
        return listed([_named(looked, each) for each in threads])
    groups: dict[str, list[Doing]] = {}
    for each in threads:
        place = looked.place(each)
        groups.setdefault(short_place(place) if place is not None else "", []).append(each)
    named = [
        _named(looked, group[0])
        if len(group) == 1
        else count(len(group), "thread") + (f" in {place}" if place else "")
        for place, group in groups.items()
    ]
    if len(named) > MOST_NAMED:
        told = list(groups.values())[: MOST_NAMED - 1]
        rest = len(threads) - sum(map(len, told))
        named = [*named[: MOST_NAMED - 1], count(rest, "more thread")]
    return listed(named)


def _named(looked: LookedAt, doing: Doing) -> str:
    place = looked.place(doing)
    return one_line(doing.name) + (f" in {short_place(place)}" if place is not None else "")


def _of_unproved(looked: LookedAt, threads: Sequence[Doing], also: Sequence[Doing]) -> str:
    found = looked.found
    if not threads:
        return one_line(found.sentence)
    first = threads[0]
    told = f"{_named(looked, first)} {one_line(first.does)}"
    if first.lead:
        told += f"; {one_line(first.lead)}"
    if found.verdict == "hang" and isinstance(found.unmoved_s, Known):
        told += f", in the same place for {seconds(found.unmoved_s.value)}"
    if in_loop := tasks_of_thread(looked, first):
        told += f"; {in_loop}"
    elif first.pid in looked.unread_tasks:
        told += f"; {one_line(looked.unread_tasks[first.pid])}"
    if behind := _behind(looked, first):
        told += f"; behind it, {behind}"
    if len(threads) > 1 and not first.lead:
        told += f"; {count(len(threads) - 1, 'more thread')}"
    locked = [each for each in also if each.pid == first.pid]
    if locked:
        verb = "wait" if len(locked) > 1 else "waits"
        told += f"; without a time limit {verb} {_all_named(looked, locked)}"
    for child in [each for each in also if each.pid != first.pid][:MOST_CHILDREN]:
        told += f"; {_named(looked, child)} {one_line(child.does)}"
    return told


def _of_children(looked: LookedAt) -> list[Doing]:
    """Return the main threads of child processes, where no obstacle leads to one of them.

    The helpers of ``multiprocessing`` wait for orders all the time: they say nothing.
    """
    pid = _root(looked)
    of_others = [
        each
        for each in looked.found.threads
        if each.pid != pid
        and each.tid == each.pid
        and not idle(looked.frames(each))
        and not _waits_for_orders(looked.frames(each))
    ]
    subjects = {gap.subject for gap in looked.found.gaps}
    return [] if subjects & {each.name for each in of_others} else of_others


def _waits_for_orders(frames: Sequence[PythonFrame]) -> bool:
    """Return whether it is in the loop of one of multiprocessing's helpers.

    A child that the fork server has made is in a function that this loop calls.
    """
    own = [each for each in frames if not each.file.endswith("/selectors.py")]
    return bool(own) and own[-1].function == "main" and own[-1].file.endswith(_HELPERS)


def _behind(looked: LookedAt, first: Doing) -> str:
    """Name the thread of another process that keeps this one waiting, if obstacles lead to one."""
    if not _waits_for_a_process(looked, first):
        return ""
    by_name = {each.name: each for each in looked.found.threads}
    for gap in looked.found.gaps:
        other = by_name.get(gap.subject)
        if other is None or (other.pid, other.tid) == (first.pid, first.tid):
            continue
        if other.pid != first.pid:
            return f"{_named(looked, other)} {one_line(other.does)}"
    return ""


def _waits_for_a_process(looked: LookedAt, doing: Doing) -> bool:
    process = looked.processes.get(doing.pid)
    for thread in process.threads if process is not None else ():
        if thread.tid == doing.tid and thread.call is not None:
            row = blocking(thread.call.name)
            return bool(row.channels) and row.waits_for in _FOR_A_PROCESS
    return False


def _without_limit(looked: LookedAt) -> list[Doing]:
    """Return threads that wait for a lock without a time limit, in the user's own code.

    Each may be waiting for work, as an idle worker does, so the answer only says where they are.
    """
    pid = _root(looked)
    process = looked.processes.get(pid)
    waiting = {
        thread.tid
        for thread in (process.threads if process is not None else ())
        if thread.call is not None
        and thread.call.name == "futex"
        and isinstance(thread.timeout, Known)
        and isinstance(thread.timeout.value, NoTimeout)
    }
    return [
        each
        for each in looked.found.threads
        if each.pid == pid
        and each.tid in waiting
        and not idle(looked.frames(each))
        and _in_users_line(looked, each)
    ]


def _further_assumptions(proof: Proof) -> Iterator[Line]:
    if any(node.kind == "task" for node in proof.nodes):
        return  # its sentence names them all
    details = list(dict.fromkeys(each.detail for each in proof.assumptions))  # as its sentence does
    for detail in details[MOST_IN_SENTENCE:]:
        yield Line(f"  and if {one_line(detail)}", prose=True)
