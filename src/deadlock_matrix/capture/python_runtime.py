"""CPython seen from outside, without stopping it: its runtime object and who handles SIGINT."""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from contextlib import suppress
from pathlib import PurePath

from deadlock_matrix.capture.elf import DELETED, Loaded, Unusable, loaded
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.proc_files import reason_of
from deadlock_matrix.capture.python_objects import (
    ObjectLayout,
    builtin_function,
    layout_of,
    type_name,
)
from deadlock_matrix.model.evidence import PythonRuntime
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_SIGINT, _SIGKILL, _SIGSTOP, _SIGNALS = 2, 9, 19, 65
_RESERVED = 32  # and 33: the C library keeps them, sigaction(2) on them fails
_ENTRY = 16
_TABLE = _SIGNALS * _ENTRY
_WRITABLE_LIMIT = 1 << 23
_REMEMBERED = 64

# (process id, start time, address of _PyRuntime) -> address of the table. An id that is used
# again comes with another start time; exec brings another address, or a table that fails its test.
_tables: OrderedDict[tuple[int, int, int], int] = OrderedDict()


def runtime_of(memory: Memory, started: int) -> Known[PythonRuntime] | Unknown:
    """The bounds of ``_PyRuntime``, in the executable or libpython, and SIGINT's handler.

    Args:
        memory: of the process.
        started: its start time, which with its id tells it from an earlier process.

    CPython before 3.7 and PyPy have no such object; a statically linked one that does not export
    its symbols cannot be told from a program that is not Python.
    """
    try:
        library = library_of(memory)
        if library is None:
            return unknown("no executable or libpython that is mapped exports _PyRuntime")
        bounds = library.range_of("_PyRuntime")
    except Unusable as error:
        return unknown(f"looking for _PyRuntime: {error}")
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}: looking for _PyRuntime"))
    assert bounds is not None  # library_of looked
    runtime = PythonRuntime(
        runtime_start=bounds[0],
        runtime_end=bounds[1],
        interrupt_handler=_interrupt_handler(memory, library, bounds[0], started),
    )
    return known(runtime, f"_PyRuntime exported by {library.path}")


def is_free_threaded(memory: Memory) -> Known[bool] | Unknown:
    """Whether it is a build without a GIL (PEP 703), from the layout of ``None``."""
    try:
        library = library_of(memory)
        none = library.range_of("_Py_NoneStruct") if library else None
        if none is None:
            return unknown("no mapped file exports _Py_NoneStruct")
        return known(layout_of(memory, none[0]).free_threaded, "_Py_NoneStruct")
    except (Unusable, Unreadable, OSError) as error:
        return unknown(str(error))


def library_of(memory: Memory) -> Loaded | None:
    """The one loaded file that exports ``_PyRuntime``.

    Raises:
        Unusable: a candidate is not readable, or there are two.
        OSError: the mappings cannot be read.
    """
    executable = os.readlink("exe", dir_fd=memory.directory)
    found: list[Loaded] = []
    for library in memory.maps.libraries():
        name = PurePath(library.path.removesuffix(DELETED)).name
        if library.path != executable and not name.startswith("libpython"):
            continue
        mapping = memory.maps.find(library.start)
        if mapping is not None:
            candidate = loaded(memory, mapping)
            if candidate.range_of("_PyRuntime"):
                found.append(candidate)
    if len(found) > 1:
        raise Unusable(f"{len(found)} mapped files export it")
    return found[0] if found else None


def _interrupt_handler(
    memory: Memory, library: Loaded, runtime: int, started: int
) -> Known[str] | Unknown:
    """The name of SIGINT's Python-level handler.

    CPython keeps one entry ``{int tripped; PyObject *func}`` per signal: a static array of the
    _signal module up to 3.11 (``Modules/signalmodule.c``), a part of ``_PyRuntime`` from 3.12
    (``pycore_signal.h``). It is found by what no program can change in it; see `_is_table`.

    What this cannot see: C code that installed its own handler with sigaction(2) behind Python's
    back. The table then still names Python's handler, and the kernel does not tell outsiders
    which function it calls.
    """
    none = library.range_of("_Py_NoneStruct")
    if none is None:
        return unknown(f"{library.path} does not export _Py_NoneStruct")
    try:
        layout = layout_of(memory, none[0])
        table = _table(memory, library, (memory.pid, started, runtime), none[0], layout)
        handler = memory.number(table + _SIGINT * _ENTRY + 8)
        name = _handler_name(memory, library, layout, handler, none[0])
    except (Unreadable, OSError) as error:
        return unknown(f"Python's table of signal handlers: {error}")
    return known(name, f"/proc/{memory.pid}/mem: Python's table of signal handlers")


def _handler_name(
    memory: Memory, library: Loaded, layout: ObjectLayout, handler: int, none: int
) -> str:
    if handler == 0:
        raise Unreadable("it is being torn down")
    if handler == none:
        return "none"  # something other than Python handled SIGINT when Python started
    kind = type_name(memory, layout, handler)
    if kind == "int":
        default, ignore = 0, 1
        value = _small_int(memory, layout, handler)
        return {default: "SIG_DFL", ignore: "SIG_IGN"}.get(value, "other: int")
    if kind == "builtin_function_or_method":
        name, definition = builtin_function(memory, layout, handler)
        mapping = memory.maps.find(definition)
        # Any C extension may call a function of its own by the same name.
        if mapping is not None and mapping.path == library.path:
            return name
    return f"other: {kind}"


def _small_int(memory: Memory, layout: ObjectLayout, address: int) -> int:
    """0 or 1; anything else is -1. ``ob_size`` was the digit count up to 3.11, a tag from 3.12."""
    size, digit = struct.unpack("<qI", memory.read(address + layout.header, 12))
    is_zero = digit == 0 and size in (0, 1)  # count 0; tag 1 says "zero"
    is_one = digit == 1 and size in (1, 8)  # count 1; one digit, non-negative
    return 0 if is_zero else 1 if is_one else -1


# --- finding the table --------------------------------------------------------------------------


def _table(
    memory: Memory,
    library: Loaded,
    key: tuple[int, int, int],
    none: int,
    layout: ObjectLayout,
) -> int:
    """The table's address, remembered per process but tested anew each time.

    Raises:
        Unreadable: not exactly one place looks like it.
    """
    remembered = _tables.get(key)
    if remembered is not None:
        entries = memory.read(remembered, _TABLE)
        if _is_table(memory, entries, none, layout):
            return remembered
        del _tables[key]
    found: list[int] = []
    for mapping in memory.maps.of_file(library.path):
        size = mapping.end - mapping.start
        if "w" not in mapping.permissions or size > _WRITABLE_LIMIT:
            continue
        # A table may straddle the end of .data: look a little into what follows, if it can be.
        data = memory.read(mapping.start, size)
        with suppress(Unreadable):
            data += memory.read(mapping.end, _TABLE)
        found += _tables_in(memory, data, mapping.start, none, layout)
    places = sorted(set(found))
    if len(places) != 1:
        raise Unreadable(f"{len(places)} places look like it")
    _tables[key] = places[0]
    if len(_tables) > _REMEMBERED:
        _tables.popitem(last=False)
    return places[0]


def _tables_in(
    memory: Memory, data: bytes, base: int, none: int, layout: ObjectLayout
) -> list[int]:
    """Places in ``data`` where a table begins.

    Two entries in a row with ``None``, those of the reserved signals, are looked for first.
    """
    needle = struct.pack("<QQQ", none, 0, none)
    into = _RESERVED * _ENTRY + 8
    found: list[int] = []
    at = data.find(needle)
    while at >= 0:
        begin = at - into
        raw = data[max(begin, 0) : begin + _TABLE]
        fits = begin >= 0 and (base + begin) % 8 == 0 and len(raw) == _TABLE
        if fits and _is_table(memory, raw, none, layout):
            found.append(base + begin)
        at = data.find(needle, at + 8)
    return found


def _is_table(memory: Memory, raw: bytes, none: int, layout: ObjectLayout) -> bool:
    """What holds in every such table, whatever handlers are installed.

    Entry 0 is no signal. The handler of SIGKILL and SIGSTOP is and stays the int 0 (SIG_DFL), the
    reserved signals have ``None``, every flag is 0 or 1 and every other entry is a pointer.
    """
    words = struct.unpack(f"<{2 * _SIGNALS}Q", raw)
    flags, handlers = words[::2], words[1::2]
    default = handlers[_SIGKILL]
    if handlers[0] != 0 or default in (0, none) or handlers[_SIGSTOP] != default:
        return False
    if any(flag > 1 for flag in flags) or any(h == 0 or h % 8 for h in handlers[1:]):
        return False
    if handlers[_RESERVED] != none or handlers[_RESERVED + 1] != none:
        return False
    try:
        is_int = type_name(memory, layout, default) == "int"
        return is_int and _small_int(memory, layout, default) == 0
    except Unreadable:
        return False
