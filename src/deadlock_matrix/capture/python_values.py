"""The values of a few of a frame's variables, as text: enough for a proof, and no user's data.

The texts are those that pystack writes: a string in double quotes, ``None``, ``True``, a number,
and for any other object its type and address. Source: ``Include/cpython/longintrepr.h``,
``Include/cpython/floatobject.h`` and ``Include/cpython/cellobject.h`` of 3.8 to 3.15.
"""

from __future__ import annotations

import struct

from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import ObjectLayout, type_name
from deadlock_matrix.capture.python_strings import is_string, read_string

VALUE_LIMIT = 200
_DIGIT_BITS = 30
_DIGITS_LIMIT = 4


def text_of_value(memory: Memory, layout: ObjectLayout, address: int, tagged: bool) -> str:
    """Describe one object as text.

    Args:
        memory: The process's memory.
        layout: The layout of its objects.
        address: The object's address.
        tagged: Whether small integers carry a tag instead of a count of digits (from 3.12 on).

    Raises:
        Unreadable: There is no object.
    """
    kind = type_name(memory, layout, address)
    if kind == "NoneType":
        return "None"
    if kind in ("bool", "int"):
        number = _integer(memory, layout, address, tagged)
        if number is not None:
            return str(bool(number)) if kind == "bool" else str(number)
    if kind == "float":
        value: float = struct.unpack("<d", memory.read(address + layout.header, 8))[0]
        return f"{value:g}"
    if is_string(memory, layout, address):
        return f'"{read_string(memory, layout, address, VALUE_LIMIT)}"'
    return f"<{kind} at {address:#x}>"


def content_of_cell(memory: Memory, layout: ObjectLayout, address: int) -> int:
    """Return what a cell holds, if it is one: a variable that an inner function uses too.

    Raises:
        Unreadable: There is no object.
    """
    if type_name(memory, layout, address) != "cell":
        return address
    return memory.number(address + layout.header)


def names_in(memory: Memory, layout: ObjectLayout, address: int, most: int = 256) -> list[str]:
    """Return the strings in a tuple.

    Raises:
        Unreadable: It is not a tuple of strings, or has more than ``most``.
    """
    if type_name(memory, layout, address) != "tuple":
        raise Unreadable(f"no tuple at {address:#x}")
    count = memory.number(address + layout.header)
    if count > most:
        raise Unreadable(f"{count} names")
    # Up to 3.13 the items follow the count at once; from 3.14 on a hash lies between them.
    for begin in (address + layout.header + 8, address + layout.header + 16):
        try:
            items = struct.unpack(f"<{count}Q", memory.read(begin, 8 * count))
            return [read_string(memory, layout, item) for item in items]
        except Unreadable:
            continue
    raise Unreadable(f"no strings in the tuple at {address:#x}")


def bytes_of(memory: Memory, layout: ObjectLayout, address: int, most: int = 1 << 20) -> bytes:
    """Return the contents of a ``bytes`` object.

    Raises:
        Unreadable: It is not one, or is longer than ``most``.
    """
    if type_name(memory, layout, address) != "bytes":
        raise Unreadable(f"no bytes at {address:#x}")
    length = memory.number(address + layout.header)
    if length > most:
        raise Unreadable(f"{length} bytes")
    return memory.read(address + layout.header + 16, length)


def _integer(memory: Memory, layout: ObjectLayout, address: int, tagged: bool) -> int | None:
    """Read digits of 30 bits, lowest first; None for a number of more than four of them."""
    raw = memory.number(address + layout.header, signed=True)
    if tagged:  # two bits of sign (2: negative), one that says immortal, the rest counts digits
        count, negative = raw >> 3, raw & 3 == 2
    else:
        count, negative = abs(raw), raw < 0
    if count > _DIGITS_LIMIT:
        return None
    if count < 1:
        return 0
    digits = struct.unpack(f"<{count}I", memory.read(address + layout.header + 8, 4 * count))
    value: int = sum(digit << (_DIGIT_BITS * at) for at, digit in enumerate(digits))
    return -value if negative else value
