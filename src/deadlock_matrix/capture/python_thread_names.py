"""The names that Python's threads have in Python: ``Thread.name``.

The kernel has cut names, has them only from 3.14 on, and has names of its own for threads that
Python did not name. The ``Thread`` object is ``self`` of ``_bootstrap_inner`` in the thread's
outermost frames. For a thread that Python did not start it is in ``threading._active``, by its
ident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deadlock_matrix.capture.frame_variables import Interpreter, variables_of
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_names import attribute_of, global_of, items_of
from deadlock_matrix.capture.python_objects import base_names
from deadlock_matrix.capture.python_strings import read_string
from deadlock_matrix.capture.python_values import text_of_value

LONGEST = 80
_THREADING = "/threading.py"
OWN_OF_THREADS = ("_target", "_args", "_kwargs")
"""What a ``Thread`` object keeps for its own ``run``."""


def names_of_threads(
    memory: Memory, python: Interpreter, threads: Iterable[PythonThread]
) -> dict[int, str]:
    """Return the names of threads by their idents, as far as they can be read."""
    threads = tuple(threads)
    names: dict[int, str] = {}
    for thread in threads:
        address = thread_object(memory, python, thread)
        if address:
            names[thread.ident] = _name(memory, python, address)
    if any(thread.own_tid and thread.ident not in names for thread in threads):
        for ident, address in _active(memory, python, threads).items():
            names.setdefault(ident, _name(memory, python, address))
    return {ident: name for ident, name in names.items() if name}


def thread_object(memory: Memory, python: Interpreter, thread: PythonThread) -> int:
    """Return the address of the ``Thread`` object, if ``threading`` started the thread; else 0."""
    return memory.once(
        ("thread object", thread.state), lambda: _thread_object(memory, python, thread)
    )


def _thread_object(memory: Memory, python: Interpreter, thread: PythonThread) -> int:
    for frame, address in list(zip(thread.frames, thread.addresses, strict=True))[:3]:
        if address and frame.function == "_bootstrap_inner" and frame.file.endswith(_THREADING):
            try:
                return next(iter(variables_of(memory, python, address, ("self",))))[1]
            except (Unreadable, StopIteration):
                return 0
    return 0


def is_plain_thread(objects: LockObjects, address: int) -> bool:
    """Return whether an object is a ``threading.Thread``, and not of a derived class.

    Raises:
        Unreadable: There is no object.
    """
    memory, layout = objects.memory, objects.python.layout
    kind = memory.number(address + layout.type_at)
    return base_names(memory, layout, kind) == ("Thread", "object")


def _active(
    memory: Memory, python: Interpreter, threads: Iterable[PythonThread]
) -> Mapping[int, int]:
    """Return ``threading._active``, from the globals of any frame in that module."""
    for thread in threads:
        for frame, address in zip(thread.frames, thread.addresses, strict=True):
            if address is None or not frame.file.endswith(_THREADING):
                continue
            try:
                return _idents(memory, python, global_of(memory, python, address, "_active"))
            except (Unreadable, ValueError):
                return {}
    return {}


def _idents(memory: Memory, python: Interpreter, table: int) -> dict[int, int]:
    tagged = python.version >= (3, 12)
    return {
        int(text_of_value(memory, python.layout, key, tagged)): value
        for key, value in items_of(memory, python, table)
    }


def _name(memory: Memory, python: Interpreter, address: int) -> str:
    try:
        found = attribute_of(memory, python, address, "_name")
        return read_string(memory, python.layout, found, LONGEST) if found else ""
    except Unreadable:
        return ""
