"""The event loops of asyncio in a process, and their tasks, read from its memory alone.

Every way to the tasks begins at a frame of asyncio that runs a loop. Its globals include the module
``asyncio.tasks``. Up to 3.13 that has a ``WeakSet`` of all tasks (``_all_tasks``, from 3.12 on
``_scheduled_tasks``). From 3.14 on tasks are in a ring that passes through the state of the thread
(``_PyThreadStateImpl.asyncio_tasks_head``), and tasks of threads that have ended in one that passes
through the state of the interpreter. The module ``_asyncio`` says where
(``_Py_AsyncioModuleDebugOffsets``, to which its state has a pointer).

A loop that runs meanwhile changes all this. So tasks are read twice, and `Task.steady` says for
which of them nothing had changed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import msgspec

from deadlock_matrix.capture.asyncio_awaits import AwaitsReader
from deadlock_matrix.capture.asyncio_coroutines import Chain, chain_of
from deadlock_matrix.capture.asyncio_layout import (
    NODE_BEHIND_WAITS_FOR,
    PENDING,
    TaskLayout,
    layout_of_tasks,
)
from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.asyncio_references import ReferenceReader
from deadlock_matrix.capture.frame_variables import Interpreter, variables_of
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_names import global_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.tasks import EventLoop, Task

MOST_TASKS = 20_000
_RUNNERS = ("/asyncio/base_events.py", "/asyncio/runners.py")
_RUNNING_MODULES = ("asyncio.base_events", "asyncio.runners")
_RUNS = ("run_forever", "run_until_complete")
_MOST_STATE = 64  # words of a module's state, and of a module
_TASK = "_asyncio.Task"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A thread that runs a loop: the loop, and the module ``asyncio.tasks``."""

    thread: PythonThread
    loop: int
    module: int
    folder: str  # of asyncio, as its frames spell it
    main: int  # the future that the loop runs until it is done, or 0


def read_loops(
    memory: Memory,
    python: Interpreter,
    threads: tuple[PythonThread, ...],
    tids: Mapping[int, int],
    source: str,
) -> Known[tuple[EventLoop, ...]] | Unknown:
    """Return all loops that run, with their tasks.

    Args:
        memory: The process's memory.
        python: Its interpreter.
        threads: Its threads.
        tids: From the process's own thread ids to the observer's.
        source: Where it is read, in words.
    """
    candidates = [thread for thread in threads if _runs_a_loop(thread)]
    if not candidates:
        return known((), f"{source}: no thread runs a loop of asyncio")
    if python.layout.free_threaded:
        return unknown("those of asyncio are not read in a free-threaded build")
    layout = layout_of_tasks(python.version)
    if layout is None:
        return unknown("it is not known where this version of Python keeps those of asyncio")
    objects = Objects(memory=memory, python=python)
    try:
        running = [each for thread in candidates for each in _running(objects, thread)]
        if not running:
            return unknown("no loop of asyncio is found in the frames that run one")
        reader = _Reader(objects=objects, layout=layout, threads=threads, tids=tids)
        return known(tuple(reader.loops(running)), source)
    except (Unreadable, struct.error, KeyError) as error:
        return unknown(f"those of asyncio: {error}")


def _runs_a_loop(thread: PythonThread) -> bool:
    return bool(thread.own_tid) and any(frame.file.endswith(_RUNNERS) for frame in thread.frames)


def _running(objects: Objects, thread: PythonThread) -> Iterator[Running]:
    """Find the innermost loop that a thread runs; one in C has no frame of ``run_forever``."""
    module = loop = main = 0
    folder = ""
    for frame, address in zip(thread.frames, thread.addresses, strict=True):
        if address is None or not frame.file.endswith(_RUNNERS):
            continue
        name = global_of(objects.memory, objects.python, address, "__name__")
        if not name or objects.string(name) not in _RUNNING_MODULES:
            continue  # another package has files of the same names
        folder = frame.file.rpartition("/")[0]
        module = module or global_of(objects.memory, objects.python, address, "tasks")
        if frame.function in _RUNS and frame.file.endswith("/base_events.py"):
            wanted = ("self", "future")
            found = dict(variables_of(objects.memory, objects.python, address, wanted))
            loop, main = found.get("self", loop), found.get("future", main)
        elif frame.function == "run" and not loop:
            found = dict(variables_of(objects.memory, objects.python, address, ("self", "loop")))
            loop = found.get("loop", 0)
            if not loop and "self" in found:
                loop = objects.attributes(found["self"]).get("_loop", 0)
    if loop and module:
        yield Running(thread=thread, loop=loop, module=module, folder=folder, main=main)


class _Reader(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    layout: TaskLayout
    threads: tuple[PythonThread, ...]
    tids: Mapping[int, int]

    def loops(self, running: list[Running]) -> Iterator[EventLoop]:
        chains = {address: self._chain(address) for address in self._pending(running)}
        awaits = AwaitsReader(
            objects=self.objects,
            layout=self.layout,
            folder=running[0].folder,
            threads=self.threads,
            tids=self.tids,
            references=ReferenceReader(
                objects=self.objects,
                layout=self.layout,
                chains={at: each for at, each in chains.items() if isinstance(each, Chain)},
            ),
        )
        by_loop: dict[int, list[Task]] = {each.loop: [] for each in running}
        for address, chain in chains.items():
            name = self._name(address)
            loop = self.objects.word(address + self.layout.loop)
            by_loop.setdefault(loop, []).append(
                awaits.task(address, name, chain)
                if isinstance(chain, Chain)
                else Task(address=address, name=name, frames=(), awaits=chain)
            )
        threads = {each.loop: self.tids.get(each.thread.own_tid, 0) for each in running}
        mains = {each.loop: each.main for each in running}
        for loop, tasks in by_loop.items():
            yield EventLoop(
                address=loop,
                what=self.objects.type(loop),
                tid=threads.get(loop, 0),
                main=mains.get(loop, 0),
                tasks=tuple(sorted(tasks, key=lambda task: task.address)),
            )

    def _pending(self, running: list[Running]) -> Iterator[int]:
        """Yield all tasks that are not done, each once."""
        for address in dict.fromkeys(self._addresses(running)):
            if not self.objects.descends_from(address, _TASK):
                continue
            if self.objects.memory.number(address + self.layout.state, 4) == PENDING:
                yield address

    def _chain(self, task: int) -> Chain | Unknown:
        objects, layout = self.objects, self.layout
        try:
            return chain_of(objects, objects.word(task + layout.coroutine))
        except (Unreadable, KeyError) as error:
            return unknown(f"its coroutine is not readable: {error}")

    def _name(self, address: int) -> str:
        """Return a task's name; from 3.12 on, an unnamed task has a number until somebody asks."""
        try:
            name = self.objects.word(address + self.layout.name)
            if self.objects.type(name) == "int":
                return f"Task-{self.objects.text(name)}"
            return self.objects.string(name)
        except Unreadable:
            return ""

    # --- all tasks ------------------------------------------------------------------------------

    def _addresses(self, running: list[Running]) -> Iterator[int]:
        module = self.objects.word(running[0].module + self.objects.python.layout.header)
        names = self.objects.entries(module)
        weak = names.get("_all_tasks") or names.get("_scheduled_tasks")
        if self.objects.python.version < (3, 14):
            if not weak:
                raise Unreadable("asyncio.tasks has no set of all tasks")
        else:
            yield from self._in_rings(names)
        if weak:
            yield from self._in_weak_set(weak)

    def _in_weak_set(self, weak: int) -> Iterator[int]:
        if self.objects.type(weak) != "WeakSet":
            raise Unreadable("the set of all tasks is no WeakSet")
        header = self.objects.python.layout.header
        for reference in self.objects.members(self.objects.attributes(weak)["data"]):
            if self.objects.type(reference) in ("ReferenceType", "weakref"):
                task = self.objects.word(reference + header)
                if self.objects.type(task) != "NoneType":
                    yield task

    def _in_rings(self, names: Mapping[str, int]) -> Iterator[int]:
        heads = self._heads(names)
        for thread in self.threads:
            yield from self._in_ring(thread.state + heads[0])
        for interpreter in {thread.interpreter for thread in self.threads}:
            yield from self._in_ring(interpreter + heads[1])

    def _in_ring(self, head: int) -> Iterator[int]:
        """Walk the ring forwards; each node must name the one before it, the last one the head."""
        back = NODE_BEHIND_WAITS_FOR + self.layout.waits_for
        before, at = head, self.objects.word(head)
        for _ in range(MOST_TASKS):
            if self.objects.word(at + 8) != before:
                raise Unreadable("the ring of tasks was changed while it was read")
            if at == head:
                return
            yield at - back
            before, at = at, self.objects.word(at)
        raise Unreadable(f"more than {MOST_TASKS} tasks")

    def _heads(self, names: Mapping[str, int]) -> tuple[int, int]:
        """Return where the rings begin in the states of a thread and of the interpreter.

        ``_Py_AsyncioModuleDebugOffsets`` holds: for a task its size and six offsets; for the
        interpreter its size and the ring; for a thread its size, running loop, running task, and
        the ring.
        """
        function = names.get("current_task", 0)
        header = self.objects.python.layout.header
        if self.objects.type(function) != "builtin_function_or_method":
            raise Unreadable("asyncio does not use its module in C")
        module = self.objects.word(function + header + 8)
        if self.objects.type(module) != "module":
            raise Unreadable("no module _asyncio")
        for state in self._pointers(module + header, 8):
            for place in self._pointers(state, _MOST_STATE):
                found = self._offsets_at(place)
                if found is not None:
                    return found
        raise Unreadable("the module _asyncio does not tell where tasks are")

    def _pointers(self, address: int, most: int) -> Iterator[int]:
        """Yield words of memory that could be addresses."""
        for at in range(most):
            try:
                word = self.objects.word(address + 8 * at)
            except Unreadable:
                return
            if word > 1 << 16 and word % 8 == 0 and word < 1 << 47:
                yield word

    def _offsets_at(self, place: int) -> tuple[int, int] | None:
        try:
            words = struct.unpack("<13Q", self.objects.memory.read(place, 104))
        except Unreadable:
            return None
        size, name, awaited_by, _, _, coroutine, node, interpreter, ring, *of_thread = words
        layout = self.layout
        expected = (layout.size, layout.name, layout.coroutine)
        if (size, name, coroutine) != expected or awaited_by >= size:
            return None
        if node != layout.waits_for + NODE_BEHIND_WAITS_FOR or not ring < interpreter < 1 << 24:
            return None
        return (of_thread[3], ring) if of_thread[3] < of_thread[0] < 1 << 20 else None


def with_steady(
    first: Known[tuple[EventLoop, ...]] | Unknown, second: Known[tuple[EventLoop, ...]] | Unknown
) -> Known[tuple[EventLoop, ...]] | Unknown:
    """Return the second reading, with tasks that look the same as in the first marked as steady."""
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        return second
    before = {task.address: task for loop in first.value for task in loop.tasks}
    loops = tuple(
        msgspec.structs.replace(
            loop,
            tasks=tuple(
                msgspec.structs.replace(task, steady=before.get(task.address) == task)
                for task in loop.tasks
            ),
        )
        for loop in second.value
    )
    return known(loops, second.source)
