"""CPython's own table of signal handlers: what the program asked Python to do on each signal.

CPython keeps one entry ``{int tripped; PyObject *func}`` per signal: in a static array of the
_signal module up to 3.11 (``Modules/signalmodule.c``), in ``_PyRuntime`` from 3.12 on
(``pycore_signal.h``). No symbol names it, so it is found by the parts that no program can change.

The table cannot show C code that installed its own handler with sigaction(2) behind Python's back.
It then still names Python's, and the kernel does not tell outsiders which function it calls.
"""

from __future__ import annotations

import struct
from contextlib import suppress

from deadlock_matrix.capture.kept import Kept
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_functions import function_at
from deadlock_matrix.capture.python_image import PythonImage
from deadlock_matrix.capture.python_objects import (
    builtin_function,
    first_field,
    is_a,
    type_name,
)
from deadlock_matrix.capture.standard_library import folder_of, places_of
from deadlock_matrix.model.process_facts import PythonHandler

_SIGKILL, _SIGSTOP, _SIGNALS = 9, 19, 65
_RESERVED = 32  # and 33: the C library reserves them, sigaction(2) on them fails
_ENTRY = 16
_TABLE = _SIGNALS * _ENTRY
_WRITABLE_LIMIT, _WRITABLE_IN_ALL = 1 << 23, 1 << 25
_MOST_LIKE_IT = 1 << 10  # places that begin like it
_REMEMBERED = 1 << 14  # processes; a tree may have hundreds
_WRAPPED = 4  # how many bound methods and functools.partial may lie around a function

_DEFAULTS = tuple(PythonHandler(signal=number, kind="default") for number in range(_SIGNALS))

# (process id, start time, address of _PyRuntime) -> address of the table. An id that is reused
# comes with another start time; exec brings another address, or a table that fails its test.
_tables: Kept[tuple[int, int, int], int] = Kept(_REMEMBERED)
# By path, device and inode: distance from _PyRuntime to the table; both are in the file's own data.
_distances: Kept[tuple[str, tuple[int, int] | None], int] = Kept(_REMEMBERED)


def read_handlers(memory: Memory, image: PythonImage, started: int) -> tuple[PythonHandler, ...]:
    """Return the handler of each signal, in order of number.

    Args:
        memory: The process's memory.
        image: Its CPython.
        started: The process's start time, which with its id tells it from an earlier process.

    Raises:
        Unreadable: The table cannot be found or read.
        OSError: The mappings cannot be read.
    """
    table = _find_table(memory, image, (memory.pid, started, image.runtime[0]))
    handlers = struct.unpack(f"<{2 * _SIGNALS}Q", table)[1::2]
    default = handlers[_SIGKILL]
    return tuple(
        _handler(memory, image, number, handlers[number], default) for number in range(1, _SIGNALS)
    )


def _handler(
    memory: Memory, image: PythonImage, number: int, handler: int, default: int
) -> PythonHandler:
    """Read one entry.

    An ``int`` in the table is 0 or 1, for SIG_DFL or SIG_IGN (`signal.signal` takes no other), and
    SIGKILL's is always 0. CPython has one object for each small number, so identity tells them
    apart, however their value is stored: 3.14 tags it differently from 3.12.
    """
    if handler == 0:
        raise Unreadable("it is being torn down")
    if handler == default:
        return _DEFAULTS[number]
    if handler == image.none:
        return PythonHandler(signal=number, kind="foreign")
    if _is_own(memory, image, handler, "int"):
        return PythonHandler(signal=number, kind="ignored")
    called = handler
    for _ in range(_WRAPPED):
        is_partial = type_name(memory, image.layout, called) == "functools.partial"
        if not is_partial and not _is_own(memory, image, called, "method"):
            break
        called = first_field(memory, image.layout, called)
    if _is_own(memory, image, called, "function"):
        function = function_at(memory, image.layout, called, image.code)
        return PythonHandler(
            signal=number,
            kind="python",
            name=function.qualified_name,
            file=function.file,
            line=function.first_line,
            own=bool(folder_of(function.file, places_of(memory))),
        )
    if _is_own(memory, image, called, "builtin_function_or_method"):
        name, definition = builtin_function(memory, image.layout, called)
        mapping = memory.maps.find(definition)
        # Any C extension may give a function of its own the same name.
        own = mapping is not None and mapping.path == image.path
        return PythonHandler(signal=number, kind="builtin" if own else "object", name=name)
    kind = type_name(memory, image.layout, called)
    return PythonHandler(signal=number, kind="object", name=kind)


def _is_own(memory: Memory, image: PythonImage, address: int, name: str) -> bool:
    """Return whether an object's type is CPython's own: a program may use its name, too."""
    if not is_a(memory, image.layout, address, name):
        return False
    mapping = memory.maps.find(memory.number(address + image.layout.type_at))
    return mapping is not None and mapping.path == image.path


# --- finding the table --------------------------------------------------------------------------


def _find_table(memory: Memory, image: PythonImage, key: tuple[int, int, int]) -> bytes:
    """Find the table; its address is remembered per process but tested anew each time.

    Raises:
        Unreadable: Not exactly one place looks like it.
    """
    remembered = _tables.get(key)
    if remembered is not None:
        table = memory.read(remembered, _TABLE)
        if _is_table(memory, image, table):
            return table
    file = image.path, memory.maps.device_and_inode(image.path)
    distance = _distances.get(file)
    if distance is not None:  # of another process on the same file: hundreds may run
        with suppress(Unreadable):
            table = memory.read(image.runtime[0] + distance, _TABLE)
            if _is_table(memory, image, table):
                return table
    found: dict[int, bytes] = {}
    left = _WRITABLE_IN_ALL
    for mapping in memory.maps.of_file(image.path):
        size = mapping.end - mapping.start
        if "w" not in mapping.permissions or size > _WRITABLE_LIMIT:
            continue
        left -= size
        if left < 0:
            raise Unreadable(f"{image.path} has more than {_WRITABLE_IN_ALL} writable bytes")
        # A table may straddle the end of .data: look a little into what follows, if that is
        # readable.
        data = memory.read(mapping.start, size)
        with suppress(Unreadable):
            data += memory.read(mapping.end, _TABLE)
        found |= _tables_in(memory, image, data, mapping.start)
    if len(found) != 1:
        raise Unreadable(f"{len(found)} places look like it" if found else "not found")
    ((place, table),) = found.items()
    _distances.keep(file, place - image.runtime[0])
    _tables.keep(key, place)
    return table


def _tables_in(memory: Memory, image: PythonImage, data: bytes, base: int) -> dict[int, bytes]:
    """Find tables in ``data``, by address.

    First looks for two entries in a row with ``None``, those of the reserved signals. From 3.12 on
    only what is in ``_PyRuntime`` counts.
    """
    needle = struct.pack("<QQQ", image.none, 0, image.none)
    into = _RESERVED * _ENTRY + 8
    places = range(*image.runtime) if image.version >= (3, 12) else range(1 << 63)
    found: dict[int, bytes] = {}
    tried = 0
    at = data.find(needle)
    while at >= 0:
        tried += 1
        if tried > _MOST_LIKE_IT:
            raise Unreadable("too many places look like it")
        begin = at - into
        raw = data[max(begin, 0) : begin + _TABLE]
        aligned = begin >= 0 and (base + begin) % 8 == 0 and base + begin in places
        if aligned and len(raw) == _TABLE and _is_table(memory, image, raw):
            found[base + begin] = raw
        at = data.find(needle, at + 8)
    return found


def _is_table(memory: Memory, image: PythonImage, raw: bytes) -> bool:
    """Check what holds in every such table, whatever handlers are installed.

    Entry 0 is no signal. The handler of SIGKILL and SIGSTOP always is the int 0 (SIG_DFL), the
    reserved signals have ``None``, every flag is 0 or 1 and every other entry is a pointer.
    """
    words = struct.unpack(f"<{2 * _SIGNALS}Q", raw)
    flags, handlers = words[::2], words[1::2]
    default = handlers[_SIGKILL]
    if handlers[0] != 0 or default in (0, image.none) or handlers[_SIGSTOP] != default:
        return False
    if any(flag > 1 for flag in flags) or any(h == 0 or h % 8 for h in handlers[1:]):
        return False
    if handlers[_RESERVED] != image.none or handlers[_RESERVED + 1] != image.none:
        return False
    return _is_own(memory, image, default, "int")
