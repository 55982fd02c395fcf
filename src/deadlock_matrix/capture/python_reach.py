"""From which threads an object can be reached at all, judging by counts of references.

CPython counts the references to an object. If all of them are found in the frames of some threads,
or in objects whose references have all been found in the same way, nobody else can reach it: only
those threads can ever set the event, put into the queue, or release the lock.

An object is looked into once all references to it are found, and its count is read after the
objects that refer to it. So at that moment nobody else had it; later only those threads can pass it
on. A thread that runs meanwhile is among them, with what its frames showed, or holds a reference
that is missing from the sum.

These references are found: the variables of a frame, what its value stack surely holds, its
function, and what a ``Thread`` object keeps for its own ``run``. The last holds only for the
standard library's own class and its own ``run``: a derived class may well use ``self._args``
itself, and a ``run`` in a file that is merely called ``threading.py`` keeps what it likes. A frame
that somebody may hold as an object (as a traceback or a generator does) counts for nothing, and
neither do those further out. Circles of references,
weak references, and immortal objects are not followed: then the answer is unknown.

For CPython 3.11 to 3.15 with a GIL: before, the caller of a method keeps a reference to its
``self`` on a stack whose depth is unknown. Layouts: ``pycore_frame.h``, ``funcobject.h``,
``cellobject.h``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from deadlock_matrix.capture.frame_variables import FrameAddress, variables_of
from deadlock_matrix.capture.lock_objects import MOST_SLOTS, LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_contents import contents_of, has_weak_references
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_holders import HolderReader
from deadlock_matrix.capture.python_names import attributes_of
from deadlock_matrix.capture.python_thread_names import (
    OWN_OF_THREADS,
    is_plain_thread,
    thread_object,
)
from deadlock_matrix.capture.python_users import Waiters, waits_by_its_lock
from deadlock_matrix.capture.standard_library import folder_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ThreadStack

MOST_THREADS = 128
MOST_OBJECTS = 20_000
MOST_REFERENCES = 1 << 18
_OLDEST = (3, 11)
_THREADING = "/threading.py"
_BEFORE_WITH = {(3, 11): 53, (3, 12): 53, (3, 13): 2}
_TAGS = 3  # a word without them is a counted reference; from 3.14 on
_BY_THREAD, _BY_GENERATOR = 0, 1  # FRAME_OWNED_BY_THREAD, FRAME_OWNED_BY_GENERATOR

_OF_WAITS = ("/threading.py", "/queue.py", "/concurrent/futures/_base.py")


class _Seen(msgspec.Struct):
    found: int = 0
    threads: frozenset[int] = frozenset()
    owned: bool = False


class ReachReader(msgspec.Struct, kw_only=True):
    """Counts references in one process."""

    objects: LockObjects
    fresh: LockObjects  # the same, reread each time: counts and contents change
    holders: HolderReader
    places: tuple[PurePosixPath, ...]  # see `standard_library.places_of`
    source: str
    _seen: dict[int, _Seen] = msgspec.field(default_factory=dict)
    _waiting: list[int] = msgspec.field(default_factory=list)
    _references: int = 0

    def reached(
        self,
        threads: Sequence[PythonThread],
        stacks: Mapping[int, ThreadStack],
        awaited: Collection[int] = (),
    ) -> dict[int, Known[tuple[int, ...]] | Unknown]:
        """Return, by ident, who can reach what a thread waits for, if others wait for the thread.

        Args:
            threads: The process's threads.
            stacks: What was read of each, by its ident.
            awaited: The observer's ids of the threads that somebody outside waits for.
        """
        wanted: dict[int, tuple[int, ...]] = {}
        locks: dict[int, int] = {}
        asked: set[int] = set()
        waiters = Waiters(stacks)
        crowded = len(threads) > MOST_THREADS
        for thread in threads:
            stack = stacks.get(thread.ident)
            if stack is None:
                continue
            if isinstance(stack.waits_for, Known):
                locks[thread.ident] = stack.waits_for.value.address
            waited = stack.tid in awaited or waiters.wait_for(self.objects, thread, stack)
            if crowded and not waited:
                continue  # nothing will be counted
            objects = self._waits_on(thread, stack)
            if objects:
                wanted[thread.ident] = objects
                if waited:
                    asked.add(thread.ident)
        if not asked or crowded:
            reason = unknown(f"{len(threads)} threads: too many to count references")
            return dict.fromkeys(asked, reason)
        every = frozenset(address for objects in wanted.values() for address in objects)
        found = self.reached_by(threads, every, locks)
        answers = {
            ident: _together([found[address] for address in objects], stacks)
            for ident, objects in wanted.items()
        }
        by_tid = {stack.tid: ident for ident, stack in stacks.items()}
        waiting = list(asked)
        while waiting:  # whoever can end such a wait is waited for, too
            answer = answers[waiting.pop()]
            others = answer.or_else(())
            new = {by_tid[tid] for tid in others if by_tid[tid] in wanted} - asked
            asked |= new
            waiting += new
        return {ident: answers[ident] for ident in asked}

    def _waits_on(self, thread: PythonThread, stack: ThreadStack) -> tuple[int, ...]:
        """Return the object without an owner that a thread waits for, with its parts."""
        if isinstance(stack.awaits, Known):
            if not waits_by_its_lock(stack):
                return ()
            own = [self._of_library(frame) for frame, _ in self._frames_of_wait(thread)]
            if not all(own):
                return ()
            try:
                return (stack.awaits.value.address, *self.parts_of_wait(thread))
            except Unreadable:
                return ()
        if isinstance(stack.waits_for, Known) and stack.waits_for.value.kind == "Lock":
            return (stack.waits_for.value.address,)
        return ()

    def reached_by(
        self,
        threads: Sequence[PythonThread],
        wanted: Collection[int],
        locks: Mapping[int, int],
    ) -> dict[int, Known[frozenset[int]] | Unknown]:
        """Return the idents of all threads that can reach each object.

        Args:
            threads: All of the process.
            wanted: Addresses of objects.
            locks: The locks that threads sleep for, by the threads' idents.
        """
        python = self.objects.python
        if python.version < _OLDEST or python.layout.free_threaded:
            reason = "references are not counted in this version of Python"
            return dict.fromkeys(wanted, unknown(reason))
        memory = self.objects.memory
        try:
            own = {thread.ident: thread_object(memory, python, thread) for thread in threads}
            used = Counter(own.values())  # one object may have been used for two threads
            for thread in threads:
                address = own[thread.ident]
                kept = self._kept_by(thread, address) if used[address] == 1 else ()
                if thread.own_tid:
                    for each in (*kept, *self._roots(thread, locks.get(thread.ident, 0))):
                        self._refer(each, frozenset({thread.ident}))
            self._spread()
        except (Unreadable, ValueError) as error:
            return dict.fromkeys(wanted, unknown(f"references to it: {error}"))
        return {address: self._answer(address) for address in wanted}

    def parts_of_wait(self, thread: PythonThread) -> tuple[int, ...]:
        """Return what a wait goes through further in, such as the ``Condition`` of a ``Queue``.

        A ``Condition`` notifies those in its ``_waiters``, which a copy of it shares.

        Raises:
            Unreadable: They cannot be read.
        """
        memory, python = self.objects.memory, self.objects.python
        found: list[int] = []
        for frame, address in self._frames_of_wait(thread):
            own = dict(variables_of(memory, python, address, ("self", "waiter")))
            part = own.get("self", 0)
            found += [part] if part else []
            if "waiter" in own and frame.file.endswith(_THREADING):
                waiters = attributes_of(memory, python, part).get("_waiters", 0) if part else 0
                if not waiters:
                    raise Unreadable("a condition does not show who waits in it")
                found.append(waiters)
        return tuple(found)

    def _frames_of_wait(self, thread: PythonThread) -> Iterator[tuple[PythonFrame, FrameAddress]]:
        """Yield the innermost frames, as far as they may belong to the library's wait."""
        for frame, address in reversed([*zip(thread.frames, thread.addresses, strict=True)]):
            if address is None or not frame.file.endswith(_OF_WAITS):
                break
            if frame.function in ("run", "_bootstrap_inner"):
                break
            yield frame, address

    def _of_library(self, frame: PythonFrame) -> bool:
        """Return whether a frame is in the interpreter's library; others may use its file names."""
        return bool(folder_of(frame.file, self.places))

    def _answer(self, address: int) -> Known[frozenset[int]] | Unknown:
        seen = self._seen.get(address, _Seen())
        if seen.owned and self._count(address) == seen.found:
            return known(
                seen.threads,
                f"{self.source}: all {seen.found} references to the object at {address:#x}",
            )
        return unknown(f"{seen.found} of {self._count(address)} references to it are in frames")

    def _count(self, address: int) -> int:
        return self.fresh.memory.number(address, 4)

    def _refer(self, address: int, threads: frozenset[int], times: int = 1) -> None:
        self._references += 1
        if self._references > MOST_REFERENCES:
            raise Unreadable("too many references in frames")
        seen = self._seen.setdefault(address, _Seen())
        seen.found += times
        seen.threads |= threads
        self._waiting.append(address)

    def _spread(self) -> None:
        """Look into every object whose references are all found, until there is none left."""
        looked_into = 0
        while self._waiting:
            address = self._waiting.pop()
            seen = self._seen[address]
            if seen.owned or self._count(address) != seen.found:
                continue
            looked_into += 1
            if looked_into > MOST_OBJECTS:
                raise Unreadable("too many objects in frames")
            if has_weak_references(self.fresh, address):
                continue
            seen.owned = True
            for content in contents_of(self.fresh, address):
                self._refer(content, seen.threads)

    # --- what a thread holds ----------------------------------------------------------------------

    def _roots(self, thread: PythonThread, slept_for: int) -> Iterator[int]:
        """Yield the counted references that only this thread has, each once."""
        frames = [address for address in thread.addresses if address is not None]
        if len(frames) != len(thread.addresses):
            raise Unreadable("a stack is not readable")
        for frame in reversed(frames):
            if self._is_object(frame) or self._is_of_generator(frame):
                break  # those further out can be reached from it, through f_back
            yield from self._of_frame(frame, slept_for if frame is frames[-1] else 0)

    def _kept_by(self, thread: PythonThread, own: int) -> Iterator[int]:
        """Yield what a thread's ``Thread`` object keeps for its ``run``, while that runs."""
        of_threads = [frame for frame in thread.frames if frame.file.endswith(_THREADING)]
        if (
            not own
            or not is_plain_thread(self.objects, own)
            or not all(map(self._of_library, of_threads))
        ):
            return
        attributes = attributes_of(self.objects.memory, self.objects.python, own)
        kept = {name: attributes[name] for name in OWN_OF_THREADS if name in attributes}
        yield from kept.values()
        if [frame.function for frame in of_threads].count("run") == 1:
            yield from self._on_the_stack_of_run(kept)

    def _on_the_stack_of_run(self, kept: Mapping[str, int]) -> Iterator[int]:
        """Yield what ``self._target(*self._args, **self._kwargs)`` keeps on the stack.

        A call through C keeps the function, and the arguments if they are a tuple. From 3.12 on a
        Python function is called without that, and from 3.14 on the frame says what its stack
        holds.
        """
        python, target = self.objects.python, kept.get("_target", 0)
        if not target or python.version >= (3, 14):
            return
        if python.version >= (3, 12) and self.objects.type(target) == "function":
            return
        yield target
        if self.objects.type(kept.get("_args", 0)) == "tuple":
            yield kept["_args"]

    def _is_object(self, frame: FrameAddress) -> bool:
        """Return whether somebody may hold a frame as an object, as a traceback does."""
        begin = self.objects.python.offsets["interpreter_frame.executable"]
        return self.objects.memory.number(frame.frame + (48 if begin == 0 else 40)) != 0

    def _is_of_generator(self, frame: FrameAddress) -> bool:
        """Return whether it is a generator's or coroutine's: whoever has that can get the frame."""
        owner_at = self.objects.python.offsets["interpreter_frame.owner"]
        return self.objects.memory.number(frame.frame + owner_at, 1) == _BY_GENERATOR

    def _of_frame(self, frame: FrameAddress, lock: int) -> Iterator[int]:
        memory, at = self.objects.memory, self.objects.python.offsets
        begin = at["interpreter_frame.executable"]
        if memory.number(frame.frame + at["interpreter_frame.owner"], 1) != _BY_THREAD:
            return
        function = memory.number(frame.frame + (16 if begin == 0 else 0))
        code = self.objects.code(frame)
        words = [function, *self.objects.words(frame.slots, code.variables)]
        words += self._stack(frame, code.variables)
        yield from (word for word in words if word and not word & _TAGS)
        if lock:
            yield from self._entering(frame, lock)

    def _stack(self, frame: FrameAddress, variables: int) -> tuple[int, ...]:
        """Return the words of the value stack that are surely in use."""
        begin = frame.slots + 8 * variables
        top_at = self.objects.python.offsets.get("interpreter_frame.stackpointer")
        if top_at is not None:
            top = self.objects.memory.number(frame.frame + top_at)
            if begin <= top <= begin + 8 * MOST_SLOTS and not (top - begin) % 8:
                return self.objects.words(begin, (top - begin) // 8) if top > begin else ()
        depth, base = self.holders.depth(frame)
        count = min(depth.slots, MOST_SLOTS)
        return self.objects.words(base, count) if count else ()

    def _entering(self, frame: FrameAddress, lock: int) -> Iterator[int]:
        """Yield the lock of a ``with`` that is being entered, once for each method bound to it.

        Both methods are bound before ``__enter__`` is called, and the stack's own reference is
        given up (``BEFORE_WITH`` in ``Python/bytecodes.c``; 3.14 says what its stack holds). From
        3.12 on the stack still shows the lock meanwhile.
        """
        python = self.objects.python
        number = _BEFORE_WITH.get(python.version)
        at = frame.code + python.offsets["code_object.co_code_adaptive"] + frame.place
        if number is None or self.objects.memory.number(at, 1) != number:
            return
        depth, base = self.holders.depth(frame)
        room = min(self.objects.code(frame).stack_size, MOST_SLOTS)
        words = self.objects.words(base, room)[depth.slots :]
        if words[:1] == (lock,) and python.version >= (3, 12):
            yield from (lock, lock)
            return
        for word in words:
            bound = word and self.objects.type(word) == "builtin_function_or_method"
            if bound and self.objects.is_alive(word) and self.objects.self_of(word) == lock:
                yield from (lock, lock)
                return


def _together(
    found: Sequence[Known[frozenset[int]] | Unknown], stacks: Mapping[int, ThreadStack]
) -> Known[tuple[int, ...]] | Unknown:
    """Return who can reach the object, or a part of it, under the observer's ids."""
    idents: frozenset[int] = frozenset()
    for each in found:
        if not isinstance(each, Known):
            return each
        idents |= each.value
    if not all(ident in stacks for ident in idents):
        return unknown("a thread that can get to it has ended")
    assert isinstance(found[0], Known)
    return known(tuple(sorted(stacks[ident].tid for ident in idents)), found[0].source)
