"""The names that code has for objects: the attributes of instances and classes, and globals.

Dictionaries are read as they lie in memory: ``Include/cpython/dictobject.h``,
``Include/internal/pycore_dict.h`` and ``pycore_object.h`` of 3.8 to 3.15, and of 3.13 and 3.14
without a GIL. Instances keep attributes in a dictionary or, from 3.11 on, in an array whose keys
the class has. A dictionary that is being changed may hide a name or show an old one.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator

from deadlock_matrix.capture.frame_variables import FrameAddress, Interpreter
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.python_strings import read_string

MOST_ENTRIES = 8192
"""Of a dictionary; larger ones are not searched for a name."""

MOST_BASES = 64

DICTIONARIES = ("dict", "collections.defaultdict", "collections.OrderedDict")
"""Those written in C, which begin in the same way."""

# In a type object, behind its header.
_BASIC_SIZE_AT, FLAGS_AT, BASE_AT, DICT_AT, _DICT_OFFSET_AT = 16, 152, 240, 248, 272
_OLD_NAMES_AT = 64  # in a code object up to 3.10
_CACHED_KEYS_AT = {(3, 11): 856, (3, 12): 864, (3, 13): 864, (3, 14): 864, (3, 15): 872}
"""``ht_cached_keys`` in a class, behind its header; new fields of types have moved it."""

# MANAGED_DICT_OFFSET: before an object, which has no header of the collector without a GIL.
_TABLE_AT, _TABLE_AT_WITHOUT_GIL = -24, -8

HEAP_TYPE, _MANAGED_DICT, _INLINE_VALUES = 1 << 9, 1 << 4, 1 << 2


def globals_spoken_of(
    memory: Memory, python: Interpreter, frame: FrameAddress, only: Container[int] | None = None
) -> list[tuple[str, int]]:
    """Return the globals that a frame's code names, with the addresses of their values.

    Args:
        memory: The process's memory.
        python: Its interpreter.
        frame: The frame.
        only: Numbers of the names that count, by their order in the code; None for all.

    Raises:
        Unreadable: They cannot be read.
    """
    table = memory.number(frame.frame + python.offsets["frame.globals"])

    def find() -> list[tuple[str, int]]:
        spoken_of = names_in_code(memory, python, frame.code)
        if only is not None:
            spoken_of = tuple(name for at, name in enumerate(spoken_of) if at in only)
        named = frozenset(spoken_of)
        return [
            (text_of_name(memory, python, key), value)
            for key, value in globals_of(memory, python, table)
            if key in named  # names are interned: the same object in both
        ]

    # The threads of a pool all run the same function.
    return find() if only is not None else memory.once(("spoken of", table, frame.code), find)


def globals_of(memory: Memory, python: Interpreter, table: int) -> tuple[tuple[int, int], ...]:
    """Return the keys and values of a module's globals, as addresses, read once.

    Raises:
        Unreadable: They cannot be read.
    """
    return memory.once(("items", table), lambda: tuple(items_of(memory, python, table)))


def names_in_code(memory: Memory, python: Interpreter, code: int) -> tuple[int, ...]:
    """Return addresses of the global and attribute names in a function's code, in order.

    Raises:
        Unreadable: They cannot be read.
    """
    layout = python.layout
    at = layout.header + 16 if python.version >= (3, 11) else _OLD_NAMES_AT
    names = memory.number(code + at)
    if type_name(memory, layout, names) != "tuple":
        raise Unreadable(f"no names in the code at {code:#x}")
    count = memory.number(names + layout.header)
    if count > MOST_ENTRIES:
        raise Unreadable(f"{count} names")
    # From 3.14 on a hash precedes the first item.
    begin = names + layout.header + (16 if python.version >= (3, 14) else 8)
    return struct.unpack(f"<{count}Q", memory.read(begin, 8 * count))


def texts_in_code(memory: Memory, python: Interpreter, code: int) -> frozenset[str]:
    """Return the global and attribute names in a function's code.

    Raises:
        Unreadable: They cannot be read.
    """

    found = names_in_code(memory, python, code)
    return frozenset(text_of_name(memory, python, name) for name in found)


def attribute_of(memory: Memory, python: Interpreter, address: int, name: str) -> int:
    """Return the value of an instance's own attribute, or 0.

    Raises:
        Unreadable: The instance's attributes cannot be read.
    """
    for key, value in attributes_by_key(memory, python, address):
        if text_of_name(memory, python, key) == name:
            return value
    return 0


def class_attribute_of(memory: Memory, python: Interpreter, kind: int, name: str) -> int:
    """Return what a class or the nearest of its bases has under a name, or 0.

    Follows only the line of first bases (``tp_base``), which is where slots are.

    Raises:
        Unreadable: A class's attributes cannot be read.
    """
    for _ in range(MOST_BASES):
        fields = kind + python.layout.header
        if not kind or not memory.number(fields + FLAGS_AT) & HEAP_TYPE:
            break  # a class of Python's own may keep its dictionary elsewhere
        for key, value in items_of(memory, python, memory.number(fields + DICT_AT)):
            if text_of_name(memory, python, key) == name:
                return value
        kind = memory.number(fields + BASE_AT)
    return 0


def attributes_of(memory: Memory, python: Interpreter, address: int) -> dict[str, int]:
    """Return an instance's own attributes: addresses of their values by name.

    Raises:
        Unreadable: The instance's attributes cannot be read.
    """
    return {
        text_of_name(memory, python, key): value
        for key, value in attributes_by_key(memory, python, address)
    }


def global_of(memory: Memory, python: Interpreter, frame: FrameAddress, name: str) -> int:
    """Return the value of a frame's global, or 0.

    Raises:
        Unreadable: They cannot be read.
    """
    table = memory.number(frame.frame + python.offsets["frame.globals"])
    for key, value in items_of(memory, python, table):
        # The length tells most of them apart, and stands first in every string.
        length = memory.number(key + python.layout.header)
        if length == len(name) and text_of_name(memory, python, key) == name:
            return value
    return 0


def text_of_name(memory: Memory, python: Interpreter, key: int) -> str:
    """Read a name, which is one object for all instances of a class.

    Raises:
        Unreadable: It is not a string.
    """
    text = python.names.get(key)
    if text is None:
        text = python.names[key] = read_string(memory, python.layout, key)
    return text


# --- where attributes lie -----------------------------------------------------------------------


def attribute_values(memory: Memory, python: Interpreter, address: int) -> tuple[int, ...]:
    """Return what an instance itself refers to: the values of its attributes, or its dictionary.

    For builds with a GIL from 3.11 on, and classes whose bases are written in Python.

    Raises:
        Unreadable: They cannot be read.
    """
    table, values = _table_and_values(memory, python, address)
    if values:
        return tuple(value for _, value in attributes_by_key(memory, python, address))
    return (table,) if table else ()


def own_references(memory: Memory, python: Interpreter, address: int) -> tuple[int, ...]:
    """Return what an instance itself refers to, as `attribute_values` does, on every version.

    A class may have a base written in C, if its instances have their dictionary in a fixed place.
    An object of a class that is not written in Python has nothing.

    Raises:
        Unreadable: They cannot be read.
    """
    kind = memory.number(address + python.layout.type_at) + python.layout.header
    flags = memory.number(kind + FLAGS_AT)
    if not flags & HEAP_TYPE:
        return ()
    if python.version >= (3, 11) and flags & _MANAGED_DICT:
        return attribute_values(memory, python, address)
    offset = memory.number(kind + _DICT_OFFSET_AT, signed=True)
    table = memory.number(address + offset) if offset > 0 else 0
    return (table,) if table else ()


def _table_and_values(memory: Memory, python: Interpreter, address: int) -> tuple[int, int]:
    """From 3.11 on: find an instance's dictionary, or else its array of values; 0 for neither."""
    layout, version = python.layout, python.version
    kind = memory.number(address + layout.type_at)
    flags = memory.number(kind + layout.header + FLAGS_AT)
    if not flags & _MANAGED_DICT:
        return 0, 0
    at = _TABLE_AT_WITHOUT_GIL if layout.free_threaded else _TABLE_AT
    table, values = memory.number(address + at), 0
    if version == (3, 11):
        values = memory.number(address - 32)
    elif version == (3, 12):
        table, values = (0, table + 1) if table & 1 else (table, 0)
    elif not table and flags & _INLINE_VALUES:
        values = address + memory.number(kind + layout.header + _BASIC_SIZE_AT)
    return table, values


def attributes_by_key(
    memory: Memory, python: Interpreter, address: int
) -> Iterator[tuple[int, int]]:
    """Yield keys and values of an instance's own attributes, as addresses."""
    layout, version = python.layout, python.version
    kind = memory.number(address + layout.type_at)
    flags = memory.number(kind + layout.header + FLAGS_AT)
    if not flags & HEAP_TYPE:
        return
    if version < (3, 11) or not flags & _MANAGED_DICT:  # a base in C may keep it elsewhere
        offset = memory.number(kind + layout.header + _DICT_OFFSET_AT, signed=True)
        if offset > 0:
            yield from items_of(memory, python, memory.number(address + offset))
        return
    table, values = _table_and_values(memory, python, address)
    if values:
        at = _CACHED_KEYS_AT.get(version, _CACHED_KEYS_AT[3, 15])
        keys = memory.number(kind + layout.header + at)
        yield from _split(memory, python, keys, values)
    else:
        yield from items_of(memory, python, table)


def items_of(memory: Memory, python: Interpreter, table: int) -> Iterator[tuple[int, int]]:
    """Yield keys and values of a dictionary, as addresses.

    Raises:
        Unreadable: It is not a dictionary, or has more than `MOST_ENTRIES`.
    """
    if not table:
        return
    if type_name(memory, python.layout, table) not in DICTIONARIES:
        raise Unreadable(f"no dictionary at {table:#x}")
    begin = table + python.layout.header
    keys, values = memory.number(begin + 16), memory.number(begin + 24)
    if values:
        yield from _split(memory, python, keys, values)
        return
    for entry in _entries(memory, python, keys):
        if entry[-1]:
            yield entry[-2], entry[-1]


def _split(
    memory: Memory, python: Interpreter, keys: int, values: int
) -> Iterator[tuple[int, int]]:
    # One table for all instances of a class.
    names = memory.once(
        ("keys", keys), lambda: tuple(entry[-2] for entry in _entries(memory, python, keys))
    )
    if python.version >= (3, 13):  # four bytes of sizes and flags, padded
        values += 8
    words = struct.unpack(f"<{len(names)}Q", memory.read(values, 8 * len(names)))
    for name, value in zip(names, words, strict=True):
        if value:
            yield name, value


def _entries(memory: Memory, python: Interpreter, keys: int) -> Iterator[tuple[int, ...]]:
    """Yield the entries of a table of keys: key and value, sometimes with the hash before them."""
    words = 3
    if python.version < (3, 11):
        _, size, _, _, count = struct.unpack("<5Q", memory.read(keys, 40))
        width = 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4
        begin = keys + 40 + size * width
    else:
        raw = memory.read(keys, 32)
        count = int.from_bytes(raw[24:32], "little")
        begin = keys + 32 + (1 << min(raw[9], 32))
        if raw[10]:  # keys that are all text: DICT_KEYS_UNICODE, DICT_KEYS_SPLIT
            words = 2
    if count > MOST_ENTRIES:
        raise Unreadable(f"{count} entries")
    yield from struct.iter_unpack(f"<{words}Q", memory.read(begin, 8 * words * count))
