"""The stacks of a CPython process and who holds its GIL, out of its memory alone.

For CPython 3.8 to 3.15, free-threaded builds included. What it cannot read it says, and `stacks`
asks other readers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from deadlock_matrix.capture.debug_offsets import read_offsets
from deadlock_matrix.capture.elf import Loaded, Unusable
from deadlock_matrix.capture.frame_variables import Interpreter
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.paged_memory import PagedMemory
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, open_directory, read_small
from deadlock_matrix.capture.proc_text import parse_status, parse_syscall, thread_name
from deadlock_matrix.capture.python_frames import PythonThread, read_threads
from deadlock_matrix.capture.python_holders import HolderReader
from deadlock_matrix.capture.python_image import library_of
from deadlock_matrix.capture.python_locks import LockReader
from deadlock_matrix.capture.python_objects import layout_of
from deadlock_matrix.capture.python_offsets import offsets_by_size, offsets_by_version
from deadlock_matrix.model.evidence import PythonLock, SystemCall, ThreadStack
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

TOOL = "process memory"
_FRAME_AT = 24  # of a thread state's frame, up to 3.10
_INTERPRETER_LIMIT = 1 << 20
_GIL_SIZE = 512


class NotReadable(Exception):
    """No stacks from memory: why."""


def read_stacks(pid: int) -> tuple[ThreadStack, ...]:
    """All Python threads of a process, without stopping it.

    Raises:
        NotReadable: there is nothing to be had.
    """
    try:
        directory = open_directory(f"/proc/{pid}")
        try:
            with PagedMemory(pid, directory) as memory:
                return _read(pid, directory, memory)
        finally:
            os.close(directory)
    except (Unusable, Unreadable, ValueError) as error:
        raise NotReadable(str(error)) from None
    except OSError as error:
        raise NotReadable(f"{os.strerror(error.errno or 0)}") from None


def _read(pid: int, directory: int, memory: Memory) -> tuple[ThreadStack, ...]:
    library = library_of(memory)
    if library is None:
        raise NotReadable("no executable or libpython that is mapped exports _PyRuntime")
    python = interpreter_of(memory, library)
    ids = thread_ids(directory)
    threads = read_threads(memory, python, ids)
    gil = _gil(memory, python, threads, pid)
    idents = {thread.ident: ids.get(thread.own_tid, 0) for thread in threads}
    objects = LockObjects(memory=memory, python=python)
    locks = LockReader(objects=objects, tids=idents, source=TOOL)
    holders = HolderReader(objects=objects, source=TOOL)
    return tuple(
        ThreadStack(
            tid=ids[thread.own_tid],
            name=_name(directory, ids[thread.own_tid]),
            python=thread.frames,
            native=(),
            holds_gil=known(thread.state == gil.value, gil.source)
            if isinstance(gil, Known)
            else gil,
            waits_for=_waited_for(directory, ids[thread.own_tid], thread, locks),
            holds=holders.held(thread),
        )
        for thread in threads
        if thread.own_tid
    )


def _waited_for(
    directory: int, tid: int, thread: PythonThread, locks: LockReader
) -> Known[PythonLock] | Unknown:
    """The lock that a thread sleeps for, if it does before and after the lock is read."""
    word = _futex(directory, tid)
    if word is None:
        return unknown("it does not sleep on a futex")
    found = locks.waited_for(thread, word)
    if _futex(directory, tid) != word:
        return unknown("it moved while it was read")
    return found


def _futex(directory: int, tid: int) -> int | None:
    """The futex that a thread sleeps on; none if it does something else."""
    try:
        activity = parse_syscall(read_small(f"task/{tid}/syscall", directory), os.uname().machine)
    except (OSError, ValueError):
        return None
    if isinstance(activity, SystemCall) and activity.name == "futex":
        return activity.arguments[0]
    return None


def thread_ids(directory: int) -> Mapping[int, int]:
    """From the ids that a process has for its threads to the observer's: they differ in containers.

    Args:
        directory: a descriptor of ``/proc/PID``.

    Raises:
        OSError: it has ended, or is not ours to read.
    """
    ids: dict[int, int] = {}
    for tid in numbers_in_task(directory):
        try:
            status = parse_status(read_small(f"task/{tid}/status", directory))
        except OSError as error:
            if is_gone(error):
                continue
            raise
        ids[status.own_id] = tid
    return ids


def numbers_in_task(directory: int) -> list[int]:
    """The observer's ids of a process's threads."""
    tasks = open_directory("task", directory)
    try:
        return numbers_in(tasks)
    finally:
        os.close(tasks)


def _name(directory: int, tid: int) -> str:
    try:
        return thread_name(read_small(f"task/{tid}/comm", directory).removesuffix(b"\n"))
    except OSError:
        return ""


def interpreter_of(memory: Memory, library: Loaded) -> Interpreter:
    """What is needed to read the stacks of the CPython in ``library``.

    Raises:
        Unusable: it is of a version that is not known here.
        Unreadable: its memory cannot be read.
    """
    runtime, none = library.range_of("_PyRuntime"), library.range_of("_Py_NoneStruct")
    if runtime is None or none is None:
        raise Unusable(f"{library.path} does not export _Py_NoneStruct")
    layout = layout_of(memory, none[0])
    number = library.range_of("Py_Version")
    told = read_offsets(memory, runtime[0])
    offsets: Mapping[str, int] | None
    if "thread_state.current_frame" in told:
        version = (told["version"] >> 24 & 0xFF, told["version"] >> 16 & 0xFF)
        offsets = told
    elif number is not None:
        value = memory.number(number[0])
        version = (value >> 24 & 0xFF, value >> 16 & 0xFF)
        offsets = offsets_by_version(version, library.file.machine)
    else:
        found = offsets_by_size(runtime[1] - runtime[0], _frame_size(memory, runtime[0]))
        version, offsets = found or ((3, 0), None)
    if offsets is None:
        raise Unusable("where this version of Python keeps its frames is not known")
    return Interpreter(version=version, runtime=runtime[0], layout=layout, offsets=offsets)


def _frame_size(memory: Memory, runtime: int) -> int | None:
    """Up to 3.10: ``tp_basicsize`` of a frame, if a thread of the main interpreter has one."""
    interpreter = memory.number(runtime + 32)
    state = memory.number(interpreter + 8) if interpreter else 0
    for _ in range(_INTERPRETER_LIMIT if state else 0):
        frame = memory.number(state + _FRAME_AT)
        if frame:
            return memory.number(memory.number(frame + 8) + 32)
        state = memory.number(state + 8)
        if not state:
            break
    return None


# --- the GIL ------------------------------------------------------------------------------------


def _gil(
    memory: Memory, python: Interpreter, threads: tuple[PythonThread, ...], pid: int
) -> Known[int] | Unknown:
    """The thread state that holds the GIL, or 0.

    That is ``_PyRuntime.gilstate.tstate_current`` up to 3.11, and ``last_holder`` of the
    interpreter's GIL while that is locked from 3.12 on. Not relied on: free-threaded builds, which
    may have none; several interpreters, of which each may have a GIL of its own; two thread states
    made by one thread, and a holder whose thread has ended: a state made in one thread can be used
    in another (PyThreadState_New), and it names its maker.
    0 does not mean that the GIL is free: up to 3.11 a thread that has taken it and not yet made
    itself current does not show, nor does C code that swapped its thread state away.
    """
    if python.layout.free_threaded:
        return unknown("it is a free-threaded build")
    if len({thread.interpreter for thread in threads}) != 1:
        return unknown("there are several interpreters in the process")
    alive = [thread.own_tid for thread in threads if thread.own_tid]
    if len(set(alive)) < len(alive):
        return unknown("a thread has made two thread states; another may use one of them")
    try:
        holder = _holder(memory, python, threads[0].interpreter)
    except Unreadable as error:
        return unknown(f"who holds the GIL: {error}")
    if holder and not any(thread.state == holder for thread in threads):
        return unknown("what should name the GIL's holder names no thread")
    if any(thread.state == holder and not thread.own_tid for thread in threads):
        return unknown("the thread state that holds it was made by a thread that has ended")
    return known(holder, f"{TOOL}: the runtime's current thread of process {pid}")


def _holder(memory: Memory, python: Interpreter, interpreter: int) -> int:
    at = python.offsets
    if "runtime_state.tstate_current" in at:
        return memory.number(python.runtime + at["runtime_state.tstate_current"])
    gil = memory.number(interpreter + at["interpreter_state.ceval_gil"])
    if not interpreter <= gil < interpreter + _INTERPRETER_LIMIT:  # it lies inside the main one
        raise Unreadable("the interpreter's GIL is not where it should be")
    # From 3.13 offsets are told from the interpreter on, in which the GIL of the main one lies.
    begin = at.get("interpreter_state.gil_runtime_state", 0)
    locked_at = at["interpreter_state.gil_runtime_state_locked"] - begin
    holder_at = at["interpreter_state.gil_runtime_state_holder"] - begin
    if not 0 < holder_at < locked_at < _GIL_SIZE:
        raise Unreadable("the parts of the interpreter's GIL are not where they should be")
    locked = memory.number(gil + locked_at, 4, signed=True)
    holder = memory.number(gil + holder_at)
    if locked not in (-1, 0, 1):
        raise Unreadable("whether the GIL is locked is not said by a truth value")
    return holder if locked == 1 else 0
