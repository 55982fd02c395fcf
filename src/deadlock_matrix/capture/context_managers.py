"""The lock that a ``with`` block takes although the block enters another object.

A ``@contextmanager`` of ``contextlib`` has a generator, which stays suspended inside its own
``with`` blocks for as long as the block lasts. An ``ExitStack`` has a deque of bound methods
``__exit__``, from which it takes each before it calls it. An object of the program's own class has
a lock as an attribute, and its ``__exit__`` releases it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.frame_variables import FrameAddress
from deadlock_matrix.capture.generators import frame_of, is_suspended
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_functions import code_of
from deadlock_matrix.capture.python_names import (
    attribute_of,
    attributes_of,
    class_attribute_of,
    texts_in_code,
)
from deadlock_matrix.capture.python_objects import builtin_function

MOST_NESTED = 8
"""Context managers inside one another that are followed."""

_OF_CONTEXTLIB = {
    "_GeneratorContextManager": "generator",
    "_AsyncGeneratorContextManager": "async_generator",
}
_STACKS = frozenset({"ExitStack", "AsyncExitStack"})
_TAKES, _GIVES_BACK = frozenset({"acquire", "__enter__"}), frozenset({"release", "__exit__"})


class ContextManagers(msgspec.Struct, frozen=True, kw_only=True):
    """Reads the context managers of one process."""

    objects: LockObjects

    def generator_in(self, entered: int) -> FrameAddress | None:
        """Return the frame of a ``@contextmanager``, or None. Up to 3.10 it may be running.

        Raises:
            Unreadable: It cannot be read.
        """
        memory, python = self.objects.memory, self.objects.python
        kind = _OF_CONTEXTLIB.get(self.objects.type(entered))
        if kind is None:
            return None
        generator = attribute_of(memory, python, entered, "gen")
        if not generator or self.objects.type(generator) != kind:
            return None
        if not is_suspended(memory, python, generator):
            return None
        return frame_of(memory, python, generator)

    def stacked_in(self, entered: int) -> Iterator[int]:
        """Yield what an ``ExitStack`` has entered, outermost first; nothing of any other object.

        Raises:
            Unreadable: It cannot be read.
        """
        memory, python = self.objects.memory, self.objects.python
        if self.objects.type(entered) not in _STACKS:
            return
        containers = Objects(memory=memory, python=python)
        for pair in containers.members(attribute_of(memory, python, entered, "_exit_callbacks")):
            for each in containers.members(pair):
                if self._is_bound_method(each):
                    yield self.objects.self_of(each)

    def _is_bound_method(self, address: int) -> bool:
        """Return whether it is a bound method, or the ``__exit__`` of an object written in C."""
        memory, layout = self.objects.memory, self.objects.python.layout
        kind = self.objects.type(address)
        if kind == "builtin_function_or_method":
            return builtin_function(memory, layout, address)[0] == "__exit__"
        return kind == "method"

    def lock_released_by(self, entered: int) -> int:
        """Return the lock that the ``__exit__`` of an object's own class releases, or 0.

        It does if the function, or the class's own ``release`` that it calls, names ``release`` or
        ``__exit__``, and of the object's locks exactly one; and does not take a lock as well.
        """
        memory, python = self.objects.memory, self.objects.python
        try:
            kind = memory.number(entered + python.layout.type_at)
            names = self._names(kind, "__exit__")
            own = attributes_of(memory, python, entered) if names & _GIVES_BACK else {}
            locks = {name: each for name, each in own.items() if self.objects.kind(each)}
            if not locks:
                return 0
            if not names & locks.keys():
                names = self._names(kind, "release") if "release" in names else frozenset()
            found = {locks[name] for name in names & locks.keys()}
            if len(found) != 1 or names & _TAKES or not names & _GIVES_BACK:
                return 0
            return found.pop()
        except (Unreadable, KeyError, ValueError):
            return 0

    def _names(self, kind: int, method: str) -> frozenset[str]:
        """Return what the code of a class's method names: attributes, methods and globals."""
        memory, python = self.objects.memory, self.objects.python

        def find() -> frozenset[str]:
            function = class_attribute_of(memory, python, kind, method)
            if not function or self.objects.type(function) != "function":
                return frozenset()
            return texts_in_code(memory, python, code_of(memory, python.layout, function))

        return memory.once(("names in method", kind, method), find)
