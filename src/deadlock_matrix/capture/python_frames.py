"""Stacks of Python functions, read from a process's memory without stopping it.

Nothing is taken from files or from the observer's own view of the system: this works the same for a
process in a container, for an interpreter that an upgrade has replaced, and for names in any
alphabet. Thread ids are those that the threads themselves see (`ThreadFacts.own_tid`).

A thread that runs meanwhile may show a stack that never existed. A broken stack says so in a frame
of its own (`BROKEN`), followed by the frames inside it. For a thread that sleeps all the time the
stack is the truth, and two snapshots around the reading show whether it did.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

import msgspec

from deadlock_matrix.capture.frame_variables import (
    TAG,
    Code,
    FrameAddress,
    Interpreter,
    kept_values,
    names_of_variables,
)
from deadlock_matrix.capture.line_tables import Lines
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.python_strings import read_string
from deadlock_matrix.capture.python_values import (
    bytes_of,
)
from deadlock_matrix.capture.stacks_worker import is_kept
from deadlock_matrix.model.frames import PythonFrame

BROKEN = "<not readable>"
MOST_INTERPRETERS, MOST_THREADS = 64, 1 << 14
MOST_FRAMES, MOST_FRAMES_IN_ALL = 1 << 11, 1 << 18
"""A Python program may recurse deeper; then the outermost frames are left out."""

_THREAD_LIMIT = 0x400  # of a ``struct pthread``, in which its thread's id is looked for
_NOT_PYTHON = 3
"""Owners of frames that run no code: where C code called back into Python, from 3.12 on
(``FRAME_OWNED_BY_CSTACK``, from 3.14 ``FRAME_OWNED_BY_INTERPRETER`` too).
"""


class PythonThread(msgspec.Struct, frozen=True, kw_only=True):
    """One thread state. ``own_tid`` is 0 for a thread that has ended or was lost in a fork."""

    state: int  # its address
    interpreter: int  # the interpreter's address
    ident: int  # the name Python has for the thread: ``threading.get_ident()``
    own_tid: int
    frames: tuple[PythonFrame, ...]  # outermost first
    addresses: tuple[FrameAddress | None, ...]  # of each frame; None for a broken one


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """A thread state whose thread's id is not known yet."""

    address: int
    interpreter: int
    thread: int  # address of the ``struct pthread``
    native: int  # the id CPython noted when the thread began, from 3.11; else 0


def read_threads(
    memory: Memory, python: Interpreter, own_tids: Collection[int]
) -> tuple[PythonThread, ...]:
    """Return all thread states of all interpreters in the process.

    Args:
        memory: The process's memory.
        python: Its interpreter.
        own_tids: The ids of its threads, as the process itself sees them.

    Raises:
        Unreadable: The list of threads is not what it should be.
    """
    states = list(_states(memory, python))
    found = _own_tids(memory, states, own_tids)
    threads: list[PythonThread] = []
    left = MOST_FRAMES_IN_ALL
    for state, tid in zip(states, found, strict=True):
        threads.append(_thread(memory, python, state, tid, min(left, MOST_FRAMES)))
        left -= len(threads[-1].frames)
    return tuple(threads)


def _thread(
    memory: Memory, python: Interpreter, state: _State, tid: int, most: int
) -> PythonThread:
    found = frames_of(memory, python, state.address, most) if tid else ()
    return PythonThread(
        state=state.address,
        interpreter=state.interpreter,
        ident=state.thread,
        own_tid=tid,
        frames=tuple(frame for frame, _ in found),
        addresses=tuple(address for _, address in found),
    )


def _states(memory: Memory, python: Interpreter) -> Iterator[_State]:
    at = python.offsets
    left = MOST_THREADS
    interpreter = memory.number(python.runtime + at["runtime_state.interpreters_head"])
    for _ in range(MOST_INTERPRETERS):
        if not interpreter:
            return
        state = memory.number(interpreter + at["interpreter_state.threads_head"])
        while state:
            if not left:
                raise Unreadable("its list of threads has no end")
            left -= 1
            if memory.number(state + at["thread_state.interp"]) != interpreter:
                raise Unreadable("a thread state does not belong to the interpreter that lists it")
            native = at.get("thread_state.native_thread_id")
            yield _State(
                address=state,
                interpreter=interpreter,
                thread=memory.number(state + at["thread_state.thread_id"]),
                native=memory.number(state + native) if native is not None else 0,
            )
            state = memory.number(state + at["thread_state.next"])
        interpreter = memory.number(interpreter + at["interpreter_state.next"])
    raise Unreadable("its list of interpreters has no end")


def _own_tids(memory: Memory, states: list[_State], own_tids: Collection[int]) -> list[int]:
    """Return the id of each state's thread, from the C library's description of the thread.

    A thread state names its thread by ``pthread_self()``, the address of a ``struct pthread``, in
    which glibc and musl keep the id. The kernel clears that id when the thread ends, and a fork
    clears it in the threads it does not copy. Its offset differs: it is the one where every thread
    has an id of the process, or 0, and no two threads have the same. CPython's own note of the id
    would do from 3.11 on, but not always after a fork.
    """
    raws: list[bytes] = []
    for state in states:
        try:
            raws.append(memory.read(state.thread, _THREAD_LIMIT))
        except Unreadable:
            raws.append(bytes(_THREAD_LIMIT))
    alive = set(own_tids)
    words = (struct.unpack(f"<{_THREAD_LIMIT // 4}I", raw) for raw in raws)
    for ids in zip(*words, strict=True):  # of all threads what stands in one place
        there = {*ids} - {0}
        if not there or not there <= alive:
            continue
        by_thread = {state.thread: each for state, each in zip(states, ids, strict=True) if each}
        if len(there) == len(by_thread):
            return list(ids)
    if all(state.native for state in states):
        return [state.native if state.native in alive else 0 for state in states]
    raise Unreadable("which thread is which: the C library's description of them is not understood")


# --- frames -------------------------------------------------------------------------------------


def frames_of(
    memory: Memory, python: Interpreter, state: int, most: int = MOST_FRAMES
) -> tuple[tuple[PythonFrame, FrameAddress | None], ...]:
    """Return the stack of one thread, outermost frame first, ``most`` frames of it."""
    walk = _old_frames if "thread_state.frame" in python.offsets else _frames
    found: list[tuple[PythonFrame, FrameAddress | None]] = []
    try:
        for address in walk(memory, python, state):
            if len(found) >= most:
                raise Unreadable(f"more than {MOST_FRAMES} frames")
            found.append((python_frame(memory, python, address), address))
    except Unreadable as error:
        found.append((PythonFrame(function=BROKEN, file=str(error), line=0), None))
    return tuple(reversed(found))


def _old_frames(memory: Memory, python: Interpreter, state: int) -> Iterator[FrameAddress]:
    """Up to 3.10: yield frame objects, innermost first."""
    at = python.offsets
    frame = memory.number(state + at["thread_state.frame"])
    while frame:
        yield old_frame_at(memory, python, frame)
        frame = memory.number(frame + at["frame_object.previous"])


def old_frame_at(memory: Memory, python: Interpreter, frame: int) -> FrameAddress:
    """Read a frame object of a version up to 3.10.

    Raises:
        Unreadable: There is none.
    """
    at = python.offsets
    if type_name(memory, python.layout, frame) != "frame":
        raise Unreadable(f"no frame at {frame:#x}")
    code = memory.number(frame + at["frame_object.code"])
    place = memory.number(frame + at["frame_object.lasti"], 4, signed=True)
    if python.version >= (3, 10):  # it counts instructions, of two bytes each
        place *= 2
    slots = frame + at["frame_object.localsplus"]
    return FrameAddress(frame=frame, code=code, place=place, slots=slots)


def _frames(memory: Memory, python: Interpreter, state: int) -> Iterator[FrameAddress]:
    """From 3.11: yield the interpreter's own frames, innermost first."""
    at = python.offsets
    if "thread_state.cframe" in at:
        cframe = memory.number(state + at["thread_state.cframe"])
        frame = memory.number(cframe + at["cframe.current_frame"]) if cframe else 0
    else:
        frame = memory.number(state + at["thread_state.current_frame"])
    size = at["interpreter_frame.localsplus"]
    while frame:
        raw = memory.read(frame, size)
        if raw[at["interpreter_frame.owner"]] < _NOT_PYTHON:
            yield _frame_at(memory, python, frame, raw)
        frame = _word(raw, at["interpreter_frame.previous"])


def frame_at(memory: Memory, python: Interpreter, frame: int) -> FrameAddress:
    """Read one of the interpreter's own frames, from 3.11 on.

    Raises:
        Unreadable: There is none.
    """
    raw = memory.read(frame, python.offsets["interpreter_frame.localsplus"])
    return _frame_at(memory, python, frame, raw)


def _frame_at(memory: Memory, python: Interpreter, frame: int, raw: bytes) -> FrameAddress:
    at = python.offsets
    code = _word(raw, at["interpreter_frame.executable"]) & ~TAG
    if code not in python.codes and type_name(memory, python.layout, code) != "code":
        raise Unreadable(f"no frame at {frame:#x}")
    place = _word(raw, at["interpreter_frame.instr_ptr"]) - _bytecode(memory, python, code, raw)
    slots = frame + at["interpreter_frame.localsplus"]
    return FrameAddress(frame=frame, code=code, place=place, slots=slots)


def _bytecode(memory: Memory, python: Interpreter, code: int, frame: bytes) -> int:
    """Return where the bytecode begins that a frame executes.

    Free-threaded builds from 3.14 on copy it for each thread: ``co_tlbc`` counts the copies and
    lists them, and the frame says which one it runs.
    """
    at = python.offsets
    if at.get("code_object.co_tlbc") and at.get("interpreter_frame.tlbc_index"):
        index = int.from_bytes(frame[at["interpreter_frame.tlbc_index"] :][:4], "little")
        copies = memory.number(code + at["code_object.co_tlbc"])
        if copies and index < memory.number(copies):
            return memory.number(copies + 8 + 8 * index)
    return code + at["code_object.co_code_adaptive"]


def _word(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 8], "little")


def python_frame(memory: Memory, python: Interpreter, address: FrameAddress) -> PythonFrame:
    """Return what a frame shows: function, file, line, and the few values that are kept.

    Raises:
        Unreadable: It cannot be read.
    """
    code = code_at(memory, python, address.code)
    values = kept_values(memory, python, code.names, address.slots)
    return PythonFrame(
        function=code.function, file=code.file, line=code.lines.at(address.place), values=values
    )


def code_at(memory: Memory, python: Interpreter, address: int) -> Code:
    """Return what a stack shows of a code object, read once.

    Raises:
        Unreadable: There is none.
    """
    code = python.codes.get(address)
    if code is None:
        code = python.codes[address] = _code(memory, python, address)
    return code


def _code(memory: Memory, python: Interpreter, code: int) -> Code:
    at, layout = python.offsets, python.layout
    if type_name(memory, layout, code) != "code":
        raise Unreadable(f"no code at {code:#x}")
    file = read_string(memory, layout, memory.number(code + at["code_object.filename"]))
    first = memory.number(code + at["code_object.firstlineno"], 4, signed=True)
    table = bytes_of(memory, layout, memory.number(code + at["code_object.linetable"]))
    memory.spend(2 * len(table))
    return Code(
        function=read_string(memory, layout, memory.number(code + at["code_object.name"])),
        file=file,
        lines=Lines(table, first, python.version),
        names=names_of_variables(memory, python, code) if is_kept(file) else (),
    )
