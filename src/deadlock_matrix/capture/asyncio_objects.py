"""Python's containers in memory, as far as asyncio's own objects are made of them.

Source: ``Include/cpython/setobject.h``, ``Include/cpython/weakrefobject.h``, ``listobject.h``,
``tupleobject.h``, ``Modules/_collectionsmodule.c`` of 3.8 to 3.15. All reads are bounded; an object
that does not have the expected type is unreadable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from deadlock_matrix.capture.frame_variables import TAG, Interpreter
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_names import attributes_of, items_of, own_references
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.python_strings import is_string, read_string
from deadlock_matrix.capture.python_values import text_of_value

MOST_MEMBERS = 1 << 16
_MOST_BASES = 16
_BASE_AT = 256  # tp_base in a type, with its header
_DEQUE_BLOCK = 64  # pointers between the links of a block


class Objects(msgspec.Struct, kw_only=True):
    """Reads objects of one process; the name of each type is read once."""

    memory: Memory
    python: Interpreter
    _types: dict[int, str] = msgspec.field(default_factory=dict)
    _lines: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def word(self, address: int) -> int:
        """Read one word.

        Raises:
            Unreadable: It cannot be read.
        """
        return self.memory.number(address)

    def type(self, address: int) -> str:
        """Return the name of an object's type, without its module.

        Raises:
            Unreadable: There is no object.
        """
        return self.full_type(address).rpartition(".")[2]

    def full_type(self, address: int) -> str:
        """Return the name of an object's type as the type has it: ``_asyncio.Future``, ``Lock``.

        Raises:
            Unreadable: There is no object.
        """
        if not address or address % 8:
            raise Unreadable(f"no object at {address:#x}")
        kind = self.word(address + self.python.layout.type_at)
        if kind not in self._types:
            self._types[kind] = type_name(self.memory, self.python.layout, address)
        return self._types[kind]

    def descends_from(self, address: int, name: str) -> bool:
        """Return whether an object's type, or one it is derived from, has this full name.

        Raises:
            Unreadable: There is no object.
        """
        first = kind = self.word(address + self.python.layout.type_at)
        if kind not in self._lines:
            names: list[str] = []
            while kind and len(names) < _MOST_BASES:
                names.append(self.memory.text(self.word(kind + self.python.layout.type_name_at)))
                kind = self.word(kind + _BASE_AT)
            self._lines[first] = tuple(names)
        return name in self._lines[first]

    def attributes(self, address: int) -> dict[str, int]:
        """Return an instance's own attributes.

        Raises:
            Unreadable: They cannot be read.
        """
        return attributes_of(self.memory, self.python, address)

    def own_references(self, address: int) -> tuple[int, ...]:
        """Return what an instance itself refers to: its dictionary, or values that need none.

        Raises:
            Unreadable: They cannot be read.
        """
        return own_references(self.memory, self.python, address)

    def entries(self, table: int) -> dict[str, int]:
        """Return a dictionary's values by key, for keys that are text.

        Raises:
            Unreadable: It is not a dictionary.
        """
        layout = self.python.layout
        return {
            read_string(self.memory, layout, key): value
            for key, value in items_of(self.memory, self.python, table)
            if is_string(self.memory, layout, key)
        }

    def values(self, table: int) -> Iterator[int]:
        """Yield the values of a dictionary, whatever its keys.

        Raises:
            Unreadable: It is not a dictionary.
        """
        for _, value in items_of(self.memory, self.python, table):
            yield value

    def closure(self, function: int) -> int:
        """Return the tuple of cells that a function has from the function around it, or 0.

        ``func_closure``: behind code, globals, defaults and keyword defaults up to 3.9; behind
        globals, builtins, name, qualified name, code, defaults and keyword defaults from 3.10.

        Raises:
            Unreadable: It cannot be read.
        """
        place = 4 if self.python.version < (3, 10) else 7
        return self.word(function + self.python.layout.header + 8 * place)

    def text(self, address: int) -> str:
        """Describe a value: a number, ``True``, ``None``, text in quotes, or type and address."""
        return text_of_value(
            self.memory, self.python.layout, address, self.python.version >= (3, 12)
        )

    def string(self, address: int) -> str:
        """Return a string.

        Raises:
            Unreadable: It is not a string.
        """
        return read_string(self.memory, self.python.layout, address)

    def members(self, address: int) -> Iterator[int]:
        """Yield the members of a list, tuple, set, dictionary (its values) or deque.

        Raises:
            Unreadable: It is none of them, has too many, or cannot be read.
        """
        kind = self.full_type(address)
        if kind in ("set", "frozenset"):
            yield from self._of_set(address)
        elif kind in ("list", "tuple"):
            yield from self._of_sequence(address, kind)
        elif kind == "collections.deque":
            yield from self._of_deque(address)
        elif kind != "NoneType":
            raise Unreadable(f"no container at {address:#x}, but {kind}")

    def _count(self, value: int) -> int:
        if not 0 <= value <= MOST_MEMBERS:
            raise Unreadable(f"{value} members")
        return value

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.memory.read(address, 8 * count)) if count else ()

    def _of_sequence(self, address: int, kind: str) -> Iterator[int]:
        begin = address + self.python.layout.header
        count = self._count(self.word(begin))
        if kind == "list":
            yield from self._words(self.word(begin + 8), count)
        else:  # from 3.14 on a hash precedes the first item
            yield from self._words(begin + (16 if self.python.version >= (3, 14) else 8), count)

    def _of_set(self, address: int) -> Iterator[int]:
        begin = address + self.python.layout.header
        used, mask, table = self.word(begin + 8), self.word(begin + 16), self.word(begin + 24)
        self._count(used)
        slots = self._words(table, 2 * (self._count(mask) + 1))
        for key in slots[::2]:
            if key and self.word(key + self.python.layout.type_at):
                yield key

    def _of_deque(self, address: int) -> Iterator[int]:
        """Walk blocks of 64 pointers between two links; ``leftindex`` is the first item's place."""
        begin = address + self.python.layout.header
        count, block = self._count(self.word(begin)), self.word(begin + 8)
        index = self.word(begin + 24)
        while count > 0:
            if not 0 <= index < _DEQUE_BLOCK:
                raise Unreadable(f"no deque at {address:#x}")
            here = min(count, _DEQUE_BLOCK - index)
            yield from self._words(block + 8 + 8 * index, here)
            count, index = count - here, 0
            block = self.word(block + 8 + 8 * _DEQUE_BLOCK)

    def untagged(self, address: int) -> int:
        """Return a word of a frame as an address."""
        return self.word(address) & ~TAG
