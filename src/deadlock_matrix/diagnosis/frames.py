"""Whose code a Python frame runs: the user's own, an installed package's, or Python's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from deadlock_matrix.diagnosis.text import count
from deadlock_matrix.model.frames import PythonFrame

_INSTALLED = re.compile(r"/(?:site|dist)-packages/([^/]+)")
_STANDARD = re.compile(
    r"(?:/lib(?:32|64)?/(?:python|pypy)\d+(?:\.\d+)?t?/|^[A-Za-z]:/.*/Lib/|/python\d+\.zip/)"
)
"""A prefix's own folder on POSIX; ``Lib`` on Windows; an embedded zip."""

_MACHINERY = frozenset(
    {"_pytest", "pytest", "unittest", "pluggy", "xdist", "execnet", "importlib", "runpy"}
)
"""Packages whose frames lead to the user's code and tell nothing of it."""

_BEGINNINGS = {
    "threading": frozenset({"_bootstrap", "_bootstrap_inner", "run"}),
    "multiprocessing": frozenset(
        {"start", "_Popen", "__init__", "_launch", "_bootstrap", "run", "_main", "spawn_main"}
    ),
}
"""Functions by which a thread or a process begins; what else these packages do, a reader sees."""

_FORKS = "/multiprocessing/popen_fork.py"
_PROBE = "deadlock_matrix/probe/probe.py"
LEAST_FOLDED = 2


class Fold(NamedTuple):
    """Frames that stand in a row and are told by their number alone.

    No package: a fork copied them, and the process has not been there itself.
    """

    frames: tuple[PythonFrame, ...]
    packages: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``12 frames of _pytest and pluggy``."""
        number = count(len(self.frames), "frame")
        if not self.packages:
            return f"{number} from before the fork"
        *most, last = self.packages
        return f"{number} of {', '.join(most)} and {last}" if most else f"{number} of {last}"


def is_users(frame: PythonFrame) -> bool:
    """Return whether a frame runs neither the standard library nor an installed package."""
    path = frame.file.replace("\\", "/")
    return not (path.startswith("<frozen ") or _INSTALLED.search(path) or _is_standard(path))


def is_probes(frame: PythonFrame) -> bool:
    """Whether a frame is of the script that runs a cell, which is no business of a reader."""
    return _slashes(frame).endswith(_PROBE)


def users_frame(frames: Sequence[PythonFrame]) -> PythonFrame | None:
    """Return the line in which a reader looks first.

    The innermost frame of the user's own code; where there is none, that of an installed package
    that does not merely lead to it; ``None`` where Python's own frames are all there is.
    """
    frames = frames[_copied(frames) :]
    for frame in reversed(frames):
        if is_users(frame):
            return frame
    for frame in reversed(frames):
        package = package_of(frame)
        if package and package not in _MACHINERY and _INSTALLED.search(_slashes(frame)):
            return frame
    return None


def fold(frames: Sequence[PythonFrame]) -> Iterator[PythonFrame | Fold]:
    """The frames, outermost first, with machinery folded; the innermost frame always stands."""
    copied = _copied(frames)
    if copied:
        yield Fold(tuple(frames[:copied]))
    *outer, innermost = frames[copied:] or (None,)
    if innermost is None:
        return
    for machinery, run in groupby(outer, _is_machinery):
        row = tuple(run)
        if machinery and len(row) >= LEAST_FOLDED:
            yield Fold(row, tuple(dict.fromkeys(map(package_of, row))))
        else:
            yield from row
    yield innermost


def package_of(frame: PythonFrame) -> str:
    """The package, or module of the standard library, that a frame belongs to; empty: the user's.

    ``_pytest``, ``requests``, ``importlib``, ``runpy``, ``threading``.
    """
    path = _slashes(frame)
    if path.startswith("<frozen "):
        return path.removeprefix("<frozen ").rstrip(">").partition(".")[0]
    if found := _INSTALLED.search(path):
        return found[1].removesuffix(".py")
    found = _STANDARD.search(path)
    return path[found.end() :].partition("/")[0].removesuffix(".py") if found else ""


def _copied(frames: Sequence[PythonFrame]) -> int:
    """How many outer frames a fork of multiprocessing copied: those down to where it forked."""
    for at in range(len(frames) - 2, -1, -1):
        path = _slashes(frames[at])
        if frames[at].function.endswith("_launch") and path.endswith(_FORKS):
            return at + 1
    return 0


def _is_machinery(frame: PythonFrame) -> bool:
    package = package_of(frame)
    if package in _BEGINNINGS:
        return frame.function.rpartition(".")[2] in _BEGINNINGS[package]
    return package in _MACHINERY or package.startswith("pytest_")


def _is_standard(path: str) -> bool:
    return _STANDARD.search(path) is not None


def _slashes(frame: PythonFrame) -> str:
    return frame.file.replace("\\", "/")
