"""The name under which a function knows an object: a variable, an attribute, a global.

Looked for by the object's address among the variables of a frame, the attributes of what those
hold, and the globals of the function, in that order. Dictionaries are read as they lie in memory:
``Include/cpython/dictobject.h``, ``Include/internal/pycore_dict.h`` and ``pycore_object.h`` of 3.8
to 3.15, builds with a GIL. Instances keep attributes in a dictionary or, from 3.11 on, in an array
whose keys the class has. One that is being changed may hide a name or show an old one.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from deadlock_matrix.capture.frame_variables import FrameAddress, Interpreter, variables_of
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.python_strings import read_string

MOST_ENTRIES = 8192
"""Of a dictionary; a larger one has no name for anything."""

MOST_VARIABLES = 32
"""Of a frame, whose attributes are looked at."""

# In a type object, behind its header.
_BASIC_SIZE_AT, _FLAGS_AT, _DICT_OFFSET_AT = 16, 152, 272
_OLD_NAMES_AT = 64  # in a code object up to 3.10
_CACHED_KEYS_AT = {(3, 11): 872, (3, 12): 880, (3, 13): 880, (3, 14): 880, (3, 15): 888}
"""``ht_cached_keys`` in a class, with its header: moved by the fields that types have got."""

_HEAP_TYPE, _MANAGED_DICT, _INLINE_VALUES = 1 << 9, 1 << 4, 1 << 2


@dataclass(frozen=True, kw_only=True)
class Name:
    """What an object is called: ``self._lock``, and the class of ``self``; both may be empty."""

    text: str = ""
    of: str = ""


def name_in_frame(
    memory: Memory, python: Interpreter, frame: FrameAddress, wanted: Collection[int]
) -> Name:
    """What a frame calls one of the objects at these addresses.

    What cannot be read has no name.
    """
    try:
        variables = list(variables_of(memory, python, frame))
    except Unreadable:
        variables = []
    for name, value in variables:
        if value in wanted:
            return Name(text=name)
    for name, value in variables[:MOST_VARIABLES]:
        found = _attribute(memory, python, name, value, wanted)
        if found.text:
            return found
    try:
        return _global(memory, python, frame, wanted)
    except (Unreadable, KeyError):
        return Name()


def _global(
    memory: Memory, python: Interpreter, frame: FrameAddress, wanted: Collection[int]
) -> Name:
    """A global, or an attribute of one that the function speaks of."""
    table = memory.number(frame.frame + python.offsets["frame.globals"])
    items = list(_items(memory, python, table))
    text = _key_of(memory, python, iter(items), wanted)
    if text:
        return Name(text=text)
    spoken_of = _names_in_code(memory, python, frame.code)
    for key, value in items:
        if key in spoken_of:  # names are interned: the same in the code and in the dictionary
            name = read_string(memory, python.layout, key)
            found = _attribute(memory, python, name, value, wanted)
            if found.text:
                return found
    return Name()


def _names_in_code(memory: Memory, python: Interpreter, code: int) -> frozenset[int]:
    """Addresses of the names of globals and attributes in a function's code."""
    layout = python.layout
    at = layout.header + 16 if python.version >= (3, 11) else _OLD_NAMES_AT
    names = memory.number(code + at)
    if type_name(memory, layout, names) != "tuple":
        raise Unreadable(f"no names in the code at {code:#x}")
    count = memory.number(names + layout.header)
    if count > MOST_ENTRIES:
        raise Unreadable(f"{count} names")
    # From 3.14 on a hash stands before the first: one word more, which is no address.
    raw = memory.read(names + layout.header + 8, 8 * (count + (python.version >= (3, 14))))
    return frozenset(word for (word,) in struct.iter_unpack("<Q", raw))


def _attribute(
    memory: Memory, python: Interpreter, name: str, value: int, wanted: Collection[int]
) -> Name:
    """``name.attribute`` and its class, if the object so named has one of those wanted."""
    try:
        attribute = _key_of(memory, python, _attributes(memory, python, value), wanted)
        if not attribute:
            return Name()
        of = type_name(memory, python.layout, value).rpartition(".")[2]
        return Name(text=f"{name}.{attribute}", of=of)
    except Unreadable:
        return Name()


def attribute_of(memory: Memory, python: Interpreter, address: int, name: str) -> int:
    """The value of an instance's own attribute, or 0.

    Raises:
        Unreadable: the instance's attributes cannot be read.
    """
    for key, value in _attributes(memory, python, address):
        if read_string(memory, python.layout, key) == name:
            return value
    return 0


def _key_of(
    memory: Memory, python: Interpreter, items: Iterator[tuple[int, int]], wanted: Collection[int]
) -> str:
    for key, value in items:
        if value in wanted:
            return read_string(memory, python.layout, key)
    return ""


# --- where attributes lie -----------------------------------------------------------------------


def _attributes(memory: Memory, python: Interpreter, address: int) -> Iterator[tuple[int, int]]:
    """Keys and values of an instance's own attributes, as addresses."""
    layout, version = python.layout, python.version
    kind = memory.number(address + layout.type_at)
    flags = memory.number(kind + layout.header + _FLAGS_AT)
    if not flags & _HEAP_TYPE or layout.free_threaded:
        return
    if version < (3, 11):
        offset = memory.number(kind + layout.header + _DICT_OFFSET_AT, signed=True)
        if offset > 0:
            yield from _items(memory, python, memory.number(address + offset))
        return
    if not flags & _MANAGED_DICT:
        return
    table, values = memory.number(address - 24), 0
    if version == (3, 11):
        values = memory.number(address - 32)
    elif version == (3, 12):
        table, values = (0, table + 1) if table & 1 else (table, 0)
    elif not table and flags & _INLINE_VALUES:
        values = address + memory.number(kind + layout.header + _BASIC_SIZE_AT)
    if values:
        at = _CACHED_KEYS_AT.get(version, _CACHED_KEYS_AT[3, 15])
        keys = memory.number(kind + at)
        yield from _split(memory, python, keys, values)
    else:
        yield from _items(memory, python, table)


def _items(memory: Memory, python: Interpreter, table: int) -> Iterator[tuple[int, int]]:
    """Keys and values of a dictionary, as addresses."""
    if not table:
        return
    if type_name(memory, python.layout, table) != "dict":
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
    entries = list(_entries(memory, python, keys))
    if python.version >= (3, 13):  # four bytes of sizes and flags, padded
        values += 8
    words = struct.unpack(f"<{len(entries)}Q", memory.read(values, 8 * len(entries)))
    for entry, value in zip(entries, words, strict=True):
        if value:
            yield entry[-2], value


def _entries(memory: Memory, python: Interpreter, keys: int) -> Iterator[tuple[int, ...]]:
    """The entries of a table of keys: key and value, some with the hash before them."""
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
