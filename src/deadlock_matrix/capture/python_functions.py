"""Functions written in Python, read from another process's memory: name, file, first line.

Source: ``Include/cpython/funcobject.h`` and ``Include/cpython/code.h`` of 3.8 to 3.15. A pointer
may be stale or an object half made, so what is taken for code must have a type of that name.
"""

from __future__ import annotations

import msgspec

from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import ObjectLayout, is_a
from deadlock_matrix.capture.python_strings import read_string


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """What a function written in Python says about itself."""

    qualified_name: str
    file: str
    first_line: int


class CodeLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets, in a code object, of its file's name and its first line."""

    file: int
    first_line: int


CODE_LAYOUTS = (  # by the first version that has it, newest first
    ((3, 12), CodeLayout(file=112, first_line=68)),
    ((3, 11), CodeLayout(file=112, first_line=72)),
    ((3, 6), CodeLayout(file=104, first_line=40)),
)
"""For builds with a GIL, and for versions that do not list their offsets themselves."""

_FUNCTION_OLD = (0, 11)  # words behind the header: code, qualified name; up to 3.9
_FUNCTION_NEW = (4, 3)  # from 3.10


def function_at(
    memory: Memory,
    layout: ObjectLayout,
    address: int,
    code: CodeLayout,
) -> Function:
    """Read a function written in Python.

    Raises:
        Unreadable: It cannot be read, or does not look like one.
    """
    for code_at, name_at in (_FUNCTION_NEW, _FUNCTION_OLD):
        begin = address + layout.header
        found = memory.number(begin + 8 * code_at)
        if is_a(memory, layout, found, "code"):
            return Function(
                qualified_name=read_string(memory, layout, memory.number(begin + 8 * name_at)),
                file=read_string(memory, layout, memory.number(found + code.file)),
                first_line=memory.number(found + code.first_line, size=4),
            )
    raise Unreadable(f"the function at {address:#x} has no code where it should be")


def code_of(memory: Memory, layout: ObjectLayout, function: int) -> int:
    """Return the address of the code of a function written in Python.

    Raises:
        Unreadable: It cannot be read, or does not look like one.
    """
    for code_at, _ in (_FUNCTION_NEW, _FUNCTION_OLD):
        found = memory.number(function + layout.header + 8 * code_at)
        if is_a(memory, layout, found, "code"):
            return found
    raise Unreadable(f"the function at {function:#x} has no code where it should be")
