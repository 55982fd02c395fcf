"""What a Python object refers to, for the few types whose contents are known exactly.

For any other type nothing is reported: a reference that is not found makes a sum too small, and
then nothing follows from it. Source: ``funcobject.h``, ``classobject.h``, ``cellobject.h``,
``methodobject.h``, ``tupleobject.h``, ``listobject.h``, ``object.h`` of 3.11 to 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_names import attribute_values, items_of

MOST_ITEMS = 4096
_FUNCTION_FIELDS = (40, 48, 56)  # behind the header: defaults, keyword defaults, closure
_FLAGS_AT, _WEAK_LIST_AT = 152, 192  # in a type object, behind its header
_HEAP_TYPE, _MANAGED_WEAK_LIST = 1 << 9, 1 << 3
_MANAGED_WEAK_LIST_AT = -32  # MANAGED_WEAKREF_OFFSET, from 3.12 on


def contents_of(objects: LockObjects, address: int) -> Iterator[int]:
    """Yield the addresses to which an object refers, one for each reference.

    Raises:
        Unreadable: It cannot be read.
    """
    memory, layout = objects.memory, objects.python.layout
    header = address + layout.header
    kind = objects.type(address)
    found: tuple[int, ...] = ()
    of_type = _type_of(objects, address) + layout.header
    if memory.number(of_type + _FLAGS_AT) & _HEAP_TYPE:  # whatever name a program gives its class
        found = attribute_values(memory, objects.python, address)
    elif kind == "cell":
        found = objects.words(header, 1)
    elif kind == "method":
        found = objects.words(header, 2)
    elif kind == "builtin_function_or_method":
        found = objects.words(header + 8, 1)
    elif kind == "function":
        found = tuple(memory.number(header + at) for at in _FUNCTION_FIELDS)
    elif kind in ("tuple", "list"):
        count = memory.number(header)
        if 0 < count <= MOST_ITEMS:
            begin = memory.number(header + 8) if kind == "list" else header + 8
            if kind == "tuple" and objects.python.version >= (3, 14):
                begin = header + 16  # behind the hash
            found = objects.words(begin, count)
    elif kind == "dict":
        found = tuple(value for _, value in items_of(memory, objects.python, address))
    yield from (each for each in found if each)


def has_weak_references(objects: LockObjects, address: int) -> bool:
    """Return whether somebody has a weak reference to it, which reaches it without being counted.

    Raises:
        Unreadable: It cannot be read.
    """
    memory, layout = objects.memory, objects.python.layout
    fields = _type_of(objects, address) + layout.header
    if memory.number(fields + _FLAGS_AT) & _MANAGED_WEAK_LIST and objects.python.version >= (3, 12):
        return memory.number(address + _MANAGED_WEAK_LIST_AT) != 0
    at = memory.number(fields + _WEAK_LIST_AT, signed=True)
    return at > 0 and memory.number(address + at) != 0


def _type_of(objects: LockObjects, address: int) -> int:
    if not objects.type(address):
        raise Unreadable(f"no object at {address:#x}")
    return objects.memory.number(address + objects.python.layout.type_at)
