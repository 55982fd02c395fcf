"""The parent's work: watch every pytest process of a session, and end those that hang."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deadlock_matrix.errors import CaptureError
from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.hang import LIKELY, LIMIT, PROVED, Hang
from deadlock_matrix.pytest_plugin.guard.position import (
    BEGINNING,
    HANDING_OUT,
    Position,
    follow,
)
from deadlock_matrix.pytest_plugin.guard.pulse import Pulse
from deadlock_matrix.pytest_plugin.guard.signals import Signals

if TYPE_CHECKING:
    from deadlock_matrix.capture.collector import Collector
    from deadlock_matrix.model.evidence import Evidence
    from deadlock_matrix.model.verdict import Judgement
    from deadlock_matrix.pytest_plugin.guard.close_look import CloseLook
    from deadlock_matrix.pytest_plugin.guard.unread import Unread

BUSY_GLANCE_S = 0.2
"""Between two glances at processes that work, or have slept in the same place for long."""

GLANCE_S, FIRST_GLANCE_S = 0.025, 0.1
"""The same if one that should move has just fallen asleep, and if it has never been looked at
closely.
"""

ASLEEP_S, HANDING_OUT_S = 0.09, 1.0
"""How long a main thread must sleep before what looks closely is loaded: any, and that of a
controller, which sleeps while its workers start.
"""

FOUND_ASLEEP_S, FOUND_HANDING_OUT_S = 0.5, 2.0
"""The same if it wakes in between, as one does that waits for the GIL."""

IDLE_LOOK_S = 5.0
"""Between two looks at a process that has nothing to do: a controller waits most of the time."""

TRY_AGAIN_S = 1.0
"""After a process could not be read, as on a machine that is too busy."""

NEW_PROCESSES_S = 0.2
READY_WITHIN_S = 10.0
"""For a worker that is restarted; there may be none, if there is nothing left to do."""


@dataclass(kw_only=True)
class _Process:
    pid: int
    reader: journal.Reader
    pulse: Pulse
    closely: CloseLook | None = None  # from the first time that it sleeps
    unread: Unread | None = None  # from the first time that it cannot be read
    position: Position = BEGINNING
    began_s: float = field(default_factory=time.monotonic)  # when it was found
    told: bool = False  # it has been reported that it hangs where it sleeps now
    next_idle_look_s: float = 0.0
    next_try_s: float = 0.0  # the last time it could not be read

    def close(self) -> None:
        """Release it; may be called twice."""
        self.reader.close()
        self.pulse.close()
        if self.closely is not None:
            self.closely.close()


class Watcher:
    """Watches until the session has ended."""

    def __init__(self, child: int, folder: Path, after_s: float | None) -> None:
        """Prepare.

        Args:
            child: The process that goes on as pytest.
            folder: Where pytest processes write their journals.
            after_s: Seconds asleep in one place after which a process is ended that is not proved
                deadlocked; None for never.
        """
        self._child = child
        self._folder = folder
        self._after_s = after_s
        self._processes: dict[int, _Process] = {}
        self._collector: Collector | None = None
        self._gone: set[int] = set()
        self._next_search = 0.0
        self._replaced_s = 0.0  # when a worker was ended whose successor is not ready yet; or 0
        self._in_groups = self._remote = False  # how and where xdist distributes tests

    def watch(self, on_hang: Callable[[Hang], None], on_sight: Callable[[Hang, bool], None]) -> int:
        """Watch to the end.

        Args:
            on_hang: Called with each `Hang` before its process is ended.
            on_sight: Called once with each that is not ended at once, because it is only likely and
                not late yet, or because another worker is being replaced (then with True).

        Returns:
            The session's exit status, negative for the signal that ended it.
        """
        signals = Signals(self._child)
        try:
            while True:
                status = signals.wait(self._pause_s())
                if status is not None:
                    return status
                self._look_at_all(on_hang, on_sight)
        finally:
            for process in self._processes.values():
                process.close()
            if self._collector is not None:
                self._collector.close()
            signals.close()

    def _pause_s(self) -> float:
        """Return how long to sleep, so that nothing is missed and little is spent."""
        asleep = [
            each
            for each in self._processes.values()
            if (
                each.pulse.is_asleep
                if each.closely is None
                else each.closely.has_just_fallen_asleep
            )
            and self._should_move(each)
        ]
        if any(each.closely is not None for each in asleep):
            return GLANCE_S
        return FIRST_GLANCE_S if asleep else BUSY_GLANCE_S

    def _look_at_all(
        self, on_hang: Callable[[Hang], None], on_sight: Callable[[Hang, bool], None]
    ) -> None:
        self._search()
        for process in tuple(self._processes.values()):
            hang = self._attend(process, on_sight)
            if hang is not None:
                self._end(hang, on_hang)

    def _search(self) -> None:
        """Look for journals of new processes: the session's own, workers."""
        now = time.monotonic()
        if now < self._next_search:
            return
        self._next_search = now + NEW_PROCESSES_S
        for name in os.listdir(self._folder):  # noqa: PTH208  # several times a second
            if not name.endswith(journal.SUFFIX):
                continue
            pid = journal.pid_of(name)
            if pid in self._processes or pid in self._gone:
                continue
            try:
                pulse = Pulse(pid)
            except CaptureError:
                self._gone.add(pid)
                continue
            self._processes[pid] = _Process(
                pid=pid,
                reader=journal.Reader(self._folder / name),
                pulse=pulse,
                next_idle_look_s=now + IDLE_LOOK_S,
            )

    def _hear(self) -> None:
        """Read what all processes have written so far."""
        self._next_search = 0.0
        self._search()
        for process in self._processes.values():
            self._read_journal(process)

    def _attend(self, process: _Process, on_sight: Callable[[Hang, bool], None]) -> Hang | None:
        if time.monotonic() < process.next_try_s:
            return None
        try:
            if process.closely is None and not self._sleeps(process):
                return None
            self._read_journal(process)
            if not self._is_worth_a_look(process):
                return None
            closely = process.closely or self._begin_to_look_closely(process)
            asleep_s = closely.glance()
            if not asleep_s and not closely.is_stuck:
                process.told = False
            wanted = self._may_replace() or not process.told
            found = closely.look(
                now=wanted and self._is_late(process, asleep_s), awaited=self._should_move(process)
            )
        except CaptureError as error:
            if process.pulse.has_ended():
                self._forget(process)
                return None
            process.next_try_s = time.monotonic() + TRY_AGAIN_S
            return self._decide(process, self._unread_hang(process, error), on_sight)
        if found is None:
            return None
        return self._decide(process, self._hang(process, *found), on_sight)

    def _decide(
        self, process: _Process, hang: Hang, on_sight: Callable[[Hang, bool], None]
    ) -> Hang | None:
        """Return what is to be ended now, or report it, or neither."""
        read = process.reader.bytes_read
        self._hear()
        if process.reader.bytes_read != read:  # it went on after the look began
            return None
        is_due = hang.strength == PROVED or self._is_late(process, hang.asleep_s)
        if is_due and self._may_replace():
            return hang
        is_likely = hang.strength == LIKELY and self._should_move(process)
        if (is_due or is_likely) and not process.told:
            process.told = True
            on_sight(hang, is_due)
        return None

    def _sleeps(self, process: _Process) -> bool:
        """Return whether its main thread has slept long enough to look closely from now on.

        Raises:
            CaptureError: The process has ended.
        """
        asleep_s, found_s = process.pulse.asleep_s()
        if asleep_s < ASLEEP_S and found_s < FOUND_ASLEEP_S:
            return False
        self._hear()
        if process.position != HANDING_OUT:
            return True
        return asleep_s >= HANDING_OUT_S or found_s >= FOUND_HANDING_OUT_S

    def _begin_to_look_closely(self, process: _Process) -> CloseLook:
        """Load what is needed for that.

        Raises:
            CaptureError: The process has ended.
        """
        from deadlock_matrix.capture.collector import open_collector
        from deadlock_matrix.pytest_plugin.guard.close_look import CloseLook

        if self._collector is None:
            self._collector = open_collector()
        process.closely = CloseLook(self._collector, process.pid)
        process.pulse.asleep_s()  # its id is still its own
        return process.closely

    def _hang(
        self, process: _Process, evidence: Evidence, judgement: Judgement, asleep_s: float
    ) -> Hang:
        from deadlock_matrix.pytest_plugin.guard.close_look import (
            as_frames_say,
            strength,
            why_unread,
        )

        assert self._collector is not None
        return Hang(
            pid=process.pid,
            position=as_frames_say(process.position, process.pid, evidence),
            strength=strength(evidence, judgement),
            asleep_s=asleep_s,
            seen=(evidence, judgement),
            unread=why_unread(self._collector, process.pid, evidence),
            whole_session=self._is_the_session(process),
        )

    def _unread_hang(self, process: _Process, error: CaptureError) -> Hang:
        from deadlock_matrix.pytest_plugin.guard.unread import Unread

        if process.unread is None:
            process.unread = Unread(process.pid)
        return Hang(
            pid=process.pid,
            position=process.position,
            strength=LIMIT,
            asleep_s=process.unread.note(),
            seen=None,
            unread=str(error),
            whole_session=self._is_the_session(process),
        )

    def _is_worth_a_look(self, process: _Process) -> bool:
        """Return whether it has something to do, or has not been looked at for a while."""
        now = time.monotonic()
        if not self._should_move(process) and now < process.next_idle_look_s:
            return False
        process.next_idle_look_s = now + IDLE_LOOK_S
        return True

    def _read_journal(self, process: _Process) -> None:
        records = list(process.reader.read())
        if not records:
            return
        if process.closely is not None:
            process.closely.note_progress()
        begun = [at for at, record in enumerate(records) if record[0] == journal.START]
        if begun and process.began_s > self._replaced_s:
            self._replaced_s = 0.0  # a worker that began since then runs tests
        for record in records:
            if record[0] == journal.DISTRIBUTING:
                self._in_groups = record[1]
                self._remote = self._remote or record[2]
                process.position = follow(process.position, record)
        for record in records[begun[-1] if begun else 0 :]:
            process.position = follow(process.position, record)

    def _is_the_session(self, process: _Process) -> bool:
        """Return whether to end all: a worker that hangs outside a test would hang again."""
        position = process.position
        return process.pid == self._child or not position.test or position.is_finishing

    def _is_late(self, process: _Process, asleep_s: float) -> bool:
        """Return whether it has slept too long, which means nothing while others give it work."""
        if self._after_s is None or asleep_s < self._after_s:
            return False
        if (
            process.position.is_finishing and process.pid != self._child
        ):  # the session ends with it: let others run their tests
            return not any(
                each.position.is_busy and not each.position.is_finishing for each in self._workers()
            )
        return self._should_move(process)

    def _should_move(self, process: _Process) -> bool:
        """Return whether it has something to do.

        A worker may wait for its next test, a controller for its workers, and a debugger for a
        person, as long as they take.
        """
        if process.position.waits_for_a_person:
            return False
        if process.pid != self._child:
            return process.position.is_busy
        return not self._remote and not any(each.position.is_busy for each in self._workers())

    def _workers(self) -> list[_Process]:
        return [each for each in self._processes.values() if each.pid != self._child]

    def _may_replace(self) -> bool:
        """Return whether the worker that was ended last has a successor that is ready.

        xdist's schedulers by group fail with a KeyError if two workers are replaced at once: one is
        given work before the other has collected. The other schedulers do not mind.
        """
        if not self._in_groups or not self._replaced_s:
            return True
        return time.monotonic() > self._replaced_s + READY_WITHIN_S

    def _forget(self, process: _Process) -> None:
        process.close()
        self._gone.add(process.pid)
        self._processes.pop(process.pid, None)

    def _end(self, hang: Hang, on_hang: Callable[[Hang], None]) -> None:
        from deadlock_matrix.run.tree_end import end_tree

        on_hang(hang)
        end_tree(self._child if hang.whole_session else hang.pid)
        self._replaced_s = time.monotonic()
        if hang.pid in self._processes:
            self._forget(self._processes[hang.pid])
