"""What a task awaits, as the frames at the end of its chain and the future it waits for show it.

The innermost frames of a task that waits in asyncio are asyncio's own: ``acquire`` of a ``Lock``,
``get`` of a ``Queue``, with the object as ``self``. Without such a frame, the future itself tells:
it is a task, or has children (``gather``), or a job of an executor completes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec
from msgspec.structs import replace

from deadlock_matrix.capture.asyncio_coroutines import Chain
from deadlock_matrix.capture.asyncio_jobs import JobReader
from deadlock_matrix.capture.asyncio_layout import PENDING, TaskLayout
from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.asyncio_references import ReferenceReader
from deadlock_matrix.capture.frame_names import Name, name_in_frame
from deadlock_matrix.capture.frame_variables import FrameAddress, variables_of
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_holders import HolderReader
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.tasks import AwaitedKind, Entered, Task, TaskAwaits

SOURCE = "process memory"
_FUTURE, _TASK = "_asyncio.Future", "_asyncio.Task"
_OF_TYPE: Mapping[str, AwaitedKind] = {
    "Lock": "lock",
    "Semaphore": "semaphore",
    "BoundedSemaphore": "semaphore",
    "Event": "event",
    "Condition": "condition",
    "Barrier": "barrier",
    "Queue": "queue",
    "LifoQueue": "queue",
    "PriorityQueue": "queue",
    "TaskGroup": "tasks",
}
_LOCK_OF_THREADS = "lock"
_BY_WHOEVER_HAS_IT = frozenset(
    {"future", "event", "condition", "barrier", "queue", "lock", "semaphore"}
)
"""The kinds whose wait anyone with a reference to the object can end."""

_SELF_WAITS = frozenset({"locks.py", "queues.py", "taskgroups.py"})
SHUTDOWN = "shutdown_default_executor"
_LIMITED = frozenset({"Timeout", "CancelScope"})
_IO = frozenset({"streams.py", "selector_events.py", "unix_events.py", "base_subprocess.py",
                 "subprocess.py", "sslproto.py"})  # fmt: skip


class AwaitsReader(msgspec.Struct, kw_only=True, dict=True):
    """Reads the tasks of one process.

    ``folder`` is asyncio's own: ``redis/asyncio`` and the like have files of the same names.
    """

    objects: Objects
    layout: TaskLayout
    folder: str
    threads: tuple[PythonThread, ...]
    tids: Mapping[int, int]
    references: ReferenceReader

    @cached_property
    def _blocks(self) -> HolderReader:
        locks = LockObjects(memory=self.objects.memory, python=self.objects.python)
        return HolderReader(objects=locks, source=SOURCE)

    @cached_property
    def _jobs(self) -> JobReader:
        return JobReader(
            objects=self.objects,
            layout=self.layout,
            folder=self.folder,
            threads=self.threads,
            tids=self.tids,
        )

    def task(self, address: int, name: str, chain: Chain) -> Task:
        """Return a task, given its chain."""
        inside: list[Entered] = []
        limited = False
        awaits = self._awaits(address, chain)
        given_back = self._given_back(awaits)
        seen = {at.frame for _, at in chain.frames}
        for frame, at in chain.frames:
            for entered, timed in self._entered(frame, at, seen):
                limited = limited or timed
                if entered is not None and entered.address != given_back:
                    inside.append(entered)
        return Task(
            address=address,
            name=name,
            frames=tuple(frame for frame, _ in chain.frames),
            awaits=awaits,
            inside=tuple(inside),
            limited=limited,
        )

    # --- blocks ---------------------------------------------------------------------------------

    def _entered(
        self, frame: PythonFrame, at: FrameAddress, seen: set[int]
    ) -> list[tuple[Entered | None, bool]]:
        """Return the objects whose blocks a frame is in, and whether a block limits the time."""
        found: list[tuple[Entered | None, bool]] = []
        try:
            for block in self._blocks.blocks_in(frame, at, seen):
                if block.acquired:
                    continue
                address = block.entered
                kind = self.objects.type(address) if address else ""
                if kind in _LIMITED:
                    found.append((None, True))
                elif (kind in _OF_TYPE and kind != "TaskGroup") or kind == _LOCK_OF_THREADS:
                    name = self._name(block.address, address)
                    entered = Entered(
                        what="threading.Lock" if kind == _LOCK_OF_THREADS else kind,
                        address=self._lock_of(kind, address),
                        name=name.text,
                        of=name.of,
                        function=block.frame.function,
                        file=block.frame.file,
                        line=block.line,
                    )
                    found.append((entered, False))
        except (Unreadable, ValueError):
            return found
        return found

    def _given_back(self, awaits: Known[TaskAwaits] | Unknown) -> int:
        """Return the lock of the ``Condition`` whose notice a task waits for, or 0."""
        if not isinstance(awaits, Known) or awaits.value.kind != "condition":
            return 0
        try:
            return self._lock_of("Condition", awaits.value.address)
        except Unreadable:
            return 0

    def _lock_of(self, kind: str, address: int) -> int:
        """Return the address of a ``Condition``'s lock; any other object stands for itself."""
        return self.objects.attributes(address).get("_lock", 0) if kind == "Condition" else address

    def _name(self, at: FrameAddress, *wanted: int) -> Name:
        return name_in_frame(self.objects.memory, self.objects.python, at, wanted)

    # --- what it awaits -------------------------------------------------------------------------

    def _awaits(self, task: int, chain: Chain) -> Known[TaskAwaits] | Unknown:
        try:
            future = self.objects.word(task + self.layout.waits_for)
            if not future:
                return unknown("it runs, or is about to")
            if not self._is_future(future):
                return unknown(f"it awaits an object of type {self.objects.type(future)}")
            if chain.end != future:
                return unknown("its coroutines do not lead to the future that it names")
            if not self._is_pending(future):
                return unknown("what it awaits is done: it is about to run")
            found = self._waited(chain, future)
            if found.kind in _BY_WHOEVER_HAS_IT:
                # The future too: others may have it, or what keeps it, as a copied Condition does.
                has = [self.references.referrers(each) for each in (found.address, future)]
                tasks = {task for each in has for task in each.tasks}
                others = any(each.others for each in has)
                found = replace(
                    found, known_to=() if others else tuple(sorted(tasks)), known_to_others=others
                )
            return known(found, SOURCE)
        except (Unreadable, KeyError, ValueError) as error:
            return unknown(str(error))

    def _is_future(self, address: int) -> bool:
        return self.objects.descends_from(address, _FUTURE) or self._is_task(address)

    def _is_task(self, address: int) -> bool:
        return self.objects.descends_from(address, _TASK)

    def _is_pending(self, future: int) -> bool:
        return self.objects.memory.number(future + self.layout.state, 4) == PENDING

    def _waited(self, chain: Chain, future: int) -> TaskAwaits:
        own, inner = self._parted(chain)
        if len(inner) > 1 and inner[0][0].function == "wait" and inner[-1][0].function == "acquire":
            inner = inner[-1:]  # a ``Condition`` was notified, and waits for its lock
        for frame, at in inner:
            found = self._by_frame(frame, at, own, future)
            if found is not None:
                return found
        return self._by_future(own, future)

    def _parted(
        self, chain: Chain
    ) -> tuple[FrameAddress | None, tuple[tuple[PythonFrame, FrameAddress], ...]]:
        """Return the innermost frame outside asyncio, and asyncio's own frames inside it."""
        frames = chain.frames
        at = len(frames)
        while at and self._file(frames[at - 1][0]):
            at -= 1
        return (frames[at - 1][1] if at else None), frames[at:]

    def _file(self, frame: PythonFrame) -> str:
        """Return which of asyncio's files a frame is in, without the folder; empty if in none."""
        folder, _, name = frame.file.rpartition("/")
        return name if folder == self.folder else ""

    def _by_frame(
        self, frame: PythonFrame, at: FrameAddress, own: FrameAddress | None, future: int
    ) -> TaskAwaits | None:
        """Return what a frame of asyncio waits for; the caller begins with the outermost one."""
        variables = dict(variables_of(self.objects.memory, self.objects.python, at))
        file = self._file(frame)
        if file in _SELF_WAITS and "self" in variables:
            return self._by_self(variables["self"], own)
        if file in _IO or frame.function.startswith("sock_"):
            return TaskAwaits(kind="io", address=future, what=frame.function)
        if frame.function == SHUTDOWN:
            thread = self._jobs.thread_in("_do_shutdown")
            return TaskAwaits(kind="executor", address=future, what=SHUTDOWN, thread=thread)
        if file == "tasks.py" and frame.function == "sleep":
            return TaskAwaits(kind="timer", address=future, what="sleep", limited=True)
        if file == "tasks.py" and frame.function in ("wait_for", "_wait"):
            limit = variables.get("timeout", 0)
            limited = bool(limit) and self.objects.type(limit) != "NoneType"
            inner = variables.get("fut") or variables.get("fs") or variables.get("aw")
            return TaskAwaits(
                kind="tasks",
                address=future,
                what=frame.function.strip("_"),
                tasks=self._pending_tasks(inner) if inner else (),
                limited=limited,
            )
        return None

    def _by_self(self, address: int, own: FrameAddress | None) -> TaskAwaits | None:
        what = self.objects.type(address)
        kind = _OF_TYPE.get(what)
        if kind is None:
            return None
        attributes = self.objects.attributes(address)
        name = self._name(own, address) if own is not None else Name()
        tasks = self._pending_tasks(attributes.get("_tasks", 0)) if kind == "tasks" else ()
        return TaskAwaits(
            kind=kind,
            address=address,
            what=what,
            name=name.text,
            of=name.of,
            tasks=tasks,
            busy=self._busy(kind, attributes),
        )

    def _busy(self, kind: AwaitedKind, attributes: Mapping[str, int]) -> bool:
        if kind == "lock":
            return self.objects.text(attributes["_locked"]) == "True"
        if kind == "semaphore":
            return self.objects.text(attributes["_value"]) == "0"
        return True

    def _by_future(self, own: FrameAddress | None, future: int) -> TaskAwaits:
        name = self._name(own, future) if own is not None else Name()
        what = self.objects.type(future)
        if self._is_task(future):
            return TaskAwaits(
                kind="task", address=future, what=what, name=name.text, of=name.of, tasks=(future,)
            )
        if what == "_GatheringFuture":
            children = self.objects.attributes(future).get("_children", 0)
            return TaskAwaits(
                kind="gather", address=future, what="gather", tasks=self._pending_tasks(children)
            )
        source = self._jobs.concurrent(future)
        if source:
            thread = self._jobs.thread_of(source)
            return TaskAwaits(kind="executor", address=source, what="job", thread=thread)
        return TaskAwaits(kind="future", address=future, what=what, name=name.text, of=name.of)

    def _pending_tasks(self, container: int) -> tuple[int, ...]:
        """Return the pending tasks in a container, or the one task that is given instead.

        Raises:
            Unreadable: A member is pending but is not a task, so what ends it is unknown.
        """
        members = [container] if self._is_future(container) else self.objects.members(container)
        pending = [each for each in members if self._is_future(each) and self._is_pending(each)]
        for each in pending:
            if not self._is_task(each):
                raise Unreadable("it awaits futures, not tasks alone")
        return tuple(sorted(set(pending)))
