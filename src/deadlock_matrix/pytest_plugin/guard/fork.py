"""Split the process that the user started: the child goes on as pytest, the parent watches.

Forking before anything of the session exists costs two milliseconds; starting pytest anew as a
child would cost its start twice. But a fork copies only one thread. So if libraries have already
started threads, as some do on import, the child restarts as the same command (``sys.orig_argv``),
and if Python threads run, as in a program that calls ``pytest.main``, the option is refused.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from deadlock_matrix.pytest_plugin.guard.left import prepare

_FOLDER_VARIABLE = "DEADLOCK_MATRIX_GUARD"
"""Set only in a child that restarted, and removed as soon as it has been read there."""

_DONE = "done.json"

_inside: Path | None = None
"""The folder of journals, in the process under watch: it does not split again."""


def folder() -> Path | None:
    """Return where this process writes its journal, if it is under watch."""
    global _inside
    if _inside is None and _FOLDER_VARIABLE in os.environ:
        _inside = Path(os.environ.pop(_FOLDER_VARIABLE))
    return _inside


class Split(NamedTuple):
    """What the parent knows after `split`: its child, and where journals are."""

    child: int
    folder: Path


def split() -> Split | None:
    """Fork. Return None in the child, which goes on as pytest.

    Raises:
        pytest.UsageError: This process cannot be split.
    """
    global _inside
    if not hasattr(os, "fork"):
        raise pytest.UsageError(
            "--prove-hangs needs fork(2), which this system does not have: "
            "use 'deadlock-matrix watch -- python -m pytest' instead"
        )
    if threading.active_count() > 1:
        names = ", ".join(sorted(thread.name for thread in threading.enumerate()))
        raise pytest.UsageError(
            "--prove-hangs has to fork before the session begins, and this process has several "
            f"Python threads already ({names}): start pytest as a command of its own"
        )
    journals = Path(tempfile.mkdtemp(prefix="prove-hangs-"))
    prepare(journals)
    sys.stdout.flush()
    sys.stderr.flush()
    _share_what_exists()
    child = os.fork()
    if child:
        return Split(child, journals)
    end_with_parent()
    if _native_threads() > 1:
        _begin_anew(journals)
    _inside = journals
    return None


def split_again(journals: Path) -> Split:
    """Start the same command once more, for the tests that are left."""
    child = os.fork()
    if child:
        return Split(child, journals)
    end_with_parent()
    _begin_anew(journals)


def leave_done(journals: Path, tests: list[str]) -> None:
    """Leave the tests that are not to be run again for the next session."""
    (journals / _DONE).write_text(json.dumps(tests), encoding="utf-8")


def done(journals: Path) -> frozenset[str]:
    """Return the tests that an earlier session has run."""
    path = journals / _DONE
    return frozenset(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else frozenset()


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (prctl(2), PR_SET_PDEATHSIG).

    Somebody who kills the process that he started wants the session gone, with its workers.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _share_what_exists() -> None:
    """Keep the garbage collector from writing into all objects, which would copy their memory.

    That costs more than all else that the fork brings with it. Until the interpreter ends, garbage
    among these objects, which pytest made while it started, is not collected.
    """
    gc.freeze()
    atexit.register(gc.unfreeze)


def _begin_anew(journals: Path) -> NoReturn:
    os.environ[_FOLDER_VARIABLE] = str(journals)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _native_threads() -> int:
    """Return how many threads the parent has: the child has one, whatever it looks like inside."""
    try:
        return sum(1 for _ in Path(f"/proc/{os.getppid()}/task").iterdir())
    except OSError:
        return 1
