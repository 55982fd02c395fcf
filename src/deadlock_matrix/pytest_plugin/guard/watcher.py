"""The parent's work: watch every pytest process of a session, and end those that hang."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deadlock_matrix.capture.collector import Collector, open_collector
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.journal import Position
from deadlock_matrix.run.attention import Attention
from deadlock_matrix.run.movement import Movement
from deadlock_matrix.run.tree_end import end_tree

GLANCE_S = 0.025
NEW_PROCESSES_S = 0.1
READY_WITHIN_S = 10.0
"""For a worker that is started anew: there may be none, if there is nothing left to do."""
PROVED, LIKELY, LIMIT = "proved", "likely", "limit"


@dataclass(frozen=True, kw_only=True)
class Hang:
    """A pytest process that was ended, and why.

    ``strength`` is ``proved``; ``likely``, a part of a process included; or ``limit`` where nothing
    is known but that nothing in it has worked for ``asleep_s`` seconds. ``whole_session``: no part
    of the session runs on.
    """

    pid: int
    position: Position
    strength: str
    asleep_s: float
    evidence: Evidence
    judgement: Judgement
    whole_session: bool


@dataclass(kw_only=True)
class _Process:
    pid: int
    reader: journal.Reader
    attention: Attention
    position: Position = journal.BEGINNING
    movement: Movement = field(default_factory=Movement)
    began_s: float = field(default_factory=time.monotonic)  # when it was found
    told: bool = False  # that it is likely deadlocked where it sleeps now


class Watcher:
    """Watches until the session has ended."""

    def __init__(self, child: int, folder: Path, after_s: float | None) -> None:
        """Get ready.

        Args:
            child: The process that goes on as pytest.
            folder: Where pytest processes write their journals.
            after_s: Seconds asleep in one place after which a process is ended that is not proved
                deadlocked; None: never.
        """
        self._child = child
        self._folder = folder
        self._after_s = after_s
        self._processes: dict[int, _Process] = {}
        self._gone: set[int] = set()
        self._next_search = 0.0
        self._replaced_s = 0.0  # when a worker was ended whose successor is not ready yet; or 0

    def watch(self, on_hang: Callable[[Hang], None], on_likely: Callable[[Hang], None]) -> int:
        """Watch to the end.

        Args:
            on_hang: Called with each `Hang` before its process is ended.
            on_likely: Called once with each that is likely, and is left until it is late.

        Returns:
            The session's exit status, negative for the signal that ended it.
        """
        signals = _Signals(self._child)
        collector = open_collector()
        try:
            collector.warm_up()
            while True:
                status = signals.wait(GLANCE_S)
                if status is not None:
                    return status
                self._search(collector)
                for process in tuple(self._processes.values()):
                    hang = self._attend(process, on_likely)
                    if hang is not None:
                        self._end(hang, on_hang)
        finally:
            for process in self._processes.values():
                process.attention.close()
                process.reader.close()
            collector.close()
            signals.close()

    def _search(self, collector: Collector) -> None:
        """Look for journals of new processes: the session's own, workers."""
        now = time.monotonic()
        if now < self._next_search:
            return
        self._next_search = now + NEW_PROCESSES_S
        for path in self._folder.glob(f"*{journal.SUFFIX}"):
            pid = int(path.name.removesuffix(journal.SUFFIX))
            if pid in self._processes or pid in self._gone:
                continue
            try:
                attention = Attention(collector, pid, partial(_alone, pid))
            except CaptureError:
                self._gone.add(pid)
                continue
            self._processes[pid] = _Process(
                pid=pid, reader=journal.Reader(path), attention=attention
            )

    def _attend(self, process: _Process, on_likely: Callable[[Hang], None]) -> Hang | None:
        for record in process.reader.read():
            process.position = journal.follow(process.position, record)
            process.movement.last_s = time.monotonic()
            if record[0] == journal.START and process.began_s > self._replaced_s:
                self._replaced_s = 0.0  # a worker that began since then runs tests
        try:
            asleep_s = process.attention.glance()
            if not asleep_s:
                process.told = False
                process.movement.last_s = time.monotonic()
            found = process.attention.look(now=self._is_late(process, asleep_s))
            if found is None:
                return None
            evidence, judgement = found
            asleep_s = min(process.attention.glance(), process.movement.note(evidence.after))
        except CaptureError:
            self._forget(process)
            return None
        hang = Hang(
            pid=process.pid,
            position=process.position,
            strength=_strength(judgement),
            asleep_s=asleep_s,
            evidence=evidence,
            judgement=judgement,
            # A worker that hangs outside of a test would hang again when it is replaced.
            whole_session=process.pid == self._child or not process.position.test,
        )
        if (hang.strength == PROVED and self._may_replace()) or self._is_late(process, asleep_s):
            return hang
        if hang.strength == LIKELY and not process.told and not self._gives_work(process):
            process.told = True
            on_likely(hang)
        return None

    def _is_late(self, process: _Process, asleep_s: float) -> bool:
        """Whether it has slept for too long. That says nothing where others give it work."""
        if self._after_s is None or asleep_s < self._after_s or not self._may_replace():
            return False
        if process.pid == self._child:
            return not self._gives_work(process)
        return process.position.is_busy  # else it waits for its next test

    def _gives_work(self, process: _Process) -> bool:
        """Whether it is a controller, which waits for its workers for as long as they take."""
        return process.pid == self._child and len(self._processes) > 1

    def _may_replace(self) -> bool:
        """Whether the worker that was ended last has a successor that is ready.

        xdist's schedulers by file fail with a KeyError where two workers are replaced at once: one
        is given work before the other has collected.
        """
        return not self._replaced_s or time.monotonic() > self._replaced_s + READY_WITHIN_S

    def _forget(self, process: _Process) -> None:
        process.attention.close()
        process.reader.close()
        self._gone.add(process.pid)
        self._processes.pop(process.pid, None)

    def _end(self, hang: Hang, on_hang: Callable[[Hang], None]) -> None:
        on_hang(hang)
        end_tree(self._child if hang.whole_session else hang.pid)
        self._replaced_s = time.monotonic()
        if hang.pid in self._processes:
            self._forget(self._processes[hang.pid])


def _alone(pid: int) -> tuple[int, ...]:
    """The roots of a process's tree: itself."""
    return (pid,)


def _strength(judgement: Judgement) -> str:
    if judgement.outcome == "deadlock":
        return PROVED
    return LIMIT if judgement.outcome == "not-proved" else LIKELY


class _Signals:
    """Waits for the child's end, and hands on what is sent to us and not to it.

    A Ctrl-C in the terminal reaches both (the kernel is its sender), ``kill`` reaches us alone.
    """

    HANDED_ON = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"})
    FROM_KERNEL = 0x80  # SI_KERNEL

    def __init__(self, child: int) -> None:
        self._child = child
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        wanted = {getattr(signal, name) for name in self.HANDED_ON}
        self._wanted = {number for number in wanted if signal.getsignal(number) != signal.SIG_IGN}
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._wanted | {signal.SIGCHLD})

    def close(self) -> None:
        """Take signals again as before."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait(self, timeout_s: float) -> int | None:
        """Wait at most so long.

        Returns:
            The child's exit status, negative for a signal; None while it runs.
        """
        if hasattr(signal, "sigtimedwait"):
            got = signal.sigtimedwait(self._wanted | {signal.SIGCHLD}, timeout_s)
            if got is not None and got.si_signo in self._wanted and got.si_code != self.FROM_KERNEL:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._child, got.si_signo)
        else:  # macOS
            time.sleep(timeout_s)
        pid, status = os.waitpid(self._child, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None
