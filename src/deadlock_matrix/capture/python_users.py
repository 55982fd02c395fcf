"""Who could end a wait for an object that names no owner: the threads that know it.

There are two kinds of answers. Each is good for an assumption, neither for a fact:

- **Users**: the threads in whose frames the object is, as a variable, an attribute of what a
  variable holds, a global that their code can still use, or an attribute of such a global.
- **Workers**: for a ``Future``, the thread that runs its work, or all threads of the pool in whose
  queue the work is (``concurrent/futures/thread.py``).

This is asked only for threads that somebody else waits for: only they can be in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.frame_variables import FrameAddress, variables_of
from deadlock_matrix.capture.later_names import names_ahead
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.native_awaited import descriptor_of
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_names import (
    attributes_of,
    class_attribute_of,
    globals_spoken_of,
    items_of,
)
from deadlock_matrix.capture.python_pools import PoolReader
from deadlock_matrix.capture.python_strings import read_string
from deadlock_matrix.capture.python_thread_names import (
    OWN_OF_THREADS,
    is_plain_thread,
    thread_object,
)
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.stack_facts import Awaited, Enders, How, ThreadStack

MOST_THREADS = 256
MOST_OBJECTS = 2000
"""Of one thread; if it has more, it may know anything."""
MOST_VALUES = 1 << 16
"""That the frames of one thread name, most of them again and again."""
MOST_ITEMS = 256
"""Of a container, such as the arguments of a thread, or a table of all events. Whoever has a longer
one may know anything, unless it begins with as many numbers and texts."""
_ARRAYS, _OTHERS = ("tuple", "list"), ("set", "frozenset", "collections.deque")
_TABLES = ("dict", "collections.defaultdict", "collections.OrderedDict")
_PLAIN = frozenset({"str", "bytes", "float", "complex", "bool", "NoneType"})
"""What nobody needs to look into; nor into an ``int``, which may be a descriptor."""

ENDED_BY_USERS = frozenset(
    {
        *("Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier", "SimpleQueue"),
        *("Queue", "LifoQueue", "PriorityQueue", "Future"),
    }
)


class _TooMuch(Exception):
    """There is more than is searched."""


class _Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What a thread knows; ``all_of_it`` is False if it may know more."""

    addresses: frozenset[int]
    all_of_it: bool


class UserReader(msgspec.Struct, kw_only=True):
    """Reads which thread knows what, in one process."""

    objects: LockObjects
    source: str
    _parts_of: dict[int, _Knowledge] = msgspec.field(default_factory=dict)
    _contents: dict[int, tuple[int, ...] | None] = msgspec.field(default_factory=dict)

    def enders(
        self,
        threads: Sequence[PythonThread],
        stacks: Mapping[int, ThreadStack],
        writers: Mapping[int, frozenset[int]],
    ) -> dict[int, Known[Enders] | Unknown]:
        """Return who could end the wait of each thread for which others wait, by their idents.

        Args:
            threads: Those of the process.
            stacks: What was read of each, by its ident.
            writers: For threads that read a pipe, the descriptors of its write end, by the threads'
                idents.
        """
        pools = PoolReader(objects=self.objects)
        workers = pools.workers(threads)
        waiters = Waiters(stacks)
        wanted = {
            thread.ident: stack.awaits.value
            for thread in threads
            if (stack := stacks.get(thread.ident)) is not None
            and isinstance(stack.awaits, Known)
            and waits_by_its_lock(stack)
            and (thread.ident in workers or waiters.wait_for(self.objects, thread, stack))
        }
        found: dict[int, Known[Enders] | Unknown] = {}
        others: dict[int, Awaited] = {}
        for ident, awaited in wanted.items():
            runners = None
            if awaited.kind == "Future":
                runners = pools.runners(awaited.address, threads, workers)
            if runners is not None:
                found[ident] = self._known(runners.idents, runners.how, stacks)
            else:
                others[ident] = awaited
        pipes = {
            thread.ident: writers[thread.ident]
            for thread in threads
            if thread.ident in writers
            and (stack := stacks.get(thread.ident)) is not None
            and waiters.wait_for(self.objects, thread, stack)
        }
        return found | self._users(others, pipes, threads, stacks)

    def _users(
        self,
        wanted: Mapping[int, Awaited],
        pipes: Mapping[int, frozenset[int]],
        threads: Sequence[PythonThread],
        stacks: Mapping[int, ThreadStack],
    ) -> dict[int, Known[Enders] | Unknown]:
        asking = (*wanted, *pipes)
        if not asking:
            return {}
        if len(threads) > MOST_THREADS:
            return dict.fromkeys(asking, unknown(f"{len(threads)} threads: too many to search"))
        try:
            knows = {thread.ident: self._known_to(thread) for thread in threads if thread.own_tid}
        except (Unreadable, ValueError) as error:
            return dict.fromkeys(asking, unknown(str(error)))
        numbers = {
            ident: self._descriptors(each.addresses) if pipes else frozenset()
            for ident, each in knows.items()
        }
        found: dict[int, Known[Enders] | Unknown] = {}
        for ident in asking:
            awaited = wanted.get(ident)
            users: list[int] = []
            hidden = False
            for other, each in knows.items():
                if other == ident or (awaited and _waits_likewise(stacks.get(other), awaited)):
                    continue
                if awaited:
                    uses = awaited.address in each.addresses
                else:
                    uses = not numbers[other].isdisjoint(pipes[ident])
                if uses:
                    users.append(other)
                elif not each.all_of_it:
                    hidden = True
            found[ident] = (
                unknown("a thread knows more objects than are searched")
                if hidden
                else self._known(users, "users", stacks)
            )
        return found

    def _descriptors(self, addresses: Iterable[int]) -> frozenset[int]:
        """Return the numbers among the objects that a thread knows, and files' descriptors."""
        found: set[int] = set()
        for address in addresses:
            try:
                found.add(descriptor_of(self.objects, address))
            except (Unreadable, ValueError):
                continue
        return frozenset(found)

    def _known(
        self, idents: Collection[int], how: How, stacks: Mapping[int, ThreadStack]
    ) -> Known[Enders] | Unknown:
        if not all(ident in stacks for ident in idents):
            return unknown("one of the threads that know it has ended")
        tids = tuple(sorted(stacks[ident].tid for ident in idents))
        return known(Enders(threads=tids, how=how), self.source)

    # --- what a thread knows ---------------------------------------------------------------------

    def _known_to(self, thread: PythonThread) -> _Knowledge:
        """Return the addresses of all objects in a thread's frames."""
        found: set[int] = set()
        opened: set[int] = set()
        all_of_it = True
        left = MOST_VALUES
        own = thread_object(self.objects.memory, self.objects.python, thread)
        for frame, address in zip(thread.frames, thread.addresses, strict=True):
            if address is None:
                raise Unreadable("a stack is not readable")
            for value in self._spoken_of(frame.function, address):
                left -= 1
                content = self._content(value)
                all_of_it &= content is not None
                for each in (value, *(content or ())):
                    if each not in opened:
                        opened.add(each)
                        parts = self._parts(each, own)
                        found |= {each, *parts.addresses}
                        all_of_it &= parts.all_of_it
                    if len(found) > MOST_OBJECTS or not left:
                        return _Knowledge(addresses=frozenset(found), all_of_it=False)
        return _Knowledge(addresses=frozenset(found), all_of_it=all_of_it)

    def _spoken_of(self, function: str, frame: FrameAddress) -> Iterator[int]:
        memory, python = self.objects.memory, self.objects.python
        for _, value in variables_of(memory, python, frame):
            yield value
        ahead = self._ahead(frame) if function == "<module>" else None
        for _, value in globals_spoken_of(memory, python, frame, ahead):
            yield value

    def _ahead(self, frame: FrameAddress) -> frozenset[int] | None:
        """Return the numbers of the names that a module's code can still use."""
        try:
            code = self.objects.bytecode(frame.code)
        except Unreadable:
            return None
        return names_ahead(code, frame.place, self.objects.python.version)

    def _content(self, address: int) -> tuple[int, ...] | None:
        """Return what a method is bound to, or what a container has; None if it has too much."""
        if address not in self._contents:
            try:
                self._contents[address] = self._read_content(address)
            except _TooMuch:
                self._contents[address] = None
            except Unreadable:
                self._contents[address] = ()
        return self._contents[address]

    def _read_content(self, address: int) -> tuple[int, ...]:
        kind = self.objects.type(address)
        if kind in ("method", "builtin_function_or_method"):
            return (self.objects.self_of(address),)
        most = 2 * MOST_ITEMS if kind in _TABLES else MOST_ITEMS  # keys and values
        try:
            first = tuple(islice(self._items(address, kind), most + 1))
        except Unreadable as error:
            raise _TooMuch from error
        kinds = [self.objects.type(each) for each in first]
        if len(first) > most:
            if _PLAIN.issuperset({*kinds} - {"int"}):
                return ()
            raise _TooMuch
        return tuple(each for each, of in zip(first, kinds, strict=True) if of not in _PLAIN)

    def _items(self, address: int, kind: str) -> Iterator[int]:
        memory, python = self.objects.memory, self.objects.python
        header = address + python.layout.header
        if kind in _TABLES:
            for pair in items_of(memory, python, address):
                yield from pair
        elif kind in _ARRAYS:
            count = min(memory.number(header), MOST_ITEMS + 1)
            if kind == "list":
                begin = memory.number(header + 8)
            else:  # from 3.14 on a hash precedes the first item
                begin = header + (16 if python.version >= (3, 14) else 8)
            yield from self.objects.words(begin, count) if count else ()
        elif kind in _OTHERS:
            yield from Objects(memory=memory, python=python).members(address)

    def _parts(self, address: int, own: int) -> _Knowledge:
        """Return the values of an instance's own attributes.

        Nobody but the thread itself uses what a ``Thread`` object keeps for its ``run``.
        """
        if address == own:
            return self._read_parts(address, ())
        if address not in self._parts_of:
            self._parts_of[address] = self._read_parts(address, self._private_in(address))
        return self._parts_of[address]

    def _private_in(self, address: int) -> tuple[str, ...]:
        memory, python = self.objects.memory, self.objects.python
        if self.objects.type(address) != "Thread":
            return ()
        try:
            if not is_plain_thread(self.objects, address):
                return ()
            kind = memory.number(address + python.layout.type_at)
            module = class_attribute_of(memory, python, kind, "__module__")
            of_library = read_string(memory, python.layout, module) == "threading"
        except (Unreadable, ValueError):
            return ()
        return OWN_OF_THREADS if of_library else ()

    def _read_parts(self, address: int, without: Collection[str]) -> _Knowledge:
        memory, python = self.objects.memory, self.objects.python
        try:
            own = attributes_of(memory, python, address)
            values = [value for name, value in own.items() if name not in without]
            parts, all_of_it = set(values), True
            for part in values:
                if len(parts) > MOST_OBJECTS:
                    return _Knowledge(addresses=frozenset(parts), all_of_it=False)
                content = self._content(part)
                parts.update(content or ())
                all_of_it &= content is not None
                if self.objects.type(part).endswith("Connection"):
                    # It keeps the number of its descriptor.
                    parts.update(attributes_of(memory, python, part).values())
            return _Knowledge(addresses=frozenset(parts), all_of_it=all_of_it)
        except (Unreadable, ValueError):
            return _Knowledge(addresses=frozenset(), all_of_it=True)


class Waiters:
    """The threads of a process by what they wait for."""

    def __init__(self, stacks: Mapping[int, ThreadStack]) -> None:
        """Take ``stacks``: what was read of each thread, by its ident."""
        self._for_lock: defaultdict[int, set[int]] = defaultdict(set)
        self._for_owner: defaultdict[int, set[int]] = defaultdict(set)
        self._for_object: defaultdict[int, set[int]] = defaultdict(set)
        for ident, stack in stacks.items():
            if isinstance(stack.waits_for, Known):
                lock = stack.waits_for.value
                self._for_lock[lock.address].add(ident)
                if isinstance(lock.owner, Known):
                    self._for_owner[lock.owner.value].add(ident)
            if isinstance(stack.awaits, Known):
                self._for_object[stack.awaits.value.address].add(ident)

    def wait_for(self, objects: LockObjects, thread: PythonThread, stack: ThreadStack) -> bool:
        """Return whether another thread waits for a lock that this one has, or for its end."""
        held = stack.holds.or_else(())
        own = thread_object(objects.memory, objects.python, thread)
        sets = [self._for_owner.get(stack.tid), *(self._for_lock.get(h.address) for h in held)]
        sets.append(self._for_object.get(own) if own else None)
        return any(each - {thread.ident} for each in sets if each)


def waits_by_its_lock(stack: ThreadStack) -> bool:
    """Return whether a thread waits for such an object, and sleeps on the very lock of that wait.

    Its frames alone do not show that: a debugger, a profiler or a destructor may hold it up there.
    """
    if not isinstance(stack.awaits, Known) or stack.awaits.value.kind not in ENDED_BY_USERS:
        return False
    if isinstance(stack.waits_for, Known):
        return True
    # A SimpleQueue of C was found by its futex, and has no other lock and no frames.
    in_library = bool(stack.python) and stack.python[-1].file.endswith(
        ("/queue.py", "/threading.py")
    )
    return stack.awaits.value.kind == "SimpleQueue" and not in_library


def _waits_likewise(stack: ThreadStack | None, awaited: Awaited) -> bool:
    """Return whether a thread waits for the same in the same way, and so will not end that wait."""
    if stack is None or not isinstance(stack.awaits, Known):
        return False
    own = stack.awaits.value
    return (own.address, own.action) == (awaited.address, awaited.action)
