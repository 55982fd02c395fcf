"""In which of the user's own lines a run is stuck: the first thing that a reader wants to see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.frames import is_probes, is_users, package_of, users_frame
from deadlock_matrix.diagnosis.imports import import_chain, is_importlib
from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.model.diagnosis import Outcome, Sample, SourceLine, Stuck
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.stack_facts import ThreadStack
from deadlock_matrix.model.verdict import Doing

MOST_THREADS = 4
MOST_LINES = 6
ENTRY = "<entry>"


def stuck_threads(
    result: CellResult, own: str = "", samples: Sequence[Sample] = ()
) -> tuple[Stuck, ...]:
    """Return the threads that are stuck, with the lines that led there, outermost first.

    ``own`` is the requested package: if it is installed, its lines are the ones to see. ``samples``
    tell where the run was before, in case nobody could look in the end.

    Without a proof it is the thread that is deepest in imports, or else the main thread. The text
    of the lines is not known here: see `deadlock_matrix.app.source_text`.
    """
    evidence = result.evidence
    stacks = evidence.python() if evidence is not None else {}
    threads = result.judgement.threads if result.judgement is not None else ()
    chosen = [each for each in threads if each.stuck] or [each for each in threads if each.likely]
    if not chosen:
        chosen = _deepest(threads, stacks)
    found = [_stuck(each, stacks.get((each.pid, each.tid)), own) for each in chosen]
    told = [each for each in found if each.lines]
    if not told and (place := heaviest(samples)) is not None:
        does = f"waits for {place.detail}" if place.detail else "was seen here"
        told = [Stuck(thread="main thread", does=does, lines=lines_of(place.frames, own))]
    return tuple((told or found)[:MOST_THREADS])


def heaviest(samples: Sequence[Sample]) -> Sample | None:
    """Return where a run was for the longest time; one that hangs, hangs there."""
    return max(samples, key=lambda each: each.seconds, default=None)


def known_so_far(outcome: Outcome, stuck: Sequence[Stuck]) -> Iterator[str]:
    """Yield what a hang is, a line for each thread, to say at once, before any measurement."""
    for each in stuck:
        where = ""
        if each.lines:
            last = each.lines[-1]
            text = f": {last.text}" if last.text else ""
            where = f", {last.file}:{last.line}{text}"
        yield f"{outcome.value}: {one_line(each.thread)} {one_line(each.does)}{where}"


def lines_of(frames: Sequence[PythonFrame], own: str = "") -> tuple[SourceLine, ...]:
    """Return the lines that a reader can change: the user's own, or else an installed package's.

    Of installed packages, ``own`` comes first.
    """
    shown = [each for each in frames if not is_probes(each) and not is_importlib(each)]
    users = [each for each in shown if is_users(each)]
    chosen = [each for each in users if each.file != ENTRY]
    chosen = chosen or [each for each in shown if own and package_of(each) == own]
    if not chosen:
        frame = users_frame(shown)
        packages = [frame] if frame is not None and frame not in users else []
        chosen = [*_inside_packages(shown), *packages] or users
    lines = dict.fromkeys((each.file, each.line, each.function) for each in chosen[-MOST_LINES:])
    return tuple(SourceLine(file=f, line=n, function=name) for f, n, name in lines)


def _inside_packages(frames: Sequence[PythonFrame]) -> Iterator[PythonFrame]:
    return (each for each in frames if "-packages/" in each.file.replace("\\", "/"))


def _stuck(doing: Doing, stack: ThreadStack | None, own: str) -> Stuck:
    frames = stack.python if stack is not None else ()
    return Stuck(thread=doing.name, does=doing.does, lines=lines_of(frames, own))


def _deepest(threads: Sequence[Doing], stacks: dict[tuple[int, int], ThreadStack]) -> list[Doing]:
    def depth(doing: Doing) -> tuple[int, bool]:
        stack = stacks.get((doing.pid, doing.tid))
        chain = import_chain(stack.python) if stack is not None else ()
        return len(chain), doing.pid == doing.tid

    return sorted(threads, key=depth, reverse=True)[:1]
