"""The stacks of a CPython process and who holds its GIL, from its memory alone.

For CPython 3.8 to 3.15, free-threaded builds included. It says what it cannot read, and `stacks`
then asks other readers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from deadlock_matrix.capture.asyncio_tasks import read_loops, with_steady
from deadlock_matrix.capture.debug_offsets import read_offsets
from deadlock_matrix.capture.descriptors import write_ends
from deadlock_matrix.capture.elf import Unusable
from deadlock_matrix.capture.elf_file import Loaded
from deadlock_matrix.capture.frame_variables import Interpreter
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.paged_memory import PagedMemory
from deadlock_matrix.capture.proc_files import is_gone, numbers_in, open_directory, read_small
from deadlock_matrix.capture.proc_text import parse_own_id, parse_syscall, thread_name
from deadlock_matrix.capture.python_awaited import AwaitedReader
from deadlock_matrix.capture.python_frames import PythonThread, read_threads
from deadlock_matrix.capture.python_holders import HolderReader
from deadlock_matrix.capture.python_image import library_of
from deadlock_matrix.capture.python_locks import LockReader
from deadlock_matrix.capture.python_mutexes import MutexReader
from deadlock_matrix.capture.python_objects import layout_of
from deadlock_matrix.capture.python_offsets import offsets_by_size, offsets_by_version
from deadlock_matrix.capture.python_reach import ReachReader
from deadlock_matrix.capture.python_thread_names import names_of_threads, thread_object
from deadlock_matrix.capture.python_users import UserReader
from deadlock_matrix.capture.running_test import running_test
from deadlock_matrix.capture.standard_library import places_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.stack_facts import Awaited, PythonLock, PythonMutex, ThreadStack
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.tasks import EventLoop
from deadlock_matrix.model.thread_facts import SystemCall

TOOL = "process memory"
Loops = Known[tuple[EventLoop, ...]] | Unknown
_FRAME_AT = 24  # of a thread state's frame, up to 3.10
_INTERPRETER_LIMIT = 1 << 20
_GIL_SIZE = 512
_MACHINE = os.uname().machine
TORN = 2
"""How often to read tasks again that changed while they were read."""


class NotReadable(Exception):
    """No stacks can be read from memory. The message says why."""


class PythonStacks(msgspec.Struct, frozen=True, kw_only=True):
    """The threads of a process that run Python, and the event loops in it."""

    threads: tuple[ThreadStack, ...]
    loops: Loops


OWNERS_AT = (8, 0)
TID = 0x3FFFFFFF
"""From the word a thread sleeps on to the id of a mutex's owner, and which bits are the id."""


def read_stacks(pid: int, *, awaited: bool = False) -> PythonStacks:
    """Read all Python threads of a process, without stopping it.

    Args:
        pid: The process.
        awaited: Whether somebody outside waits for its main thread.

    Raises:
        NotReadable: Nothing could be read.
    """
    try:
        directory = open_directory(f"/proc/{pid}")
        try:
            with PagedMemory(pid, directory) as memory:
                stacks, read_loops_in = _read(pid, directory, memory, awaited=awaited)
                loops = read_loops_in(memory)
            for _ in range(TORN):
                if isinstance(loops, Known):
                    break
                with PagedMemory(pid, directory) as memory:
                    loops = read_loops_in(memory)
            if loops.or_else(False):
                with PagedMemory(pid, directory) as memory:
                    loops = with_steady(loops, read_loops_in(memory))
            return PythonStacks(threads=stacks, loops=loops)
        finally:
            os.close(directory)
    except (Unusable, Unreadable, ValueError) as error:
        raise NotReadable(str(error)) from None
    except OSError as error:
        raise NotReadable(f"{os.strerror(error.errno or 0)}") from None


def _read(
    pid: int, directory: int, memory: Memory, *, awaited: bool
) -> tuple[tuple[ThreadStack, ...], Callable[[Memory], Loops]]:
    """Return the stacks, and a function that rereads the event loops of the same threads."""
    library = library_of(memory)
    if library is None:
        raise NotReadable("no executable or libpython that is mapped exports _PyRuntime")
    python = interpreter_of(memory, library)
    ids = thread_ids(directory)
    threads = read_threads(memory, python, ids)
    gil = _gil(memory, python, threads, pid)
    idents = {thread.ident: ids.get(thread.own_tid, 0) for thread in threads}
    objects = LockObjects(memory=memory, python=python)
    readers = _Readers(
        locks=LockReader(objects=objects, tids=idents, source=TOOL),
        holders=HolderReader(objects=objects, source=TOOL),
        awaited=AwaitedReader(
            objects=objects,
            tids=idents,
            alive=frozenset(thread_object(memory, python, thread) for thread in threads),
            source=TOOL,
        ),
        mutexes=MutexReader(memory=memory, python=python, threads=threads, tids=ids),
    )
    names = names_of_threads(memory, python, threads)
    by_ident = {
        thread.ident: msgspec.structs.replace(
            _stack(
                directory, ids[thread.own_tid], thread, gil, names.get(thread.ident, ""), readers
            ),
            test=running_test(memory, python, thread),
        )
        for thread in threads
        if thread.own_tid
    }
    calls = {
        thread.ident: call
        for thread in threads
        if thread.own_tid and (call := _call(directory, ids.get(thread.own_tid, 0))) is not None
    }
    enders = UserReader(objects=objects, source=TOOL).enders(
        threads, by_ident, _writers(directory, calls)
    )
    with Memory(pid, directory) as anew:
        reach = ReachReader(
            objects=objects,
            fresh=LockObjects(memory=anew, python=python),
            holders=readers.holders,
            places=places_of(memory),
            source=TOOL,
        )
        wanted = _native_owners(memory, threads, calls, ids) | ({pid} if awaited else set())
        reached = reach.reached(threads, by_ident, wanted)
    stacks = tuple(
        msgspec.structs.replace(
            stack,
            enders=enders.get(ident, stack.enders),
            reached=reached.get(ident, stack.reached),
        )
        for ident, stack in by_ident.items()
    )
    loops = partial(read_loops, python=python, threads=threads, tids=ids, source=TOOL)
    return stacks, loops


class _Readers(msgspec.Struct, frozen=True, kw_only=True):
    locks: LockReader
    holders: HolderReader
    awaited: AwaitedReader
    mutexes: MutexReader


def _stack(
    directory: int,
    tid: int,
    thread: PythonThread,
    gil: Known[int] | Unknown,
    name: str,
    readers: _Readers,
) -> ThreadStack:
    waits_for, awaits = _wait(directory, tid, thread, readers)
    mutex, stopped_by = _of_free_threads(directory, tid, thread, readers.mutexes)
    return ThreadStack(
        tid=tid,
        name=name or _name(directory, tid),
        python=thread.frames,
        native=(),
        holds_gil=known(thread.state == gil.value, gil.source) if isinstance(gil, Known) else gil,
        waits_for=waits_for,
        awaits=awaits,
        holds=readers.holders.held(thread),
        ident=thread.ident,
        waits_for_mutex=mutex,
        stopped_by=stopped_by,
    )


def _wait(
    directory: int, tid: int, thread: PythonThread, readers: _Readers
) -> tuple[Known[PythonLock] | Unknown, Known[Awaited] | Unknown]:
    """Return what a thread waits for, if it is in the same call before and after that is read."""
    line = _line(directory, tid)
    call = _call_in(line)
    if call is None:
        reason = unknown("it is in no system call")
        return reason, reason
    word = call.arguments[0] if call.name == "futex" else 0
    lock: Known[PythonLock] | Unknown = unknown("it does not sleep on a futex")
    if word:
        lock = readers.locks.waited_for(thread, word)
    address = lock.value.address if isinstance(lock, Known) else 0
    awaits = readers.awaited.awaited(thread, word, address)
    if _line(directory, tid) != line:
        moved = unknown("it moved while it was read")
        return moved if word else lock, moved
    return lock, awaits


def _of_free_threads(
    directory: int, tid: int, thread: PythonThread, mutexes: MutexReader
) -> tuple[Known[PythonMutex] | Unknown, Known[tuple[int, ...]] | Unknown]:
    """Return what a thread sleeps for that only a free-threaded build has."""
    if not mutexes.python.layout.free_threaded:
        reason = unknown("it is a build with a GIL")
        return reason, reason
    call = _call(directory, tid)
    if call is None or call.name != "futex":
        reason = unknown("it does not sleep on a futex")
        return reason, reason
    word = call.arguments[0]
    found = mutexes.waited_for(word), mutexes.keeping(thread, word)
    if _call(directory, tid) != call:
        reason = unknown("it moved while it was read")
        return reason, reason
    return found


def _writers(directory: int, calls: Mapping[int, SystemCall]) -> dict[int, frozenset[int]]:
    """Return, for threads that read a pipe, the descriptors of its write end in the process."""
    reads = {
        ident: call.arguments[0]
        for ident, call in calls.items()
        if blocking(call.name).waits_for is WaitsFor.READ
    }
    try:
        ends = write_ends(frozenset(reads.values()), directory)
    except (OSError, ValueError):
        return {}
    return {ident: ends[number] for ident, number in reads.items() if number in ends}


def _native_owners(
    memory: Memory,
    threads: Iterable[PythonThread],
    calls: Mapping[int, SystemCall],
    ids: Mapping[int, int],
) -> set[int]:
    """Return threads that another may wait for, by a native mutex that names its owner's id.

    By glibc's layout and musl's; no more than a reason to ask, see `proof.locks`.
    """
    found: set[int] = set()
    for thread in threads:
        call = calls.get(thread.ident) if thread.own_tid else None
        if call is None or call.name != "futex":
            continue
        for at in OWNERS_AT:
            with suppress(Unreadable):
                own = memory.number(call.arguments[0] + at, 4) & TID
                if own in ids and own != thread.own_tid:
                    found.add(ids[own])
    return found


def _call(directory: int, tid: int) -> SystemCall | None:
    """Return the system call a thread is in."""
    return _call_in(_line(directory, tid))


def _line(directory: int, tid: int) -> bytes:
    """Return the line in which the kernel tells that; nothing if it does not."""
    try:
        return read_small(f"task/{tid}/syscall", directory)
    except OSError:
        return b""


def _call_in(line: bytes) -> SystemCall | None:
    try:
        activity = parse_syscall(line, _MACHINE)
    except ValueError:
        return None
    return activity if isinstance(activity, SystemCall) else None


def thread_ids(directory: int) -> Mapping[int, int]:
    """Map the ids that a process has for its threads to the observer's; they differ in containers.

    Args:
        directory: A descriptor of ``/proc/PID``.

    Raises:
        OSError: It has ended, or we may not read it.
    """
    ids: dict[int, int] = {}
    for tid in numbers_in_task(directory):
        try:
            status = read_small(f"task/{tid}/status", directory)
        except OSError as error:
            if is_gone(error):
                continue
            raise
        ids[parse_own_id(status)] = tid
    return ids


def numbers_in_task(directory: int) -> list[int]:
    """Return the observer's ids of a process's threads."""
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
    """Return what is needed to read the stacks of the CPython in ``library``.

    Raises:
        Unusable: Its version is not known here.
        Unreadable: Its memory cannot be read.
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
    """Up to 3.10: return a frame's ``tp_basicsize``, if a main interpreter's thread has one."""
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
    """Return the thread state that holds the GIL, or 0.

    That is ``_PyRuntime.gilstate.tstate_current`` up to 3.11, and ``last_holder`` of the
    interpreter's GIL, while it is locked, from 3.12 on. Neither is relied on for free-threaded
    builds, which may have no GIL; for several interpreters, each of which may have its own; or for
    two thread states made by one thread, or a holder whose thread has ended: a state made in one
    thread can be used in another (PyThreadState_New), and it names its maker.
    0 does not mean that the GIL is free: up to 3.11 a thread that has taken it but not yet made
    itself current does not show, and neither does C code that swapped its thread state away.
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
    # From 3.13 on offsets count from the interpreter, which contains the main one's GIL.
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
