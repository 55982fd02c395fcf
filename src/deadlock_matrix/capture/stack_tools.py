"""Stacks of a process by other readers: pystack in a helper, else py-spy.

Imported when first needed: most stacks are read from memory alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from deadlock_matrix.capture.foreign import Stuck, reading
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import numbers_in, open_directory
from deadlock_matrix.capture.py_spy import PySpyFailed, read_native_frames, read_stacks
from deadlock_matrix.capture.python_runtime import is_free_threaded
from deadlock_matrix.capture.python_stacks import TOOL, PythonStacks, thread_ids
from deadlock_matrix.capture.stopping import is_stopped, let_go
from deadlock_matrix.capture.worker import Worker, WorkerFailed
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import NativeFrame, ThreadStack
from deadlock_matrix.model.tasks import EventLoop

SCRIPT = Path(__file__).with_name("stacks_worker.py")
MARGIN_S = 0.5
_NO_LOOPS = unknown("only what reads the memory here reads asyncio")


class ToolsFailed(Exception):
    """No tool could read the stacks. The message says why."""


class Told(NamedTuple):
    """What a tool told of the threads of a process, and when it began."""

    tool: str
    begun_s: float
    threads: tuple[ThreadStack, ...]
    loops: Known[tuple[EventLoop, ...]] | Unknown = _NO_LOOPS


class StackTools:
    """Owns the helper process in which pystack runs. Close it at the end."""

    def __init__(self, limits: Mapping[bool, float], *, own_session: bool) -> None:
        """Prepare; no helper is started yet.

        Args:
            limits: Seconds that reading may take, with native frames and without.
            own_session: Whether the helper gets a session of its own; see `worker.Worker`.
        """
        self._worker = Worker(SCRIPT, "the stack reader", own_session=own_session)
        self._limits = limits

    def close(self) -> None:
        """End the helper. May be called twice."""
        self._worker.close()

    def read(self, pid: int, native: bool, own: PythonStacks | None) -> Told:
        """Read all stacks of one process.

        Args:
            pid: The process.
            native: Whether to read native frames, for which each thread is stopped for a moment.
            own: What was read from its memory, which knows more of Python than these do.

        Raises:
            ToolsFailed: None of them could.
        """
        begun = time.monotonic()
        stopped = native and is_stopped(pid)
        limit_s = self._limits[native]
        try:
            with reading(f"the stacks of process {pid}", limit_s + MARGIN_S):
                line = self._worker.ask({"pid": pid, "native": native}, limit_s)
            reply = json.loads(line)
        except Stuck as error:
            raise ToolsFailed(str(error.strerror)) from None
        except WorkerFailed as error:
            if native and not stopped:
                let_go(pid)
            reply = {"error": str(error)}
        except BaseException:  # Ctrl-C: the helper has been killed
            if native and not stopped:
                let_go(pid)
            raise
        if "threads" in reply:
            threads = _threads(pid, reply["threads"])
            mine = own.threads if own is not None else ()
            return Told("pystack", begun, _with_own_frames(threads, mine))
        if own is not None:
            return self._with_native_frames(pid, own)
        begun = time.monotonic()
        limit_s = self._limits[False]
        try:
            with reading(f"the stacks of process {pid}", limit_s + MARGIN_S):
                threads = _as_seen_here(pid, read_stacks(pid, limit_s))
        except PySpyFailed as other:
            raise ToolsFailed(f"pystack: {reply['error']}; {other}") from None
        return Told("py-spy", begun, threads)

    def _with_native_frames(self, pid: int, own: PythonStacks) -> Told:
        """Combine what was read here of Python with py-spy's native frames, where it has some.

        pystack reads nothing if the path of a script is not ASCII.
        """
        begun = time.monotonic()
        stopped = is_stopped(pid)
        limit_s = self._limits[True]
        native: dict[int, tuple[NativeFrame, ...]] = {}
        try:
            with reading(f"the stacks of process {pid}", limit_s + MARGIN_S):
                native = read_native_frames(pid, limit_s)
        except PySpyFailed:
            if not stopped:
                let_go(pid)
        if not native or not native.keys() <= {thread.tid for thread in own.threads}:
            return Told(TOOL, begun, own.threads, own.loops)
        threads = tuple(
            msgspec.structs.replace(thread, native=native.get(thread.tid, ()))
            for thread in own.threads
        )
        return Told("py-spy", begun, threads, own.loops)


def _as_seen_here(pid: int, threads: tuple[ThreadStack, ...]) -> tuple[ThreadStack, ...]:
    """Return py-spy's stacks under the observer's thread ids: from 3.11 it tells the process's own.

    Raises:
        PySpyFailed: It is unclear whose ids they are.
    """
    ids = _ids(pid)
    told = {thread.tid for thread in threads}
    ours, its_own = told <= set(ids.values()), told <= set(ids)
    if ours and (not its_own or all(ids[tid] == tid for tid in told)):
        return threads
    if ours or not its_own:
        raise PySpyFailed("whose ids of the threads py-spy told cannot be told (a container?)")
    return tuple(msgspec.structs.replace(thread, tid=ids[thread.tid]) for thread in threads)


def _with_own_frames(
    threads: tuple[ThreadStack, ...], own: tuple[ThreadStack, ...]
) -> tuple[ThreadStack, ...]:
    """Put pystack's native frames beside our Python frames, some of which pystack loses.

    It cannot read a ``str`` that is not ASCII and leaves out the frame; it knows no locks.
    """
    known_here = {thread.tid: thread for thread in own}
    return tuple(
        msgspec.structs.replace(
            thread,
            python=known_here[thread.tid].python,
            waits_for=known_here[thread.tid].waits_for,
            holds=known_here[thread.tid].holds,
            awaits=known_here[thread.tid].awaits,
            enders=known_here[thread.tid].enders,
            reached=known_here[thread.tid].reached,
            name=known_here[thread.tid].name,
        )
        if thread.tid in known_here
        else thread
        for thread in threads
    )


# --- from the helper's answer to facts ----------------------------------------------------------


def _threads(pid: int, replies: list[dict[str, Any]]) -> tuple[ThreadStack, ...]:
    ids = _ids(pid)
    gil = _gil_answers(pid, replies, ids or _tids(pid))
    return tuple(
        ThreadStack(
            tid=ids.get(reply["tid"], reply["tid"]),
            name=reply["name"],
            python=tuple(PythonFrame(**frame) for frame in reply["python"]),
            native=tuple(NativeFrame(**frame) for frame in reply["native"]),
            holds_gil=gil[index],
        )
        for index, reply in enumerate(replies)
        if reply["tid"] > 0  # 0: a thread that has ended and was not joined
    )


def _ids(pid: int) -> Mapping[int, int]:
    """Map the ids that a process in a container has for its threads to the observer's."""
    try:
        directory = open_directory(f"/proc/{pid}")
        try:
            return thread_ids(directory)
        finally:
            os.close(directory)
    except (OSError, ValueError):
        return {}


def _tids(pid: int) -> Container[int]:
    try:
        return set(numbers_in(f"/proc/{pid}/task"))
    except OSError:
        return ()


def _gil_answers(
    pid: int, replies: list[dict[str, Any]], alive: Container[int]
) -> list[Known[bool] | Unknown]:
    """Return what pystack says about the GIL, where that is reliable.

    pystack compares the thread with ``_PyRuntime.gilstate.tstate_current`` (3.8 to 3.11) or with
    ``last_holder`` of its interpreter's locked GIL (from 3.12). That is not relied on before 3.8,
    where it searches memory for the pointer; for free-threaded builds; for several interpreters,
    each of which may have its own GIL; for more than one holder, which means that the reading was
    torn; for two thread states made by one thread, or a holder that is not a thread: a state made
    in one thread can be used in another (PyThreadState_New), and it names its maker.
    "False" for all threads does not mean that the GIL is free: up to 3.11 a thread that has taken
    it but not yet made itself current shows false, and so does C code that swapped its thread state
    away.
    """
    reason = _gil_reason(pid, replies, alive)
    if reason:
        return [unknown(reason)] * len(replies)
    source = f"pystack: the runtime's current thread of process {pid}"
    answers: list[Known[bool] | Unknown] = []
    for reply in replies:
        if reply["gil"] in (0, 1):
            answers.append(known(reply["gil"] == 1, source))
        else:
            answers.append(unknown("pystack could not tell"))
    return answers


def _gil_reason(pid: int, replies: list[dict[str, Any]], alive: Container[int]) -> str:
    with_python = [reply for reply in replies if reply["version"] is not None]
    if not with_python:
        return "pystack saw no Python thread"
    version = tuple(with_python[0]["version"])
    if version < (3, 8):
        return f"pystack guesses who holds the GIL of Python {version[0]}.{version[1]}"
    if len({reply["interpreter"] for reply in with_python}) > 1:
        return "there are several interpreters in the process"
    if sum(reply["gil"] == 1 for reply in replies) > 1:
        return "two threads seem to hold it: they ran while they were read"
    makers = [reply["tid"] for reply in with_python if reply["tid"] > 0]
    if len(set(makers)) < len(makers):
        return "a thread has made two thread states; another may use one of them"
    if any(reply["gil"] == 1 and reply["tid"] not in alive for reply in replies):
        return "the thread state that holds it was made by a thread that has ended"
    if version < (3, 13):
        return ""
    try:
        directory = open_directory(f"/proc/{pid}")
    except OSError as error:
        return f"whether it is a free-threaded build: {os.strerror(error.errno or 0)}"
    try:
        with Memory(pid, directory) as memory:
            free = is_free_threaded(memory)
    finally:
        os.close(directory)
    if isinstance(free, Unknown):
        return f"whether it is a free-threaded build: {free.reason}"
    return "it is a free-threaded build" if free.value else ""
