"""What an object has under a name, wherever it is kept, and what a container has.

``self._lock`` may lie in the instance's own attributes, in a slot (``__slots__``), or in its class
or a base; ``Store.lock`` in a class itself, ``state.lock`` in a module. A class describes its slots
by ``member_descriptor`` objects (``PyMemberDescrObject`` in ``Include/cpython/descrobject.h``,
``PyMemberDef`` in ``Include/descrobject.h``); ``tp_mro`` lists its bases in the order in which
they are searched (``Include/cpython/object.h``); a module begins with its dictionary
(``PyModuleObject``). The same from 3.8 to 3.15.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from deadlock_matrix.capture.frame_variables import Interpreter
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_names import (
    DICT_AT,
    DICTIONARIES,
    FLAGS_AT,
    HEAP_TYPE,
    MOST_BASES,
    attributes_by_key,
    items_of,
)
from deadlock_matrix.capture.python_objects import type_name

MOST_ITEMS = 1024
"""Of a list or tuple; a longer one is not searched for a name."""

_MRO_AT = 328  # in a type object, behind its header
_IS_CLASS = 1 << 31  # Py_TPFLAGS_TYPE_SUBCLASS
_MEMBER_AT = 24  # in a member_descriptor, behind its header
_KIND_AT, _OFFSET_AT = 8, 16  # in a PyMemberDef
_OF_OBJECTS = (6, 16)  # T_OBJECT, T_OBJECT_EX


class Class(msgspec.Struct, frozen=True, kw_only=True):
    """What instances of a class have by it: keys with values, and keys with places of slots."""

    values: tuple[tuple[int, int], ...]
    slots: tuple[tuple[int, int], ...]


def members_of(memory: Memory, python: Interpreter, address: int) -> Iterator[tuple[int, int]]:
    """Yield keys and values of what an object has under a name, its own first.

    Raises:
        Unreadable: They cannot be read.
    """
    layout = python.layout
    kind = memory.number(address + layout.type_at)
    if type_name(memory, layout, address) == "module":
        table = memory.number(address + layout.header)
        yield from memory.once(("items", table), lambda: tuple(items_of(memory, python, table)))
        return
    if memory.number(kind + layout.header + FLAGS_AT) & _IS_CLASS:
        yield from class_of(memory, python, address).values
        return
    own = memory.once(
        ("attributes", address), lambda: tuple(attributes_by_key(memory, python, address))
    )
    yield from own
    by_class = class_of(memory, python, kind)
    for key, place in by_class.slots:
        value = memory.number(address + place)
        if value:
            yield key, value
    yield from by_class.values


def class_of(memory: Memory, python: Interpreter, kind: int) -> Class:
    """Return what a class and its bases give to instances; nothing of those written in C.

    Raises:
        Unreadable: It cannot be read.
    """
    return memory.once(("class", kind), lambda: _read_class(memory, python, kind))


def _read_class(memory: Memory, python: Interpreter, kind: int) -> Class:
    layout = python.layout
    values: list[tuple[int, int]] = []
    slots: list[tuple[int, int]] = []
    for base in array_of(memory, python, memory.number(kind + layout.header + _MRO_AT))[
        :MOST_BASES
    ]:
        fields = base + layout.header
        if not memory.number(fields + FLAGS_AT) & HEAP_TYPE:
            continue  # a class of Python's own may keep its dictionary elsewhere
        for key, value in items_of(memory, python, memory.number(fields + DICT_AT)):
            if type_name(memory, layout, value) != "member_descriptor":
                values.append((key, value))
            elif place := place_of_slot(memory, python, value):
                slots.append((key, place))
    return Class(values=tuple(values), slots=tuple(slots))


def place_of_slot(memory: Memory, python: Interpreter, descriptor: int) -> int:
    """Return where in an instance the object lies that a ``member_descriptor`` describes, or 0.

    Raises:
        Unreadable: It cannot be read.
    """
    member = memory.number(descriptor + python.layout.header + _MEMBER_AT)
    if memory.number(member + _KIND_AT, 4) not in _OF_OBJECTS:
        return 0
    return memory.number(member + _OFFSET_AT)


def array_of(memory: Memory, python: Interpreter, address: int) -> tuple[int, ...]:
    """Return the items of a list or tuple; nothing of a longer one.

    Raises:
        Unreadable: It is neither, or cannot be read.
    """
    kind = type_name(memory, python.layout, address)
    if kind not in ("list", "tuple"):
        raise Unreadable(f"no list at {address:#x}")
    header = address + python.layout.header
    count = memory.number(header)
    if not 0 < count <= MOST_ITEMS:
        return ()
    if kind == "list":
        begin = memory.number(header + 8)
    else:  # from 3.14 on a hash precedes the first item
        begin = header + (16 if python.version >= (3, 14) else 8)
    return struct.unpack(f"<{count}Q", memory.read(begin, 8 * count))


def items_in(memory: Memory, python: Interpreter, address: int) -> Iterator[tuple[str, int]]:
    """Yield what a list, tuple or dictionary has, with what leads there: ``[3]``.

    Keys of a dictionary may be the user's data, and are not told: ``[...]``.

    Raises:
        Unreadable: It has too much, or cannot be read.
    """
    kind = type_name(memory, python.layout, address)
    if kind in DICTIONARIES:
        for _, value in items_of(memory, python, address):
            yield "[...]", value
    elif kind in ("list", "tuple"):
        for at, value in enumerate(array_of(memory, python, address)):
            yield f"[{at}]", value
