"""Where the interpreter's own library lies: others have files of the same names.

It lies in ``lib/pythonX.Y`` or ``lib64/pythonX.Y`` beside or above the folder of the executable or
of libpython, or in ``Lib`` beside an executable that was not installed (``Modules/getpath.py``).
Told from the kernel's paths alone, without a look at any file: a library that is reached through a
link, moved by PYTHONHOME, or packed into a zip file is not told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from deadlock_matrix.capture.elf import DELETED
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import reason_of
from deadlock_matrix.capture.proc_text import text_of
from deadlock_matrix.model.evidence import ThreadStack
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_FOLDER = re.compile(r"python3\.\d+t?")


def standard_library(
    memory: Memory, threads: Iterable[ThreadStack]
) -> Known[tuple[str, ...]] | Unknown:
    """The folder, as far as the files of the frames show it.

    Args:
        memory: of the process; its directory is that of ``/proc/PID``.
        threads: with their Python frames.
    """
    files = {frame.file for thread in threads for frame in thread.python}
    folders = {PurePosixPath(file).parent for file in files if file.endswith("/threading.py")}
    try:
        places = list(_places(memory))
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}/exe"))
    found = sorted(str(folder) for folder in folders if any(_belongs(folder, p) for p in places))
    return known(tuple(found), "the folder beside the executable or libpython")


def _places(memory: Memory) -> Iterator[PurePosixPath]:
    """The folders of the executable and of libpython."""
    executable = text_of(os.fsencode(os.readlink("exe", dir_fd=memory.directory)))
    yield PurePosixPath(executable.removesuffix(DELETED)).parent
    for library in memory.maps.libraries():
        path = PurePosixPath(library.path.removesuffix(DELETED))
        if path.name.startswith("libpython"):
            yield path.parent


def _belongs(folder: PurePosixPath, place: PurePosixPath) -> bool:
    if folder == place / "Lib":
        return True
    if not _FOLDER.fullmatch(folder.name) or folder.parent.name not in ("lib", "lib64"):
        return False
    return folder.parent.parent in place.parents
