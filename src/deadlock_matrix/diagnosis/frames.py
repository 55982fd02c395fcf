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
"""Packages whose frames lead to the user's code and say nothing about it."""

_BEGINNINGS = {
    "threading": frozenset({"_bootstrap", "_bootstrap_inner", "run"}),
    "multiprocessing": frozenset(
        {"start", "_Popen", "__init__", "_launch", "_bootstrap", "run", "_main", "spawn_main"}
    ),
}
"""Functions by which a thread or a process begins; readers see all else in these packages."""

_FORKS = "/multiprocessing/popen_fork.py"
_PROBE = "deadlock_matrix/probe/probe.py"
LEAST_FOLDED = 2


class Fold(NamedTuple):
    """Consecutive frames of which only the number is shown.

    Without a package: a fork copied them, and the process has not been there itself.
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
    """Return whether a frame is in the script that runs a cell, which does not concern a reader."""
    return _slashes(frame).endswith(_PROBE)


def users_frame(frames: Sequence[PythonFrame]) -> PythonFrame | None:
    """Return the line at which a reader looks first.

    That is the innermost frame of the user's own code; without one, that of an installed package
    that does not merely lead to it; ``None`` if there are only Python's own frames.
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
    """Yield the frames, outermost first, with machinery folded; the innermost is always shown."""
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
    """Return the package or standard library module that a frame is in; empty for the user's code.

    Such as ``_pytest``, ``requests``, ``importlib``, ``runpy``, ``threading``.
    """
    path = _slashes(frame)
    if path.startswith("<frozen "):
        return path.removeprefix("<frozen ").rstrip(">").partition(".")[0]
    if found := _INSTALLED.search(path):
        return found[1].removesuffix(".py")
    found = _STANDARD.search(path)
    return path[found.end() :].partition("/")[0].removesuffix(".py") if found else ""


def _copied(frames: Sequence[PythonFrame]) -> int:
    """Return how many outer frames a fork of multiprocessing copied: those up to the fork."""
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
