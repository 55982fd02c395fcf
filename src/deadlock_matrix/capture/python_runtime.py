"""CPython seen from outside, without stopping it: its runtime object and its signal handlers."""

from __future__ import annotations

from deadlock_matrix.capture.debug_offsets import says_free_threaded
from deadlock_matrix.capture.elf import Unusable
from deadlock_matrix.capture.elf_file import Loaded
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.proc_files import reason_of
from deadlock_matrix.capture.python_image import image_of, library_of
from deadlock_matrix.capture.python_objects import ObjectLayout, layout_of
from deadlock_matrix.capture.signal_handlers import read_handlers
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import PythonHandler, PythonRuntime

_SIGINT = 2


def runtime_of(memory: Memory, started: int) -> Known[PythonRuntime] | Unknown:
    """Return the bounds of ``_PyRuntime``, in the executable or libpython, and the signal handlers.

    Args:
        memory: The process's memory.
        started: Its start time, which with its id tells it from an earlier process.

    CPython before 3.7 and PyPy have no such object. A statically linked CPython that does not
    export its symbols cannot be told from a program that is not Python.
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
    assert bounds is not None  # library_of has checked
    handlers = _handlers(memory, library, started)
    try:
        free_threaded = says_free_threaded(memory, bounds[0])
    except Unreadable as error:
        return unknown(f"_PyRuntime: {error}")
    runtime = PythonRuntime(
        runtime_start=bounds[0],
        runtime_end=bounds[1],
        interrupt_handler=_interrupt_handler(handlers),
        handlers=handlers,
        free_threaded=free_threaded,
    )
    return known(runtime, f"_PyRuntime exported by {library.path}")


def is_free_threaded(memory: Memory) -> Known[bool] | Unknown:
    """Return whether it is a build without a GIL (PEP 703), from the layout of ``None``."""
    try:
        return known(python_layout(memory).free_threaded, "_Py_NoneStruct")
    except (Unusable, Unreadable, OSError) as error:
        return unknown(str(error))


def python_layout(memory: Memory) -> ObjectLayout:
    """Return the layout of the interpreter's objects, from that of ``None``.

    Raises:
        Unusable: There is no interpreter, or it is not understood.
        Unreadable: Its memory cannot be read.
        OSError: The mappings cannot be read.
    """
    library = library_of(memory)
    none = library.range_of("_Py_NoneStruct") if library else None
    if none is None:
        raise Unusable("no mapped file exports _Py_NoneStruct")
    return layout_of(memory, none[0])


def _handlers(
    memory: Memory, library: Loaded, started: int
) -> Known[tuple[PythonHandler, ...]] | Unknown:
    try:
        handlers = read_handlers(memory, image_of(memory, library), started)
    except (Unreadable, Unusable, OSError) as error:
        return unknown(f"Python's table of signal handlers: {error}")
    return known(handlers, f"/proc/{memory.pid}/mem: Python's table of signal handlers")


_KINDS = {"default": "SIG_DFL", "ignored": "SIG_IGN", "foreign": "none"}


def _interrupt_handler(
    handlers: Known[tuple[PythonHandler, ...]] | Unknown,
) -> Known[str] | Unknown:
    """Describe SIGINT's handler: ``default_int_handler``, ``SIG_DFL``, ``other: function``."""
    if isinstance(handlers, Unknown):
        return handlers
    handler = next(each for each in handlers.value if each.signal == _SIGINT)
    if handler.kind == "builtin":
        return known(handler.name, handlers.source)
    other = "function" if handler.kind == "python" else handler.name
    return known(_KINDS.get(handler.kind, f"other: {other}"), handlers.source)
