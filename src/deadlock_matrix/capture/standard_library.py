"""Where the interpreter's own library is: other files have the same names.

It is in ``lib/pythonX.Y`` or ``lib64/pythonX.Y`` beside or above the folder of the executable or of
libpython, or in ``Lib`` beside an executable that was not installed (``Modules/getpath.py``). This
uses only the paths that the kernel shows, and looks at no file: it does not recognise a library
that is reached through a link, moved by PYTHONHOME, or packed into a zip file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from deadlock_matrix.capture.elf import DELETED
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_text import text_of
from deadlock_matrix.model.stack_facts import ThreadStack

_FOLDER = re.compile(r"(?P<prefix>.*)/(?:lib|lib64)/python3\.\d+t?(?=/)")
_NOT_INSTALLED = re.compile(r"(?P<prefix>.*)/Lib(?=/)")
_OTHERS = ("/site-packages/", "/dist-packages/")


def places_of(memory: Memory) -> tuple[PurePosixPath, ...]:
    """Return the folders of the executable and of libpython.

    Raises:
        OSError: They cannot be read.
    """
    executable = text_of(os.fsencode(os.readlink("exe", dir_fd=memory.directory)))
    files = [executable, *(library.path for library in memory.maps.libraries())]
    paths = [file.removesuffix(DELETED) for file in files]
    return tuple(
        PurePosixPath(path).parent
        for at, path in enumerate(paths)
        if at == 0 or path.rpartition("/")[2].startswith("libpython")
    )


def folder_of(file: str, places: Iterable[PurePosixPath]) -> str:
    """Return the folder of the interpreter's own library in which a file lies; empty if none.

    Args:
        file: As a frame spells it.
        places: The folders of the executable and of libpython.
    """
    if any(part in file for part in _OTHERS):
        return ""
    installed = _FOLDER.match(file)
    if installed is not None:
        prefix = PurePosixPath(installed["prefix"] or "/")
        return installed[0] if any(prefix in place.parents for place in places) else ""
    beside = _NOT_INSTALLED.match(file)
    if beside is not None and PurePosixPath(beside["prefix"] or "/") in places:
        return beside[0]
    return ""


def standard_library(
    threads: Iterable[ThreadStack], places: tuple[PurePosixPath, ...]
) -> tuple[str, ...]:
    """Return the folder, as spelled by the frames in its ``threading.py``."""
    files = {frame.file for thread in threads for frame in thread.python}
    folders = {file: folder_of(file, places) for file in files}
    return tuple(
        sorted(folder for file, folder in folders.items() if f"{folder}/threading.py" == file)
    )
