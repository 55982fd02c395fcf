"""The coroutines of a suspended task: its frames, and the future at the end.

A coroutine that awaits another has it on top of its value stack, where ``cr_await`` finds it too
(``_PyGen_yf`` in ``Objects/genobject.c``). The chain ends in the iterator of a future. If that is
the future for which the task itself says it waits, every step was right. A task that runs, or has
just been woken, names none.
"""

from __future__ import annotations

import msgspec

from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.frame_variables import TAG, TAGGED_INTEGER, FrameAddress
from deadlock_matrix.capture.generators import frame_of
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_frames import python_frame
from deadlock_matrix.model.frames import PythonFrame

MOST_COROUTINES = 512
_STACK_TOP_AT = {(3, 8): 72, (3, 9): 72, (3, 10): 80}  # in a frame object
_SLOTS_IN_USE_AT = 64  # in an interpreter frame of 3.11 to 3.13: a count; later a pointer
_WITH_FRAMES = frozenset({"coroutine", "generator", "async_generator"})
_WRAPPERS = frozenset(
    {"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "FutureIter"}
)
"""Objects around a coroutine, a generator or a future, which is their first field."""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """The frames of one task, outermost first, and the object at the end of it."""

    frames: tuple[tuple[PythonFrame, FrameAddress], ...]
    end: int


def chain_of(objects: Objects, coroutine: int) -> Chain:
    """Follow what a task's coroutine awaits, to the end.

    Raises:
        Unreadable: An object on the way is not what it should be.
    """
    frames: list[tuple[PythonFrame, FrameAddress]] = []
    at = coroutine
    for _ in range(MOST_COROUTINES):
        kind = objects.type(at)
        if kind in _WITH_FRAMES:
            address = frame_of(objects.memory, objects.python, at)
            frames.append((python_frame(objects.memory, objects.python, address), address))
            at = _awaited(objects, address)
        elif kind in _WRAPPERS:
            at = objects.word(at + objects.python.layout.header)
        else:
            return Chain(frames=tuple(frames), end=at)
        if not at:
            return Chain(frames=tuple(frames), end=0)
    raise Unreadable(f"more than {MOST_COROUTINES} coroutines await one another")


def stack_top(objects: Objects, frame: FrameAddress) -> int:
    """Return the address just past the last word in use of a suspended frame.

    Raises:
        Unreadable: It cannot be read.
    """
    version, at = objects.python.version, objects.python.offsets
    if version < (3, 10):
        return objects.word(frame.frame + _STACK_TOP_AT[version])
    if version < (3, 11):
        depth = objects.memory.number(frame.frame + _STACK_TOP_AT[version], 4, signed=True)
        return objects.word(frame.frame + at["frame_object.valuestack"]) + 8 * depth
    if "interpreter_frame.stackpointer" in at:
        return objects.word(frame.frame + at["interpreter_frame.stackpointer"])
    used = objects.memory.number(frame.frame + _SLOTS_IN_USE_AT, 4, signed=True)
    return frame.slots + 8 * used


def _awaited(objects: Objects, frame: FrameAddress) -> int:
    """Return what lies on top of a suspended frame's stack; 0 if nothing, or not an object.

    From 3.15 on an iterator has a second word above it on the stack, which is not an object.
    """
    top = stack_top(objects, frame)
    if not frame.slots < top < frame.slots + (1 << 20):
        return 0
    for word in (objects.word(top - 8), objects.word(top - 16)):
        try:
            if word & TAGGED_INTEGER != TAGGED_INTEGER and objects.type(word & ~TAG):
                return word & ~TAG
        except Unreadable:
            continue
    return 0
