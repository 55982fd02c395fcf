"""Which variables of a frame may leave the target, and in which form.

A proof needs a few of the standard library's own: which thread is joined, which module is imported.
A file of an application may have the same name, and its variables may hold anything. So a value is
kept only if its frame's file lies in a folder of the interpreter's own standard library, and only
if it has a form that no user's data has: an object's type and address, a number, the name of a
module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from msgspec.structs import replace

from deadlock_matrix.capture.standard_library import folder_of
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ThreadStack

FROZEN = re.compile(r"<frozen importlib\._bootstrap(_external)?>")

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
    threads: tuple[ThreadStack, ...], places: Iterable[PurePosixPath]
) -> tuple[ThreadStack, ...]:
    """Return the stacks without any value that is not needed, or that could be somebody's data.

    Args:
        threads: The threads of one process.
        places: Where its interpreter lies; see `standard_library.places_of`.
    """
    places = tuple(places)
    checked: dict[str, bool] = {}

    def is_standard(file: str) -> bool:
        if file not in checked:
            checked[file] = bool(FROZEN.fullmatch(file)) or bool(folder_of(file, places))
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
