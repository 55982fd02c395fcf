"""Threads for a reader: those that matter with their stacks, the others folded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.frames import Fold, fold
from deadlock_matrix.diagnosis.text import base_name, count, one_line
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import NativeFrame
from deadlock_matrix.model.verdict import Doing
from deadlock_matrix.render.looked_at import LookedAt, short_place
from deadlock_matrix.render.page import Line
from deadlock_matrix.render.stacks import import_chain

NATIVE_FRAMES = 8
MOST_IDS = 3
MOST_SOURCE = 100
"""Most characters of a source line."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\b\d+(?:\.\d+)?\b")

_IDLE = {
    ("_worker", "/concurrent/futures/thread.py"): (
        ("", "get"),
        "is idle: a ThreadPoolExecutor's, without work",
    ),
    ("worker", "/multiprocessing/pool.py"): (
        ("", "get"),
        "is idle: a multiprocessing pool's, without work",
    ),
    ("_process_worker", "/concurrent/futures/process.py"): (
        ("get",),
        "is idle: a ProcessPoolExecutor's, without work",
    ),
    ("_feed", "/multiprocessing/queues.py"): (
        ("wait",),
        "is idle: feeds a multiprocessing.Queue, has nothing",
    ),
}
"""A function and its file: what it calls to wait for work (empty: written in C); what that means.

Each of them may also wait to hand something over, as when a pipe is full.
"""

_WAITING = ("/threading.py", "/queue.py", "/multiprocessing/", "/queues.py")


def thread_lines(
    looked: LookedAt, doing: Doing, *, all_frames: bool, native: bool
) -> Iterator[Line]:
    """Yield one thread: what it waits for, and its stack, with the user's line marked."""
    mark = "stuck: " if doing.stuck else "likely stuck: " if doing.likely else ""
    style = "bold red" if doing.stuck else "bold yellow" if doing.likely else "bold"
    yield Line(f"{one_line(doing.name)}, {mark}{one_line(doing.does)}", style)
    yield from _stack(looked, doing, all_frames=all_frames, native=native)


def group_lines(
    looked: LookedAt, group: Sequence[Doing], *, whole: bool, all_frames: bool, native: bool
) -> Iterator[Line]:
    """Yield threads that are alike, as one entry, with the stack of the first if ``whole``."""
    first = group[0]
    idles = idle(looked.frames(first))
    does = idles or one_line(first.does)
    if len(group) == 1:
        yield Line(f"{one_line(first.name)}, {does}", "bold" if whole else "")
    else:
        ids = ", ".join(str(each.tid) for each in group[:MOST_IDS])
        more = ", ..." if len(group) > MOST_IDS else ""
        # Alike but for the numbers: each may wait for a lock of its own.
        who = "each" if idles or len({each.does for each in group}) == 1 else "the first"
        yield Line(f"{len(group)} threads alike ({ids}{more}), {who} {does}",
                   "bold" if whole else "")  # fmt: skip
    if whole:
        yield from _stack(looked, first, all_frames=all_frames, native=native)
    elif (place := looked.place(first)) is not None:
        yield Line(f"    in {short_place(place)}")


def alike(looked: LookedAt, doings: Sequence[Doing]) -> list[list[Doing]]:
    """Group threads that differ only in numbers, in the order of each group's first."""
    groups: dict[tuple[object, ...], list[Doing]] = {}
    for doing in doings:
        groups.setdefault((doing.pid, *likeness(looked, doing)), []).append(doing)
    return list(groups.values())


def likeness(looked: LookedAt, doing: Doing) -> tuple[object, ...]:
    """Return what two threads must have in common to be shown as one."""
    frames = tuple((each.file, each.function, each.line) for each in looked.frames(doing))
    name = "main" if doing.tid == doing.pid else _NUMBER.sub("#", doing.name)
    return name, _NUMBER.sub("#", doing.does), frames, doing.stuck, doing.likely


def idle(frames: Sequence[PythonFrame]) -> str:
    """Return what an idle worker waits for; empty for any other thread."""
    called = ""
    for frame in reversed(frames):
        path = "/" + frame.file.replace("\\", "/")
        function = frame.function.rpartition(".")[2]
        for (name, file), (calls, meaning) in _IDLE.items():
            if function == name and path.endswith(file):
                return meaning if called in calls else ""
        called = function
        if not any(part in path for part in _WAITING):
            return ""
    return ""


def _stack(looked: LookedAt, doing: Doing, *, all_frames: bool, native: bool) -> Iterator[Line]:
    frames = looked.frames(doing)
    place = looked.place(doing)
    for each in frames if all_frames else fold(frames):
        if isinstance(each, Fold):
            yield Line(f"    ... {one_line(str(each))}", "dim")
            continue
        users = each is place
        yield Line(f"    {_python_frame(each)}", "cyan" if users else "")
        text = looked.text(each)
        if text:
            yield Line(f"      {text[:MOST_SOURCE]}", "bold cyan" if users else "dim")
    chain = import_chain(frames)
    if chain:
        yield Line("    imports under way: " + " > ".join(chain))
    stack = looked.native.get((doing.pid, doing.tid))
    if stack is not None and stack.native and (native or all_frames or not frames):
        shown = stack.native if all_frames else stack.native[-NATIVE_FRAMES:]
        if len(stack.native) > len(shown):
            left = len(stack.native) - len(shown)
            yield Line(f"    ... {count(left, 'outer native frame')}", "dim")
        for native_frame in shown:
            yield Line(f"    native: {_native_frame(native_frame)}")


def _python_frame(frame: PythonFrame) -> str:
    return one_line(f'File "{frame.file}", line {frame.line}, in {frame.function}')


def _native_frame(frame: NativeFrame) -> str:
    library = base_name(frame.library) or "?"
    return one_line(f"{frame.symbol} ({library})")
