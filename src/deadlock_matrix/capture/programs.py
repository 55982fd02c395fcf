"""What program a process runs, and which processes may be Python: to choose cheaply among many."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

from deadlock_matrix.capture.elf import DELETED, Unusable
from deadlock_matrix.capture.foreign import reading
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.permission import check_access, explain
from deadlock_matrix.capture.proc_files import open_directory, read_small, read_whole
from deadlock_matrix.capture.proc_text import text_of
from deadlock_matrix.capture.python_image import library_of
from deadlock_matrix.model.scan import Program

_PYTHON = re.compile(r"(python|pypy|graalpy)[\d.]*[a-z]{0,2}")


def executable_of(pid: int) -> str:
    """Return the path of its executable, as the process itself sees it; empty if that is hidden.

    Reading the link waits for nobody, unlike reading anything in the process's memory.
    """
    try:
        return str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(DELETED)
    except OSError:
        return ""


def name_of(pid: int) -> str:
    """Return its name as ``ps`` shows it, at most 15 bytes, open to all; empty if it has ended."""
    try:
        return text_of(read_small(f"/proc/{pid}/comm")).rstrip("\n")
    except OSError:
        return ""


def control_groups_of(pid: int) -> tuple[str, ...]:
    """Return the paths of its control groups (cgroups(7)): they name service, pod, container."""
    try:
        lines = text_of(read_small(f"/proc/{pid}/cgroup")).splitlines()
    except OSError:
        return ()
    return tuple(line.split(":", 2)[2] for line in lines if line.count(":") >= 2)


def program_of(pid: int) -> Program:
    """Return what a process runs, after a check that it may be read.

    An executable called ``python3.12`` is taken at its word; in any other, this looks for an
    interpreter: one that is linked into it, or a mapped libpython.

    Raises:
        CaptureError: It cannot be looked at; the message says what to do.
    """
    check_access(pid)
    executable = executable_of(pid)
    try:
        with reading(f"the arguments of process {pid}"):
            raw = read_whole(f"/proc/{pid}/cmdline")
        words = tuple(os.fsdecode(part) for part in raw.split(b"\0")[:-1])
        words = tuple(word.encode("utf-8", "replace").decode() for word in words)
        named = _PYTHON.fullmatch(PurePath(executable).name) is not None
        return Program(words=words, python=named or _holds_python(pid))
    except OSError as error:
        raise explain(pid, error) from None


def _holds_python(pid: int) -> bool:
    directory = open_directory(f"/proc/{pid}")
    try:
        with reading(f"the mappings of process {pid}"), Memory(pid, directory) as memory:
            return library_of(memory) is not None
    except Unusable:
        return False
    finally:
        os.close(directory)
