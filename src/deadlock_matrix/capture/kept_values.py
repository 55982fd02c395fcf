"""Which variables of a frame may leave the target, and in which form.

A proof needs a few of the standard library's own: which thread is joined, which module imported.
A file of an application may have the same name, and its variables may hold anything. So a value is
kept only of a frame whose file lies in a folder of the interpreter's own standard library, and only
if it has a form that no user's data has: an object's type and address, a number, the name of a
module. Such folders are told by what is mapped: the executable, libpython, and the standard
library's extension modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from msgspec.structs import replace

from deadlock_matrix.capture.elf import DELETED
from deadlock_matrix.model.evidence import PythonFrame, ThreadStack

FROZEN = re.compile(r"<frozen importlib\._bootstrap(_external)?>")
_FOLDER = re.compile(r"(?P<prefix>.*)/(?P<library>(?:lib|lib64)/python3\.\d+t?|Lib)/")
_UP = 4  # folders from an executable or a libpython up to the prefix, at most

_OBJECT = re.compile(r"<[\w.<>]+ (?:object )?at 0x[0-9a-f]+>")
_NUMBER = re.compile(r"None|True|False|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_MODULE = re.compile(r"""(['"])[A-Za-z_]\w*(?:\.\w+)*\1""")
_FORMS = {
    "self": (_OBJECT,),
    "lock": (_OBJECT,),
    "spec": (_OBJECT,),
    "timeout": (_NUMBER,),
    "block": (_NUMBER,),
    "name": (_MODULE, _NUMBER),
}


def keep_only_needed(
    threads: tuple[ThreadStack, ...], mapped: Iterable[str]
) -> tuple[ThreadStack, ...]:
    """The stacks without any value that is not needed, or that could be somebody's data.

    Args:
        threads: of one process.
        mapped: the paths of the files mapped into it.
    """
    places = tuple(PurePosixPath(path.removesuffix(DELETED)) for path in mapped)
    checked: dict[str, bool] = {}

    def is_standard(file: str) -> bool:
        if file not in checked:
            checked[file] = bool(FROZEN.fullmatch(file)) or _is_standard(file, places)
        return checked[file]

    def keep(frame: PythonFrame) -> PythonFrame:
        if not frame.values:
            return frame
        standard = is_standard(frame.file)
        values = {
            name: value
            for name, value in frame.values.items()
            if standard and any(form.fullmatch(value) for form in _FORMS.get(name, ()))
        }
        return frame if values == frame.values else replace(frame, values=values)

    return tuple(replace(thread, python=tuple(map(keep, thread.python))) for thread in threads)


def _is_standard(file: str, mapped: tuple[PurePosixPath, ...]) -> bool:
    """Whether ``PREFIX/lib/python3.N/...`` belongs to an interpreter that is mapped."""
    found = _FOLDER.match(file)
    if found is None or "/site-packages/" in file or "/dist-packages/" in file:
        return False
    folder = PurePosixPath(found["prefix"], found["library"])
    prefix = PurePosixPath(found["prefix"])
    for path in mapped:
        if path.parent == folder / "lib-dynload":
            return True
        is_python = path.name.startswith(("python", "libpython"))
        if is_python and prefix in list(path.parents)[:_UP]:
            return True
    return False
