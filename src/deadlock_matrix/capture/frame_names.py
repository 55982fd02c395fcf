"""The name by which a function knows an object: ``lock``, ``self._lock``, ``LOCKS[...]``.

The object's address is looked for among the variables of a frame, what their values have under a
name (`python_members`), the globals of the function, and what those have that its code names, in
that order. Then one step further: what these have under a name that the code has, and in
containers. What a name leads to when it is read is not known to have had that name before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import TypeVar

import msgspec

from deadlock_matrix.capture.frame_variables import FrameAddress, Interpreter, variables_of
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_members import items_in, members_of
from deadlock_matrix.capture.python_names import (
    attribute_of,
    attributes_of,
    globals_of,
    globals_spoken_of,
    names_in_code,
    text_of_name,
)
from deadlock_matrix.capture.python_objects import type_name

T = TypeVar("T")

MOST_VARIABLES = 32
"""Of a frame, to look at what they have."""


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """What an object is called: ``self._lock``, and the class of ``self``; both may be empty."""

    text: str = ""
    of: str = ""


def name_in_frame(
    memory: Memory, python: Interpreter, frame: FrameAddress, wanted: Collection[int]
) -> Name:
    """Return the name that a frame has for one of the objects at these addresses.

    An object that cannot be read has no name.
    """
    finder = _Finder(memory=memory, python=python, frame=frame, wanted=wanted)
    try:
        variables = list(variables_of(memory, python, frame))
    except Unreadable:
        variables = []
    for name, value in variables:
        if finder.meant(value):
            return Name(text=name)
    known = variables[:MOST_VARIABLES]
    try:
        spoken_of = globals_spoken_of(memory, python, frame)
        return (
            finder.member(known)
            or finder.of_module()
            or finder.member(spoken_of)
            or finder.further([*known, *spoken_of])
            or Name()
        )
    except (Unreadable, KeyError):
        return Name()


class _Finder(msgspec.Struct, frozen=True, kw_only=True):
    memory: Memory
    python: Interpreter
    frame: FrameAddress
    wanted: Collection[int]

    def meant(self, value: int) -> bool:
        """Return whether it is wanted, or a ``Condition`` whose lock is."""
        return value in self.wanted or self._lock_of(value) in self.wanted

    def _lock_of(self, value: int) -> int:
        """Return the lock of a ``Condition``; 0 for any other object."""
        try:
            if type_name(self.memory, self.python.layout, value) != "Condition":
                return 0
            return attribute_of(self.memory, self.python, value, "_lock")
        except Unreadable:
            return 0

    def member(self, named: list[tuple[str, int]]) -> Name | None:
        """Find it among what objects have under a name."""
        for name, value in named:
            key = self._found(("members by value", value), partial(self._members, value))
            if key:
                return Name(text=f"{name}.{self._text(key)}", of=self._class(value))
        return None

    def of_module(self) -> Name | None:
        """Find it among the globals of the function's module."""
        table = self.memory.number(self.frame.frame + self.python.offsets["frame.globals"])
        found = partial(globals_of, self.memory, self.python, table)
        key = self._found(("globals by value", table), found)
        return Name(text=self._text(key)) if key else None

    def further(self, named: list[tuple[str, int]]) -> Name | None:
        """Find it in a container, or one more name away."""
        keys = frozenset(names_in_code(self.memory, self.python, self.frame.code))
        for name, value in named:
            of = self._class(value)
            if found := self._item(name, value, ""):
                return found
            for key, each in self._spoken_of(value, keys):
                name_here = f"{name}.{self._text(key)}"
                if found := self._item(name_here, each, of):
                    return found
                last = self._found(("members by value", each), partial(self._members, each))
                if last in keys:
                    text = f"{name_here}.{self._text(last)}"
                    return Name(text=text, of=self._class(each))
        return None

    def _spoken_of(self, value: int, keys: frozenset[int]) -> tuple[tuple[int, int], ...]:
        """Return what an object has under a name that the code has.

        Names are interned: the same object in both.
        """
        return self.memory.once(
            ("members spoken of", value, self.frame.code),
            lambda: tuple(pair for pair in self._members(value) if pair[0] in keys),
        )

    def _item(self, name: str, container: int, of: str) -> Name | None:
        label = self._found(("items by value", container), partial(self._items, container))
        return Name(text=f"{name}{label}", of=of) if label else None

    def _found(
        self, what: tuple[str, int], pairs: Callable[[], Iterable[tuple[T, int]]]
    ) -> T | None:
        """Return what leads to it, among pairs that are read once: threads ask for the same."""
        by_value = self.memory.once(what, lambda: self._by_value(pairs()))
        return next((by_value[each] for each in self.wanted if each in by_value), None)

    def _by_value(self, pairs: Iterable[tuple[T, int]]) -> dict[int, T]:
        found: dict[int, T] = {}
        for lead, value in pairs:
            found.setdefault(value, lead)
            if lock := self._lock_of(value):
                found.setdefault(lock, lead)
        return found

    def _members(self, address: int) -> Iterator[tuple[int, int]]:
        try:
            yield from members_of(self.memory, self.python, address)
        except Unreadable:
            return

    def _items(self, container: int) -> Iterator[tuple[str, int]]:
        try:
            yield from items_in(self.memory, self.python, container)
        except Unreadable:
            return

    def _class(self, address: int) -> str:
        """Return the name of a class, or of an object's class; nothing of a module."""
        layout = self.python.layout
        try:
            kind = type_name(self.memory, layout, address)
            if kind == "type":
                kind = self.memory.text(self.memory.number(address + layout.type_name_at))
        except Unreadable:
            return ""
        return "" if kind == "module" else kind.rpartition(".")[2]

    def _text(self, key: int) -> str:
        return text_of_name(self.memory, self.python, key)


def name_of_wrapper(
    memory: Memory, python: Interpreter, frame: FrameAddress, wanted: int, attribute: str
) -> Name:
    """Return the name that a frame has for the object with another one as its attribute.

    ``self._lock.acquire()`` of ``multiprocessing`` is a method of the lock's own ``_semlock``.
    """
    try:
        variables = list(variables_of(memory, python, frame))[:MOST_VARIABLES]
        variables += globals_spoken_of(memory, python, frame)
    except (Unreadable, KeyError):
        return Name()
    for name, value in variables:
        try:
            own = attributes_of(memory, python, value)
            if own.get(attribute) == wanted:
                return Name(text=name)
            for inner, each in list(own.items())[:MOST_VARIABLES]:
                if attributes_of(memory, python, each).get(attribute) == wanted:
                    of = type_name(memory, python.layout, value).rpartition(".")[2]
                    return Name(text=f"{name}.{inner}", of=of)
        except Unreadable:
            continue
    return Name()
