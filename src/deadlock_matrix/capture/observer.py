"""The collector that nothing can hold up: a helper process reads, and is abandoned if need be.

`observer_script.py` reads everything that the target controls, and announces each such read
(`foreign`). If a read does not end, the helper is killed, or abandoned if that does not help. A new
helper then gets the same request, with the order to leave that thing alone. The answer says what
was not read.

If Yama lets only an ancestor look into a process, this cannot be used: see
`permission.only_ancestors_may_look`.
"""

from __future__ import annotations

import os
import re
import time
import weakref
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from deadlock_matrix.capture.foreign import BUSY_S, NOTE_SIZE, Begun, Note, Watch
from deadlock_matrix.capture.glance import Glancer
from deadlock_matrix.capture.source_lines import SourceLine
from deadlock_matrix.capture.stopping import is_stopped, let_go
from deadlock_matrix.capture.worker import Worker, WorkerFailed
from deadlock_matrix.decoding import decode, learn
from deadlock_matrix.errors import CaptureError, OutOfTime
from deadlock_matrix.model.evidence import Machine, Parent
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.stack_facts import StackFacts

if TYPE_CHECKING:
    from deadlock_matrix.model.scan import Program

SCRIPT = Path(__file__).with_name("observer_script.py")
LIMIT_S = 10.0
SOURCE_WITHIN_S = 1.0
"""For source text, which is read once everything else is known, whatever the deadline."""

ATTEMPTS = 5
AVOIDED_FOR_S = 10.0
"""How long to leave alone what got stuck; doubled each further time."""


_OF_A_PROCESS = re.compile(r"process \d+$")
NOTHING = msgspec.Raw(b"")


class Answer(msgspec.Struct):
    """What the helper answers."""

    found: msgspec.Raw = NOTHING
    refused: str = ""
    failed: str = ""


class _Avoided(msgspec.Struct):
    until_s: float
    for_s: float


class _Stuck(Exception):
    def __init__(self, begun: Begun) -> None:
        super().__init__(begun.what)
        self.begun = begun


class Observer:
    """A collector whose answers all come in time. It glances itself: glances cannot get stuck."""

    def __init__(self) -> None:
        """Prepare; no helper is started yet."""
        self._page = os.memfd_create("note", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._page)  # `close` is not the end of it
        os.ftruncate(self._page, NOTE_SIZE)
        self._note = Note(self._page)
        self._worker = Worker(SCRIPT, "the observer", descriptors=(self._page,))
        self._avoided: dict[str, _Avoided] = {}
        self._until_s: float | None = None

    def hurry(self, until_s: float | None) -> None:
        """See `collector.Collector.hurry`."""
        self._until_s = until_s

    def cpu_s(self) -> float:
        """See `collector.Collector.cpu_s`."""
        return time.process_time() + self._worker.cpu_s()

    def warm_up(self) -> None:
        """Start the helper. If that fails, its first use says so.

        Until it is ready, there is time to learn how to read its answers.
        """
        with suppress(WorkerFailed):
            self._worker.start()
        learn(Answer, Machine, tuple[Parent, ...], Snapshot, tuple[StackFacts, ...])

    def close(self) -> None:
        """End the helper. May be called twice; the collector can still be used afterwards."""
        self._worker.close()

    def glancer(self, pid: int) -> Glancer:
        """See `glance.Glancer`."""
        return Glancer(pid)

    def check(self, pid: int) -> None:
        """See `permission.check_access`."""
        self._ask("check", (pid,), type(None))

    def program(self, pid: int) -> Program:
        """See `programs.program_of`."""
        from deadlock_matrix.model.scan import Program

        found: Program = self._ask("program", (pid,), Program)
        return found

    def parents(self, pid: int) -> tuple[Parent, ...]:
        """See `parents.parents_of`; one that is not read in time may act."""
        try:
            found: tuple[Parent, ...] = self._ask("parents", (pid,), tuple[Parent, ...])
        except CaptureError:
            from deadlock_matrix.capture.parents import unread_parents

            return unread_parents(pid, "could not be read in time")
        return found

    def machine(self, pid: int) -> Machine:
        """See `machine.machine_of`."""
        found: Machine = self._ask("machine", (pid,), Machine)
        return found

    def snapshot(self, roots: Sequence[int]) -> Snapshot:
        """See `linux.LinuxCollector.snapshot`.

        Raises:
            CaptureError: The first root has ended, we may not read it, or it cannot be read in
                time.
        """
        found: Snapshot = self._ask("snapshot", roots, Snapshot)
        return found

    def python_stacks(
        self, pids: Sequence[int], awaited: Collection[int] = ()
    ) -> tuple[StackFacts, ...]:
        """See `linux.LinuxCollector.python_stacks`."""
        try:
            return self._stacks("python_stacks", pids, awaited)
        except CaptureError as error:
            return _without_stacks(pids, error)

    def native_stacks(self, pids: Sequence[int]) -> tuple[StackFacts, ...]:
        """See `linux.LinuxCollector.native_stacks`."""
        if self._until_s is not None and time.monotonic() >= self._until_s:
            return _without_stacks(pids, OutOfTime("there was no time left for them"))
        running = [pid for pid in pids if not is_stopped(pid)]
        try:
            return self._stacks("native_stacks", pids)
        except BaseException as error:  # Ctrl-C too: the helper has been killed
            for pid in running:
                let_go(pid)
            if isinstance(error, CaptureError):
                return _without_stacks(pids, error)
            raise

    def source_lines(
        self, pid: int, places: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], str]:
        """See `source_lines.source_lines`; empty if it takes too long."""
        until_s = time.monotonic() + SOURCE_WITHIN_S
        try:
            read = self._ask("source_lines", (pid,), tuple[SourceLine, ...], places, until_s)
        except CaptureError:
            return {}
        return {(each.file, each.line): each.text for each in read}

    def _stacks(
        self, ask: str, pids: Sequence[int], awaited: Collection[int] = ()
    ) -> tuple[StackFacts, ...]:
        kind = tuple[StackFacts, ...]
        found: tuple[StackFacts, ...] = self._ask(ask, pids, kind, awaited=awaited)
        return found

    def _ask(
        self,
        ask: str,
        pids: Sequence[int],
        kind: Any,
        places: Sequence[tuple[str, int]] = (),
        until_s: float | None = None,
        awaited: Collection[int] = (),
    ) -> Any:
        if until_s is None:
            until_s = time.monotonic() + LIMIT_S
            if self._until_s is not None:
                until_s = min(until_s, self._until_s)
        problem = ""
        for _ in range(ATTEMPTS):
            now = time.monotonic()
            if now >= until_s:
                problem = problem or "there was no time left for it"
                break
            avoid = [name for name, entry in self._avoided.items() if entry.until_s > now]
            request = {
                "ask": ask,
                "pids": pids,
                "places": places,
                "awaited": [*awaited],
                "avoid": avoid,
            }
            begun = self._note.read()
            self._note.write(Begun(begun.number + 1, BUSY_S, ""))
            watch = Watch(self._note)
            try:
                line = self._worker.ask(request, until_s - now, partial(_check, watch))
                return self._read(line, kind)
            except _Stuck as stuck:
                problem = f"reading {stuck.begun.what or 'it'} took too long"
                self._avoid(stuck.begun.what)
            except WorkerFailed as error:
                what = self._note.read().what
                problem = f"{error}, reading {what}" if what else str(error)
                self._avoid(what)
        raise OutOfTime(f"process {pids[0]} cannot be inspected: {problem}.")

    def _read(self, line: bytes, kind: Any) -> Any:
        answer = decode(line, Answer)
        if answer.refused:
            raise CaptureError(answer.refused)
        if answer.failed or not bytes(answer.found):
            raise CaptureError(f"the observer failed: {answer.failed}; please report this.")
        return decode(answer.found, kind)

    def _avoid(self, what: str) -> None:
        if not _OF_A_PROCESS.search(what):
            return  # it was busy, not stuck: there is nothing to leave alone
        before = self._avoided.get(what)
        for_s = before.for_s * 2 if before else AVOIDED_FOR_S
        self._avoided[what] = _Avoided(time.monotonic() + for_s, for_s)


def _without_stacks(pids: Sequence[int], error: CaptureError) -> tuple[StackFacts, ...]:
    return tuple(StackFacts(pid=pid, stacks=unknown(str(error))) for pid in pids)


def _check(watch: Watch) -> None:
    begun = watch.stuck()
    if begun is not None:
        raise _Stuck(begun)
