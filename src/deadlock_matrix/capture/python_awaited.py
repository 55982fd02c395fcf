"""What a thread waits for in its program's own terms: an event, a queue, a future, another thread.

All of these are classes of the standard library that end in a lock made for one wait. So the frames
tell which it is: starting at the innermost one and going outwards, those of the classes below,
whose ``self`` has such a type. The outermost of them counts, because a ``Queue`` waits through its
``Condition``. Its name comes from the frame that called it (`frame_names`), its state from its
attributes.

What is written in C has no frame of its own. A ``SimpleQueue``, a ``SemLock`` of
``multiprocessing`` and a buffered file are found like a lock (`python_locks`): among the words of
the innermost frame, and by the futex on which the thread sleeps.

This is for readers only: a thread that sleeps all the time shows the truth, and no proof rests on
names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from deadlock_matrix.capture.frame_names import name_in_frame, name_of_wrapper
from deadlock_matrix.capture.frame_variables import FrameAddress, variables_of
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.native_awaited import NativeAwaited, native_awaited
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_locks import THREADING
from deadlock_matrix.capture.python_names import attributes_of, globals_spoken_of
from deadlock_matrix.capture.python_objects import base_names
from deadlock_matrix.capture.python_states import state_of
from deadlock_matrix.capture.python_values import text_of_value
from deadlock_matrix.capture.python_waits import IDENT_BEFORE_EVENT
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import POOL_RESULTS, Awaited, QueueSeen

_QUEUES = ("Queue", "LifoQueue", "PriorityQueue", "_PySimpleQueue")
_SHARED = ("RLock", "Lock", "BoundedSemaphore", "Semaphore", "SemLock")

_OF_CONNECTIONS = (
    *("recv", "recv_bytes", "recv_bytes_into", "_recv_bytes", "_recv", "poll", "_poll"),
    *("send", "send_bytes", "_send_bytes", "_send"),
)

_CLASSES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "/threading.py": {
        "wait": ("Condition", "Event", "Barrier"),
        "wait_for": ("Condition",),
        "_wait": ("Barrier",),
        "_enter": ("Barrier",),
        "acquire": ("BoundedSemaphore", "Semaphore"),
        "join": ("Thread",),
        "_wait_for_tstate_lock": ("Thread",),
    },
    "/queue.py": {"get": _QUEUES, "put": _QUEUES, "join": _QUEUES},
    "/concurrent/futures/_base.py": {"result": ("Future",), "exception": ("Future",)},
    "/multiprocessing/pool.py": dict.fromkeys(("wait", "get", "next"), POOL_RESULTS),
    "/multiprocessing/queues.py": {
        "get": ("JoinableQueue", "Queue", "SimpleQueue"),
        "put": ("JoinableQueue", "Queue", "SimpleQueue"),
        "join": ("JoinableQueue",),
    },
    "/multiprocessing/connection.py": dict.fromkeys(_OF_CONNECTIONS, ("Connection",)),
    "/multiprocessing/synchronize.py": {
        "__enter__": _SHARED,
        "acquire": _SHARED,
        "wait": ("Condition", "Event"),
        "wait_for": ("Condition",),
    },
    "/multiprocessing/process.py": {"join": ("BaseProcess",)},
    "/subprocess.py": dict.fromkeys(
        ("wait", "_wait", "communicate", "_communicate", "_try_wait"), ("Popen",)
    ),
}  # fmt: skip
"""Functions that wait for what their ``self`` stands for, by the end of their file's path."""

_WITHIN = {"/multiprocessing/popen_fork.py", "/multiprocessing/connection.py", "/selectors.py"}
"""Files whose other frames lead from a wait to the system call in which it ends."""

_SHARED_FILES = ("/multiprocessing/synchronize.py", "/multiprocessing/queues.py")
_ANSWERS = frozenset({"Future", "Event", "Condition", "Queue", "SimpleQueue"})
"""What a thread waits for after asking something; we look for where the question went."""

MOST_ITEMS = 1 << 32
RESULT_HANDLER_ENDED = "the pool's thread that hands results over has ended"
_SPEAKING = {"_PySimpleQueue": "SimpleQueue", "BaseProcess": "Process"}


class AwaitedReader(msgspec.Struct, kw_only=True):
    """Reads what the threads of one process wait for."""

    objects: LockObjects
    tids: Mapping[int, int]  # from Python's idents to the observer's ids; 0: has ended
    alive: Collection[int]  # the ``Thread`` objects of the threads that run
    source: str
    _bases: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def awaited(self, thread: PythonThread, word: int, lock: int) -> Known[Awaited] | Unknown:
        """Return the object that a thread waits for.

        Args:
            thread: The thread.
            word: The futex it sleeps on; 0 if it sleeps elsewhere.
            lock: The Python lock for which it sleeps; 0 if it sleeps for none.
        """
        try:
            found = self._at_exit(thread, word, lock)
            if found is None and (not lock or self._is_for_notice(thread, lock)):
                found = self._by_frames(thread)
            found = found or self._native(thread, word)
            if found is not None and found.kind == "Thread" and word:
                joined = self._thread_joined(found.address, word, lock)
                found = replace(found, owner=joined)
        except (Unreadable, ValueError, KeyError) as error:
            return unknown(str(error))
        if found is None:
            return unknown("no frame of its stack waits for an object that is known here")
        return known(replace(found, semaphore=self._file_of(word)), self.source)

    def _at_exit(self, thread: PythonThread, word: int, lock: int) -> Awaited | None:
        """Return the thread whose end the interpreter waits for before it ends itself.

        ``threading._shutdown`` waits on what a ``join`` would wait on, one thread after the other.
        """
        frame = thread.frames[-1] if thread.frames else None
        if not word or frame is None or frame.function != "_shutdown":
            return None
        if not frame.file.endswith(THREADING):
            return None
        for each in self.alive:
            own = attributes_of(self.objects.memory, self.objects.python, each) if each else {}
            if self._is_beside(own, word, lock):
                return self._told("Thread", "_shutdown", each, frame, None)
        return None

    def _is_beside(self, thread: Mapping[str, int], word: int, lock: int) -> bool:
        """Return whether a thread sleeps for the end of the thread with these attributes."""
        memory, python = self.objects.memory, self.objects.python
        if python.version < (3, 13):
            return bool(lock) and thread.get("_tstate_lock") == lock
        ident = memory.number(memory.number(word - 8) - IDENT_BEFORE_EVENT)
        return bool(ident) and self._ident_in(thread) == ident

    def _ident_in(self, thread: Mapping[str, int]) -> int:
        """Return the ident that a ``Thread`` object has noted, or 0."""
        if "_ident" not in thread:
            return 0
        python = self.objects.python
        tagged = python.version >= (3, 12)
        text = text_of_value(self.objects.memory, python.layout, thread["_ident"], tagged)
        return int(text) if text.isdigit() else 0

    def _file_of(self, word: int) -> str:
        """Return the file in which a futex lies, if processes share it."""
        try:
            mapping = self.objects.memory.maps.find(word) if word else None
        except OSError:
            return ""
        return mapping.path if mapping and mapping.permissions.endswith("s") else ""

    def _is_for_notice(self, thread: PythonThread, lock: int) -> bool:
        """Return whether a lock was made for this one wait, or for the end of a thread.

        Otherwise the thread wants the lock itself, such as that of a queue.
        """
        if not thread.addresses or thread.addresses[-1] is None:
            return False
        if thread.frames[-1].function in ("join", "_wait_for_tstate_lock"):
            return True
        own = variables_of(
            self.objects.memory, self.objects.python, thread.addresses[-1], ("waiter",)
        )
        return any(value == lock for _, value in own)

    def _by_frames(self, thread: PythonThread) -> Awaited | None:
        """Find the outermost frame of a known class, going out from the innermost frame."""
        found: tuple[tuple[str, str, int], int] | None = None
        stack = list(zip(thread.frames, thread.addresses, strict=True))
        for at in range(len(stack) - 1, -1, -1):
            frame, address = stack[at]
            if address is None:
                break
            waited = self._class_at(frame, address)
            if waited is not None:
                found = waited, at
            elif not any(frame.file.endswith(end) for end in _WITHIN):
                break
        if found is None:
            return None
        (kind, action, of), at = found
        caller, where = stack[max(at - 1, 0)]
        shared = stack[at][0].file.endswith(_SHARED_FILES)
        return self._told(kind, action, of, caller, where, shared=shared)

    def _class_at(self, frame: PythonFrame, at: FrameAddress) -> tuple[str, str, int] | None:
        """Return class, function and address of what a frame waits for."""
        for end, functions in _CLASSES.items():
            if frame.function in functions and frame.file.endswith(end):
                wanted = functions[frame.function]
                for address in self._self_of(at):
                    name = next((each for each in self._names(address) if each in wanted), "")
                    if name:
                        return _SPEAKING.get(name, name), frame.function, address
        return None

    def _self_of(self, at: FrameAddress) -> Iterator[int]:
        for _, value in variables_of(self.objects.memory, self.objects.python, at, ("self",)):
            yield value

    def _names(self, address: int) -> tuple[str, ...]:
        """Return the names of an object's class and its bases."""
        memory, layout = self.objects.memory, self.objects.python.layout
        kind = memory.number(address + layout.type_at)
        if kind not in self._bases:
            self._bases[kind] = base_names(memory, layout, kind)
        return self._bases[kind]

    def _native(self, thread: PythonThread, word: int) -> Awaited | None:
        if not word or not thread.addresses or thread.addresses[-1] is None:
            return None
        found = native_awaited(self.objects, thread.addresses[-1], word)
        if found is None:
            return None
        return self._of_native(thread, found)

    def _of_native(self, thread: PythonThread, found: NativeAwaited) -> Awaited:
        frame, where = thread.frames[-1], thread.addresses[-1]
        told = self._told(found.kind, found.action, found.address, frame, where)
        if not found.owner:
            return told
        owner = known(
            self.tids.get(found.owner, 0), f"{self.source}: owner of the file at {found.address:#x}"
        )
        return replace(told, owner=owner)

    def _told(
        self,
        kind: str,
        action: str,
        address: int,
        caller: PythonFrame,
        where: FrameAddress | None,
        *,
        shared: bool = False,
    ) -> Awaited:
        memory, python = self.objects.memory, self.objects.python
        name = None
        if where is not None and kind.startswith("multiprocessing."):
            name = name_of_wrapper(memory, python, where, address, "_semlock")
        # `Thread.run` only calls what it was given: it has no name for what that waits for.
        begins = caller.function == "run" and caller.file.endswith(THREADING)
        if where is not None and not begins and (name is None or not name.text):
            name = name_in_frame(memory, python, where, (address,))
        try:
            attributes = attributes_of(memory, python, address)
            detail = state_of(self.objects, kind, action, attributes)
            if kind in POOL_RESULTS:
                detail = self._pool_of(attributes)
        except Unreadable:
            detail = ""
        return Awaited(
            kind=f"multiprocessing.{kind}" if shared else kind,
            action=action,
            address=address,
            name=name.text if name else "",
            of=name.of if name else "",
            function=caller.function,
            file=caller.file,
            line=caller.line,
            detail=detail,
            filled=tuple(self._filled(where, address)) if where and kind in _ANSWERS else (),
        )

    def _thread_joined(self, address: int, word: int, lock: int) -> Known[int] | Unknown:
        """Return the thread whose end a ``join`` waits for, even if it is the main thread.

        Up to 3.12 that end releases ``_tstate_lock`` of the ``Thread`` object, beside which the
        thread has noted its ident. From 3.13 on the ident precedes the event that is waited for
        (`python_waits`). An ident is not reused before its thread has ended.

        Raises:
            Unreadable: It cannot be read.
        """
        memory, python = self.objects.memory, self.objects.python
        if python.version >= (3, 13):
            ident = memory.number(memory.number(word - 8) - IDENT_BEFORE_EVENT)
        else:
            own = attributes_of(memory, python, address)
            if not lock or own.get("_tstate_lock") != lock:
                return unknown("it waits for another thread that the object was used for")
            ident = self._ident_in(own)
        tid = self.tids.get(ident, 0)
        if not tid:
            return unknown("the thread that it waits for is not told")
        return known(tid, f"{self.source}: the ident of the Thread object at {address:#x}")

    def _pool_of(self, attributes: Mapping[str, int]) -> str:
        """Say so if the pool's thread that would deliver the result has ended; else return "".

        Raises:
            Unreadable: The pool cannot be read.
        """
        pool = attributes.get("_pool", 0)
        own = attributes_of(self.objects.memory, self.objects.python, pool) if pool else {}
        handler = own.get("_result_handler", 0)
        return RESULT_HANDLER_ENDED if handler and handler not in self.alive else ""

    def _filled(self, where: FrameAddress, awaited: int) -> Iterator[QueueSeen]:
        """Yield the queues that a frame knows and that have something in them."""
        memory, python = self.objects.memory, self.objects.python
        try:
            known_here = [*variables_of(memory, python, where)]
            known_here += globals_spoken_of(memory, python, where)
        except (Unreadable, KeyError):
            return
        for name, address in known_here:
            try:
                if address == awaited or not set(self._names(address)) & set(_QUEUES):
                    continue
                own = attributes_of(memory, python, address)
                items = own.get("queue", 0)
                count = memory.number(items + python.layout.header) if items else 0
            except Unreadable:
                continue
            if 0 < count < MOST_ITEMS:
                yield QueueSeen(kind="Queue", address=address, name=name, items=count)
