"""The CPython in a process: the file it is mapped from, its version, the layout of its objects."""

from __future__ import annotations

import os

import msgspec

from deadlock_matrix.capture.debug_offsets import read_offsets
from deadlock_matrix.capture.elf import DELETED, Unusable, loaded
from deadlock_matrix.capture.elf_file import Loaded
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.python_functions import CODE_LAYOUTS, CodeLayout
from deadlock_matrix.capture.python_objects import ObjectLayout, layout_of

_OLDEST = (3, 8)


class PythonImage(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to read objects of one process.

    ``version`` is (3, 8) for everything up to 3.10: ``Py_Version`` came with 3.11, and nothing that
    is read here differs among the versions before it.
    """

    path: str
    runtime: tuple[int, int]  # first address, and the one just past the last
    none: int
    version: tuple[int, int]
    layout: ObjectLayout
    code: CodeLayout


def library_of(memory: Memory) -> Loaded | None:
    """Return the one loaded file that exports ``_PyRuntime``: the executable or a libpython.

    Raises:
        Unusable: A candidate is not readable, or there are two.
        OSError: The mappings cannot be read.
    """
    executable = os.readlink("exe", dir_fd=memory.directory)
    found: list[Loaded] = []
    for library in memory.maps.libraries():
        name = library.path.removesuffix(DELETED).rpartition("/")[2]
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


def image_of(memory: Memory, library: Loaded) -> PythonImage:
    """Find out how to read the objects of the CPython in ``library``.

    Raises:
        Unusable: A symbol that is needed is not exported.
        Unreadable: Its memory cannot be read, or its objects have an unknown layout.
    """
    runtime, none = library.range_of("_PyRuntime"), library.range_of("_Py_NoneStruct")
    if runtime is None or none is None:
        raise Unusable(f"{library.path} does not export _Py_NoneStruct")
    offsets = read_offsets(memory, runtime[0])
    at = library.range_of("Py_Version")
    number = offsets.get("version") or (memory.number(at[0]) if at else 0)
    version = (number >> 24 & 0xFF, number >> 16 & 0xFF) if number else _OLDEST
    if "code_object.filename" in offsets:
        code = CodeLayout(
            file=offsets["code_object.filename"], first_line=offsets["code_object.firstlineno"]
        )
    else:
        code = next(layout for since, layout in CODE_LAYOUTS if version >= since)
    return PythonImage(
        path=library.path,
        runtime=runtime,
        none=none[0],
        version=version,
        layout=layout_of(memory, none[0]),
        code=code,
    )
