"""The axes of the matrix, and a cell: one point of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from deadlock_matrix.model.verdict import Verdict


class Interpreter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Python executable. ``name`` is the user's word; what it *is* is in its fingerprint.

    ``set`` are variables without which it would be another one, such as an ``LD_LIBRARY_PATH``; a
    profile's come after them. ``unavailable`` says why there is none: then ``executable`` is empty,
    and its cells come out as unavailable.
    """

    name: str
    executable: str = ""
    set: dict[str, str] = {}
    unavailable: str = ""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named set of environment variables to set, and of variables that must not be set."""

    name: str
    set: dict[str, str] = {}
    unset: tuple[str, ...] = ()
    summary: str = ""


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arrangement of the package under test.

    ``overlays`` are folders laid over each other, later ones on top; the result goes first on
    ``sys.path``. Without overlays the package is what the interpreter finds by itself. ``python``
    is a PEP 440 specifier of the interpreters that can read it, ``requires`` names the
    distributions it needs.
    """

    name: str
    overlays: tuple[str, ...] = ()
    python: str = ""
    requires: tuple[str, ...] = ()
    summary: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The statement that the probe executes; ``requires`` names the distributions it needs."""

    name: str
    statement: str
    requires: tuple[str, ...] = ()
    summary: str = ""


class Calling(StrEnum):
    """From where the entry is called."""

    MAIN = "main"
    THREAD = "thread"  # a second thread; the main one joins it
    TWO_THREADS = "two-threads"  # two at once, released together
    FORK = "fork"  # a child forked after the prelude ran in the parent
    FORK_AGAIN = "fork-again"  # in the process itself, then again in a child forked from it
    SPAWN = "spawn"  # a child of multiprocessing's spawn method
    # Several threads import different submodules of the entry's package at the same moment.
    CONCURRENT_IMPORTS = "concurrent-imports"
    # After the entry, several threads ask the package for different names that it exports lazily.
    CONCURRENT_EXPORTS = "concurrent-exports"


class Stdin(StrEnum):
    """What the probe's standard input is."""

    NULL = "null"  # the null device
    CLOSED_PIPE = "closed-pipe"  # a pipe whose writer is gone: end of file at once
    SILENT_PIPE = "silent-pipe"  # a pipe that stays open and never delivers anything


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the entry is called.

    ``prelude`` runs first, before a fork in the parent; ``requires`` names the distributions that
    it needs.
    """

    name: str
    calling: Calling = Calling.MAIN
    stdin: Stdin = Stdin.NULL
    prelude: str = ""
    requires: tuple[str, ...] = ()
    summary: str = ""


class Role(StrEnum):
    """Why a cell is run."""

    MATRIX = "matrix"
    POSITIVE_CONTROL = "positive-control"
    NEGATIVE_CONTROL = "negative-control"


class Cell(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One point of the matrix, complete: nothing else is needed to run it again.

    ``expect`` lists the verdicts a cell may have without failing the run.
    """

    target: str
    interpreter: Interpreter
    profile: Profile
    layout: Layout
    entry: Entry
    context: Context
    role: Role = Role.MATRIX
    expect: tuple[Verdict, ...] = (Verdict.OK,)
    deadline_s: float = 120.0
    repeat: int = 1  # which of several runs of the same point, counted from 1
    watch_modules: tuple[str, ...] = ()  # whose first importer is recorded

    @property
    def id(self) -> str:
        """The axes' values joined by ``/``, as in ``conda/baseline/installed/api/main``."""
        point = (
            f"{self.interpreter.name}/{self.profile.name}/{self.layout.name}/{self.entry.name}"
            f"/{self.context.name}"
        )
        if self.role is not Role.MATRIX:
            point = f"{self.role.value}/{point}"
        return f"{point}/#{self.repeat}" if self.repeat > 1 else point


Axis = Literal["interpreter", "profile", "layout", "entry", "context"]
AXES: tuple[Axis, ...] = ("interpreter", "profile", "layout", "entry", "context")
