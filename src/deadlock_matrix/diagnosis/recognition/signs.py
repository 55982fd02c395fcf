"""What a known cause leaves behind: one type for each place to look for it.

Patterns are regular expressions. A named group, ``(?P<module>...)``, must match the same text
wherever its name occurs in one sign.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from deadlock_matrix.model.cell import Calling, Stdin
from deadlock_matrix.model.verdict import NodeKind, Verdict

Waiting = Literal[
    "futex",  # without a time limit: a lock, a join, a condition
    "timed-futex",
    "gil",
    "child",
    "read",
    "write",
    "poll",
    "sleep",
    "running",
    "other",
]


class Sign(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="kebab",
    tag_field="sign",
):
    """One thing to look for. ``what`` is shown to people: "the child waits in a library"."""

    what: str

    telling: ClassVar[bool] = False
    """Whether it suggests this cause by itself; a platform or a version alone does not."""


class OutputSign(Sign, frozen=True, kw_only=True, tag="output"):
    """A text that was printed.

    ``meanings`` explain what a named group matched: ``meanings.line.452 = "LTS 20230802"``.
    """

    stream: Literal["stderr", "stdout"] = "stderr"
    pattern: str
    meanings: dict[str, dict[str, str]] = {}

    telling: ClassVar[bool] = True


class RaisedSign(Sign, frozen=True, kw_only=True, tag="raised"):
    """The exception that ended the entry: all of its type, and a part of its message."""

    type: str = ".*"
    message: str = ""

    telling: ClassVar[bool] = True


class EndSign(Sign, frozen=True, kw_only=True, tag="end"):
    """How the process ended by itself: one of these exit statuses or signals."""

    statuses: tuple[int, ...] = ()
    signals: tuple[int, ...] = ()


class VerdictSign(Sign, frozen=True, kw_only=True, tag="verdict"):
    """One of these verdicts."""

    verdicts: tuple[Verdict, ...]


class ContextSign(Sign, frozen=True, kw_only=True, tag="context"):
    """How the entry was called, and what its standard input was; empty for any."""

    calling: tuple[Calling, ...] = ()
    stdin: tuple[Stdin, ...] = ()


class PlatformSign(Sign, frozen=True, kw_only=True, tag="platform"):
    """The system (``linux``, ``darwin``, ``win32``), and the version of glibc there."""

    systems: tuple[str, ...] = ()
    glibc: str = ""  # a PEP 440 specifier


class PackagesSign(Sign, frozen=True, kw_only=True, tag="packages"):
    """Distributions that are all installed, by PEP 440 specifier; empty for any version."""

    versions: dict[str, str] = {}
    python: str = ""


class EnvironmentSign(Sign, frozen=True, kw_only=True, tag="environment"):
    """Variables that were set when the process began; the pattern is for the whole value."""

    variables: dict[str, str]


class LibrariesSign(Sign, frozen=True, kw_only=True, tag="libraries"):
    """Libraries mapped in one process, a different one for each pattern of a file's name."""

    together: tuple[str, ...]

    telling: ClassVar[bool] = True


class SymbolsSign(Sign, frozen=True, kw_only=True, tag="symbols"):
    """A weak symbol that this many different libraries export, by mangled or plain name."""

    pattern: str
    exporters: int = 2


class ImportsSign(Sign, frozen=True, kw_only=True, tag="imports"):
    """Modules that import one another, outermost first: under way in a thread, or finished."""

    chain: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

    telling: ClassVar[bool] = True


class ProofSign(Sign, frozen=True, kw_only=True, tag="proof"):
    """A proof with nodes of all these kinds.

    ``label`` is looked for in the labels of its nodes, ``source`` in where its edges were read.
    """

    nodes: tuple[NodeKind, ...] = ()
    label: str = ""
    source: str = ""

    telling: ClassVar[bool] = True


class Frame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One frame: all of the function's name, parts of the file's path and of recorded values."""

    function: str = ".*"
    file: str = ""
    values: dict[str, str] = {}


class NativeFramePattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One native frame: a part of the symbol's name, and the beginning of the library's."""

    symbol: str = ""
    library: str = ""


class ThreadPattern(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """One thread; a field that is left out matches anything.

    ``frames`` and ``native`` are on its stack in this order, outermost first, with others in
    between; ``innermost``: the last of ``frames`` is the last Python frame there is. ``blocked-in``
    and ``word-in`` are the beginnings of file names: the library whose code the thread is blocked
    in, and the one whose data contains its lock. ``word`` is the beginning of its lock, in
    hexadecimal as it lies in memory. ``lock`` is a part of the proof's name for what it waits for,
    and ``does`` of what the judgement says that it does. ``forked``: it is in a process that was
    forked and runs the same program. ``alone``: its process has no other.
    """

    waits: tuple[Waiting, ...] = ()
    descriptors: tuple[int, ...] = ()  # of its read or write
    blocked_in: str = ""
    word_in: str = ""
    word: str = ""
    lock: str = ""
    does: str = ""
    frames: tuple[Frame, ...] = ()
    innermost: bool = False
    native: tuple[NativeFramePattern, ...] = ()
    holds_gil: bool = False
    forked: bool = False
    alone: bool = False


class ThreadsSign(Sign, frozen=True, kw_only=True, tag="threads"):
    """Different threads, of one process or of the whole tree."""

    within: Literal["process", "tree"] = "process"
    thread: Annotated[tuple[ThreadPattern, ...], msgspec.Meta(min_length=1, max_length=3)]

    telling: ClassVar[bool] = True


class ReaderSign(Sign, frozen=True, kw_only=True, tag="reader"):
    """What no program can see: somebody who knows the code must look."""


AnySign = (
    OutputSign
    | RaisedSign
    | EndSign
    | VerdictSign
    | ContextSign
    | PlatformSign
    | PackagesSign
    | EnvironmentSign
    | LibrariesSign
    | SymbolsSign
    | ImportsSign
    | ProofSign
    | ThreadsSign
    | ReaderSign
)
