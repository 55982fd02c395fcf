"""Whether only certain tasks have a reference to what one of them awaits.

Whoever sets an event, puts into a queue or completes a future must have a reference to it. This
follows the references that the frames of tasks hold, through cells, containers, closures, bound
methods and instances' attributes. If it finds as many as the object's reference count says, and the
same is true of each object on the way, then no other code has one: no thread, no callback, no
global. The dictionary of an instance is an object on the way, too: whoever has it, by ``vars`` or
as an instance that shares it, has the attributes. An object with weak references does not qualify:
whoever has a weak one has the object too.

This is a small piece of what a garbage collector does, the other way round (``Python/gc.c``). What
is not understood leaves a reference uncounted, and the answer is then "others may have one". A loop
that runs meanwhile may spoil it, so no proof by facts rests on this.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Iterable, Iterator

import msgspec

from deadlock_matrix.capture.asyncio_coroutines import Chain, stack_top
from deadlock_matrix.capture.asyncio_layout import TaskLayout
from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.frame_variables import FrameAddress
from deadlock_matrix.capture.memory import Unreadable

MOST_OBJECTS = 20_000
MOST_REFERENCES = 1 << 20
"""Of all objects together, and of those that are gone through again for the answers."""
MOST_SLOTS = 1 << 12
MOST_TASKS = 64
"""Tasks that know an object; if there are more, they count as others."""

_UNCOUNTED = 3  # bits of a word that is not a reference, or not a counted one (from 3.14 on)
_MOST_COUNTED = 1 << 30  # a larger count is not one: the object is immortal
_FLAGS_AT, _WEAK_LIST_AT = 168, 208  # in a type object, of builds with a GIL
_MANAGED_WEAK_REFERENCES, _BEFORE_HEADER = 1 << 3, 32
_CONTAINERS = frozenset({"tuple", "list", "set", "deque"})
_NOT_FOLLOWED = frozenset({"str", "int", "float", "bool", "NoneType", "bytes", "type", "module",
                           "code", "builtin_function_or_method", "Context"})  # fmt: skip


class Referrers(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks that have references to an object, and whether others may."""

    tasks: tuple[int, ...]
    others: bool


class ReferenceReader(msgspec.Struct, kw_only=True):
    """The references that the tasks of one process hold, followed when first asked for."""

    objects: Objects
    layout: TaskLayout
    chains: dict[int, Chain]  # by task
    _into: dict[int, Counter[int]] | None = None  # by object: who refers to it, how often
    _followed: set[int] = msgspec.field(default_factory=set)
    _answers: dict[int, Referrers] = msgspec.field(default_factory=dict)
    _references: int = 0
    _steps: int = 0

    def referrers(self, address: int) -> Referrers:
        """Return who refers to an object."""
        if address not in self._answers:
            self._answers[address] = self._referrers(address)
        return self._answers[address]

    def _referrers(self, address: int) -> Referrers:
        if self._into is None:
            self._into = {}
            self._follow_all()
        tasks: set[int] = set()
        seen = {address}
        waiting = [address]
        while waiting:
            at = waiting.pop()
            if at in self.chains:  # the frames of a task: its own
                tasks.add(at)
                continue
            into = self._into.get(at, Counter())
            self._steps += 1 + len(into)
            if self._steps > MOST_REFERENCES:
                return Referrers(tasks=(), others=True)
            if self._count(at) != into.total() or self._has_weak_ones(at):
                return Referrers(tasks=(), others=True)
            new = [each for each in into if each not in seen]
            seen.update(new)
            waiting += new
        if len(tasks) > MOST_TASKS:
            return Referrers(tasks=(), others=True)
        return Referrers(tasks=tuple(sorted(tasks)), others=False)

    def _count(self, address: int) -> int:
        """Return an object's reference count; -1 if it is not counted."""
        try:
            if self.objects.python.version < (3, 12):
                count = self.objects.word(address)
            else:
                count = self.objects.memory.number(address, 4)
        except Unreadable:
            return -1
        return count if count < _MOST_COUNTED else -1

    def _has_weak_ones(self, address: int) -> bool:
        """Return whether somebody has a weak reference to the object; those are not counted.

        ``tp_weaklistoffset`` says where an object lists them; from 3.12 on, a flag of the type may
        say that the list precedes the object's header.
        """
        try:
            kind = self.objects.word(address + self.objects.python.layout.type_at)
            offset = self.objects.memory.number(kind + _WEAK_LIST_AT, signed=True)
            if offset > 0:
                return self.objects.word(address + offset) != 0
            if self.objects.word(kind + _FLAGS_AT) & _MANAGED_WEAK_REFERENCES:
                return self.objects.word(address - _BEFORE_HEADER) != 0
        except Unreadable:
            return True
        return False

    # --- following ------------------------------------------------------------------------------

    def _follow_all(self) -> None:
        waiting: deque[int] = deque()
        for task, chain in self.chains.items():
            waiting.extend(self._note(task, self._of_task(task, chain)))
        while waiting and len(self._followed) < MOST_OBJECTS and self._references < MOST_REFERENCES:
            at = waiting.popleft()
            if at in self._followed or at in self.chains:
                continue
            self._followed.add(at)
            waiting.extend(self._note(at, self._of_object(at)))

    def _note(self, referrer: int, found: Iterable[int]) -> list[int]:
        assert self._into is not None
        noted = []
        try:
            for each in found:
                if self._references == MOST_REFERENCES:
                    break  # as if the rest could not be read
                if each and each % 8 == 0:
                    self._references += 1
                    self._into.setdefault(each, Counter())[referrer] += 1
                    noted.append(each)
        except (Unreadable, struct.error, KeyError):
            pass  # what is missing is simply not counted
        return noted

    def _of_task(self, task: int, chain: Chain) -> Iterator[int]:
        yield self.objects.word(task + self.layout.waits_for)
        function = self.objects.python.offsets["frame.globals"] - 8
        for _, frame in chain.frames:
            yield from self._of_frame(frame)
            if self.objects.python.version >= (3, 11):  # it precedes the globals
                yield self.objects.untagged(frame.frame + function)

    def _of_frame(self, frame: FrameAddress) -> Iterator[int]:
        size = stack_top(self.objects, frame) - frame.slots
        if not 0 <= size <= 8 * MOST_SLOTS:
            return
        raw = self.objects.memory.read(frame.slots, size) if size else b""
        for (word,) in struct.iter_unpack("<Q", raw[: size // 8 * 8]):
            if word and not word & _UNCOUNTED:
                yield word

    def _of_object(self, address: int) -> Iterator[int]:
        objects = self.objects
        kind, header = objects.type(address), objects.python.layout.header
        if kind in _NOT_FOLLOWED:
            return
        if kind in _CONTAINERS:
            yield from objects.members(address)
        elif kind == "dict":
            yield from objects.values(address)
        elif kind in ("cell", "FutureIter"):
            yield objects.word(address + header)
        elif kind == "method":
            yield from (objects.word(address + header), objects.word(address + header + 8))
        elif kind == "function":
            yield objects.closure(address)
        elif objects.descends_from(address, "_asyncio.Future"):
            yield objects.word(address + self.layout.first_callback)
            yield objects.word(address + self.layout.more_callbacks)
            yield from objects.own_references(address)
        else:
            yield from objects.own_references(address)
