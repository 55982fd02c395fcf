"""Stacks of a process: from its memory, else by pystack in a helper, else by py-spy."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.capture.foreign import Stuck, reading, stuck_at
from deadlock_matrix.capture.kept_values import keep_only_needed
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import numbers_in, open_directory, read_small, reason_of
from deadlock_matrix.capture.proc_text import parse_stat
from deadlock_matrix.capture.py_spy import PySpyFailed, read_native_frames, read_stacks
from deadlock_matrix.capture.python_runtime import is_free_threaded
from deadlock_matrix.capture.python_stacks import NotReadable, PythonStacks, thread_ids
from deadlock_matrix.capture.python_waits import with_locks_of_lines
from deadlock_matrix.capture.standard_library import places_of, standard_library
from deadlock_matrix.capture.worker import Worker, WorkerFailed
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import NativeFrame, ProcessStacks, StackFacts, ThreadStack
from deadlock_matrix.model.tasks import EventLoop

SCRIPT = Path(__file__).with_name("stacks_worker.py")
PYTHON_LIMIT_S = 2.0
NATIVE_LIMIT_S = 4.0
MARGIN_S = 0.5
_NO_LOOPS = unknown("only what reads the memory here reads asyncio")


class StackReader:
    """Reads stacks; owns the helper process. Close it at the end."""

    def __init__(
        self,
        python_limit_s: float = PYTHON_LIMIT_S,
        native_limit_s: float = NATIVE_LIMIT_S,
        *,
        own_session: bool = True,
    ) -> None:
        self._worker = Worker(SCRIPT, "the stack reader", own_session=own_session)
        self._limits = {False: python_limit_s, True: native_limit_s}

    def start(self) -> None:
        """Start the helper before its first use. If that fails, the first use reports it."""
        with suppress(WorkerFailed):
            self._worker.start()

    def close(self) -> None:
        """End the helper. May be called twice."""
        self._worker.close()

    def read(self, pid: int, native: bool, *, awaited: bool = False) -> StackFacts:
        """Read all stacks of one process.

        Args:
            pid: The process.
            native: Whether to read native frames, for which each thread is stopped for a moment.
                Without them nothing is stopped, and the stacks hold only as far as the threads
                slept, which two snapshots around the call can tell.
            awaited: Whether somebody outside waits for its main thread.
        """
        stuck = stuck_at(pid)
        if stuck is not None:  # whoever reads stacks reads all of it
            return StackFacts(pid=pid, stacks=unknown(str(stuck.strerror)))
        begun = time.monotonic()
        own, reason = _from_memory(pid, awaited=awaited)
        if own is not None and not native:
            facts = _facts(pid, python_stacks.TOOL, begun, own.threads, own.loops)
            return _awaited(facts) if awaited else facts
        begun = time.monotonic()
        stopped = native and is_stopped(pid)
        limit_s = self._limits[native]
        try:
            with reading(f"the stacks of process {pid}", limit_s + MARGIN_S):
                line = self._worker.ask({"pid": pid, "native": native}, limit_s)
            reply = json.loads(line)
        except Stuck as error:
            return StackFacts(pid=pid, stacks=unknown(str(error.strerror)))
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
            return _facts(pid, "pystack", begun, _with_own_frames(threads, mine))
        if own is not None:
            return self._with_native_frames(pid, own)
        begun = time.monotonic()
        limit_s = self._limits[False]
        try:
            with reading(f"the stacks of process {pid}", limit_s + MARGIN_S):
                threads = _as_seen_here(pid, read_stacks(pid, limit_s))
        except PySpyFailed as other:
            reasons = f"from its memory: {reason}; pystack: {reply['error']}; {other}"
            return StackFacts(pid=pid, stacks=unknown(reasons))
        return _facts(pid, "py-spy", begun, threads)

    def _with_native_frames(self, pid: int, own: PythonStacks) -> StackFacts:
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
            return _facts(pid, python_stacks.TOOL, begun, own.threads, own.loops)
        threads = tuple(
            msgspec.structs.replace(thread, native=native.get(thread.tid, ()))
            for thread in own.threads
        )
        return _facts(pid, "py-spy", begun, threads, own.loops)


def _facts(
    pid: int,
    tool: str,
    begun: float,
    threads: tuple[ThreadStack, ...],
    loops: Known[tuple[EventLoop, ...]] | Unknown = _NO_LOOPS,
) -> StackFacts:
    """Build the facts, without values if the place of the interpreter's own library is unknown."""
    places: tuple[PurePosixPath, ...] = ()
    standard: Known[tuple[str, ...]] | Unknown
    try:
        directory = open_directory(f"/proc/{pid}")
    except OSError as error:
        standard = unknown(reason_of(error, f"/proc/{pid}"))
    else:
        try:
            with Memory(pid, directory) as memory:
                threads = with_locks_of_lines(memory, threads)
                places = places_of(memory)
            found = standard_library(threads, places)
            standard = known(found, "the folder beside the executable or libpython")
        except OSError as error:
            standard = unknown(reason_of(error, f"/proc/{pid}/exe"))
        finally:
            os.close(directory)
    stacks = ProcessStacks(
        pid=pid,
        tool=tool,
        begun_s=begun,
        ended_s=time.monotonic(),
        threads=keep_only_needed(threads, places),
        standard_library=standard,
        loops=loops,
    )
    return StackFacts(pid=pid, stacks=known(stacks, tool))


def _awaited(facts: StackFacts) -> StackFacts:
    if not isinstance(facts.stacks, Known):
        return facts
    stacks = msgspec.structs.replace(facts.stacks.value, awaited=True)
    return StackFacts(pid=facts.pid, stacks=known(stacks, facts.stacks.source))


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


def _from_memory(pid: int, *, awaited: bool) -> tuple[PythonStacks | None, str]:
    try:
        return python_stacks.read_stacks(pid, awaited=awaited), ""
    except NotReadable as error:
        return None, str(error)


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


def is_stopped(pid: int) -> bool:
    """Return whether somebody has stopped it, by a signal or as a debugger."""
    try:
        return parse_stat(read_small(f"/proc/{pid}/stat")).state in "Tt"
    except (OSError, ValueError):
        return False


def let_go(pid: int) -> None:
    """Continue a process that a helper left stopped.

    pystack stops a thread by PTRACE_ATTACH, which sends SIGSTOP. A helper killed before that stop
    was reported leaves the signal behind, and the process stays stopped.
    """
    for _ in range(20):
        if is_stopped(pid):
            try:
                os.kill(pid, signal.SIGCONT)
            except OSError:
                return
        time.sleep(0.01)


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
