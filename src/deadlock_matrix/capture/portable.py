"""The collector for macOS and Windows: states, CPU time and stacks, by psutil and py-spy.

**Its authors have not run it on those systems yet.** What a proof needs (system calls, switch
counters, memory) is unknown here, with that reason, so no proof can come of it.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

import psutil

from deadlock_matrix.capture.glance import Glance
from deadlock_matrix.capture.py_spy import PySpyFailed, read_stacks
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Machine, Parent
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.scan import Program
from deadlock_matrix.model.stack_facts import ProcessStacks, StackFacts
from deadlock_matrix.model.thread_facts import ThreadFacts

STACK_LIMIT_S = 10.0
TICKS_PER_SECOND = 100

_STATES = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_IDLE: "I",
}


class PortableCollector:
    """Reports what psutil and py-spy can tell, and everything else as not readable."""

    def parents(self, pid: int) -> tuple[Parent, ...]:
        """Return nothing: parents are not read here."""
        del pid
        return ()

    def glancer(self, pid: int) -> PortableGlancer:
        """See `PortableGlancer`."""
        return PortableGlancer(pid)

    def close(self) -> None:
        """Do nothing: there is nothing to end."""

    def cpu_s(self) -> float:
        """See `collector.Collector.cpu_s`."""
        return time.process_time()

    def warm_up(self) -> None:
        """Do nothing: there is nothing to start."""

    def hurry(self, until_s: float | None) -> None:
        """Do nothing: all reads here have limits of their own."""

    def source_lines(
        self, pid: int, places: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], str]:
        """Return nothing: source lines are not read here."""
        del pid, places
        return {}

    def check(self, pid: int) -> None:
        """Check that psutil can see the process.

        Raises:
            CaptureError: It does not exist, or we may not look at it.
        """
        try:
            psutil.Process(pid).num_threads()
        except psutil.NoSuchProcess:
            raise CaptureError(
                f"there is no process {pid}; give the id of a running one."
            ) from None
        except psutil.AccessDenied:
            raise CaptureError(
                f"process {pid} cannot be inspected: no permission; run this as its user or as "
                "administrator."
            ) from None

    def program(self, pid: int) -> Program:
        """Return what it runs; its name alone tells whether it is Python."""
        self.check(pid)
        try:
            words = tuple(psutil.Process(pid).cmdline())
        except psutil.Error:
            raise CaptureError(
                f"process {pid} cannot be inspected: it has ended, or there is no permission."
            ) from None
        return Program(words=words, python="python" in (words[0].lower() if words else ""))

    def machine(self, pid: int) -> Machine:
        """Return the observer's own machine; the target's C library is not looked for."""
        del pid
        return Machine(
            system=sys.platform,
            architecture=platform.machine().lower(),
            kernel=platform.release(),
            libc=f"unknown: not readable on {sys.platform}",
            pointer_bits=sys.maxsize.bit_length() + 1,
        )

    def snapshot(self, roots: Sequence[int]) -> Snapshot:
        """Return processes and threads with their states; the rest is unknown.

        Raises:
            CaptureError: The first root has ended.
        """
        begun = time.monotonic()
        processes: dict[int, ProcessFacts] = {}
        for root in roots:
            try:
                process = psutil.Process(root)
                for member in [process, *process.children(recursive=True)]:
                    facts = _process(member)
                    if facts is not None:
                        processes.setdefault(member.pid, facts)
            except psutil.Error:
                continue
        if roots[0] not in processes:
            raise CaptureError(f"process {roots[0]} has ended.")
        return Snapshot(
            begun_s=begun,
            ended_s=time.monotonic(),
            root=roots[0],
            processes=tuple(processes.values()),
            outside_holders=_not_readable(),
        )

    def python_stacks(
        self, pids: Sequence[int], awaited: Collection[int] = ()
    ) -> tuple[StackFacts, ...]:
        """Read them by py-spy; on macOS that needs administrator rights."""
        return tuple(_stacks(pid) for pid in pids)

    def native_stacks(self, pids: Sequence[int]) -> tuple[StackFacts, ...]:
        """Return nothing: native stacks are not offered here."""
        return tuple(StackFacts(pid=pid, stacks=_not_readable()) for pid in pids)


class PortableGlancer:
    """Looks at a process with psutil: its state and counters are those of all its threads."""

    def __init__(self, pid: int) -> None:
        """Find the process.

        Raises:
            CaptureError: There is no such process.
        """
        try:
            self._process = psutil.Process(pid)
        except psutil.Error:
            raise CaptureError(f"process {pid} has ended") from None

    def look(self) -> Glance:
        """Look once, in some hundred microseconds; no system call is shown.

        Raises:
            CaptureError: The process has ended.
        """
        try:
            with self._process.oneshot():
                switches = self._process.num_ctx_switches()
                times = self._process.cpu_times()
                return Glance(
                    state=_STATES.get(self._process.status(), "S"),
                    voluntary=switches.voluntary,
                    involuntary=switches.involuntary,
                    cpu_ticks=int((times.user + times.system) * TICKS_PER_SECOND),
                    syscall="",
                    threads=self._process.num_threads(),
                    children=_not_readable(),
                )
        except psutil.Error:
            raise CaptureError(f"process {self._process.pid} has ended") from None

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _not_readable() -> Unknown:
    return unknown(f"not readable on {sys.platform}")


def _stacks(pid: int) -> StackFacts:
    begun = time.monotonic()
    try:
        threads = read_stacks(pid, STACK_LIMIT_S)
    except PySpyFailed as error:
        return StackFacts(pid=pid, stacks=unknown(str(error)))
    stacks = ProcessStacks(
        pid=pid, tool="py-spy", begun_s=begun, ended_s=time.monotonic(), threads=threads
    )
    return StackFacts(pid=pid, stacks=known(stacks, "py-spy"))


def _process(process: psutil.Process) -> ProcessFacts | None:
    """Read one process; ``started`` is in 0.01 s since 1970 here and only tells ids apart."""
    try:
        with process.oneshot():
            state = _STATES.get(process.status(), "S")
            started = int(process.create_time() * TICKS_PER_SECOND)
            parent = process.ppid()
    except psutil.Error:
        return None
    try:
        threads = tuple(_thread(thread, state, started) for thread in process.threads())
    except psutil.Error:
        threads = ()
    return ProcessFacts(
        pid=process.pid,
        own_pid=process.pid,
        parent=parent,
        started=started,
        executable=_executable(process),
        threads=threads,
        threads_after=tuple(thread.tid for thread in threads),
        signals=_not_readable(),
        tracer=_not_readable(),
        timers=_not_readable(),
        descriptors=_not_readable(),
        own_descriptors=_not_readable(),
        descriptors_in_flight=_not_readable(),
        shares_memory_with=_not_readable(),
        libraries=_not_readable(),
        special_mappings=_not_readable(),
        python=_not_readable(),
    )


def _executable(process: psutil.Process) -> Known[str] | Unknown:
    try:
        return known(process.exe(), "psutil")
    except psutil.Error as error:
        return unknown(f"psutil: {error}")


def _thread(thread: Any, state: str, started: int) -> ThreadFacts:
    """Make a thread with its process's state: psutil does not know a thread's own."""
    tid = thread.id
    seconds = thread.user_time + thread.system_time
    return ThreadFacts(
        tid=tid,
        own_tid=tid,
        name="",
        state=state,
        started=started,
        cpu_ticks=int(seconds * TICKS_PER_SECOND),
        switches=_not_readable(),
        activity=_not_readable(),
        blocked_signals=0,
        word=_not_readable(),
        polled=_not_readable(),
        timeout=_not_readable(),
        code=_not_readable(),
        wait_channel=_not_readable(),
    )
