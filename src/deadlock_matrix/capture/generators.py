"""The frame of a generator or a coroutine, which lies inside it.

Source: ``_PyGenObject_HEAD`` in ``Include/cpython/genobject.h`` of 3.8 to 3.15. Up to 3.10 a
pointer to the frame stands behind the header, null once the generator has ended. The same fields
begin a generator, a coroutine and an asynchronous generator.
"""

from __future__ import annotations

from deadlock_matrix.capture.frame_variables import FrameAddress, Interpreter
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.python_frames import frame_at, old_frame_at

_FRAME_AT = {(3, 11): 64}  # behind the header
_FRAME_SINCE_3_12 = 56
_STATE_BEFORE = 5  # bytes before the frame; from 3.11


def frame_of(memory: Memory, python: Interpreter, generator: int) -> FrameAddress:
    """Return the frame of a generator or coroutine that has not ended.

    Raises:
        Unreadable: There is none.
    """
    if python.version < (3, 11):
        return old_frame_at(memory, python, memory.number(generator + python.layout.header))
    return frame_at(memory, python, _frame_at(python, generator))


def is_suspended(memory: Memory, python: Interpreter, generator: int) -> bool:
    """Return whether it has not ended and, from 3.11 on, does not run at the moment.

    Raises:
        Unreadable: It cannot be read.
    """
    if python.version < (3, 11):
        return memory.number(generator + python.layout.header) != 0
    at = _frame_at(python, generator) - _STATE_BEFORE
    state = memory.number(at, 1, signed=True)
    # FRAME_CREATED comes before FRAME_SUSPENDED, and is in no block. 3.15 numbers them anew.
    return 1 <= state <= 3 if python.version >= (3, 15) else state < 0


def _frame_at(python: Interpreter, generator: int) -> int:
    behind = _FRAME_AT.get(python.version, _FRAME_SINCE_3_12)
    return generator + python.layout.header + behind
