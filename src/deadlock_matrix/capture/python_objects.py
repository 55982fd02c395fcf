"""A few fields of CPython objects, read from another process's memory.

Source: ``Include/object.h``, ``Include/cpython/object.h`` and ``Include/methodobject.h``, the same
from 3.6 to 3.15. A free-threaded build has a longer object header; reading the name of the type of
``None`` shows which build it is. Builds with another header (``Py_TRACE_REFS``) fail that test and
are reported as unreadable.
"""

from __future__ import annotations

import msgspec

from deadlock_matrix.capture.memory import Memory, Unreadable

_BASE_AT = 240  # ``tp_base``, behind the header of a type object
_MOST_BASES = 32


class ObjectLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets in bytes: of the type in an object, of the header's end, of a type's name."""

    type_at: int
    header: int
    free_threaded: bool

    @property
    def type_name_at(self) -> int:
        """``tp_name`` follows ``ob_size`` in a type object."""
        return self.header + 8


_LAYOUTS = (
    ObjectLayout(type_at=8, header=16, free_threaded=False),
    ObjectLayout(type_at=24, header=32, free_threaded=True),
)


def layout_of(memory: Memory, none: int) -> ObjectLayout:
    """Return the layout with which ``None`` has a type called ``NoneType``.

    Raises:
        Unreadable: There is no such layout.
    """
    for layout in _LAYOUTS:
        try:
            if type_name(memory, layout, none) == "NoneType":
                return layout
        except Unreadable:
            continue
    raise Unreadable("None does not look like a Python object of a known layout")


def type_name(memory: Memory, layout: ObjectLayout, address: int) -> str:
    """Return the name of an object's type, such as ``int`` or ``package.module.Class``.

    Raises:
        Unreadable: It is not an object.
    """
    kind = memory.number(address + layout.type_at)
    name = memory.type_names.get(kind)
    if name is None:
        name = memory.type_names[kind] = memory.text(memory.number(kind + layout.type_name_at))
    return name


def is_a(memory: Memory, layout: ObjectLayout, address: int, name: str) -> bool:
    """Return whether it is an object whose type has exactly this name."""
    try:
        return address % 8 == 0 and type_name(memory, layout, address) == name
    except Unreadable:
        return False


def builtin_function(memory: Memory, layout: ObjectLayout, address: int) -> tuple[str, int]:
    """Return the name of a function written in C, and where its ``PyMethodDef`` lies.

    Raises:
        Unreadable: It cannot be read.
    """
    definition = memory.number(address + layout.header)
    return memory.text(memory.number(definition)), definition


def first_field(memory: Memory, layout: ObjectLayout, address: int) -> int:
    """Return what follows the header: the function of a bound method or of a ``functools.partial``.

    Raises:
        Unreadable: It cannot be read.
    """
    return memory.number(address + layout.header)


def base_names(memory: Memory, layout: ObjectLayout, kind: int) -> tuple[str, ...]:
    """Return the names of a type and of its line of first bases, without their modules.

    Raises:
        Unreadable: It is not a type.
    """
    names: list[str] = []
    for _ in range(_MOST_BASES):
        if not kind:
            break
        name = memory.text(memory.number(kind + layout.type_name_at))
        names.append(name.rpartition(".")[2])
        kind = memory.number(kind + layout.header + _BASE_AT)
    return tuple(names)
