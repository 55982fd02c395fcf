"""What one run of one cell showed: raw facts, no interpretation.

There may be a hundred thousand results at once. None is part of a cycle, so the types of which each
result has its own are left out of the garbage collector's searches (``gc=False``).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Aside, Known, Unknown
from deadlock_matrix.model.verdict import Judgement, Verdict


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag_field="ended", tag="exited"):
    """The process ended by itself."""

    status: int


class Signalled(msgspec.Struct, frozen=True, kw_only=True, tag_field="ended", tag="signalled"):
    """A signal that we did not send ended the process."""

    signal: int


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag_field="ended", tag="stopped"):
    """We ended it: a proof was found, or the deadline came."""

    reason: Literal["proved", "likely", "deadline", "interrupted"]


End = Exited | Signalled | Stopped
Phase = Literal["start", "prelude", "entry", "exit", "ended"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of one stream: the first and the last bytes kept, as text.

    ``size`` counts all bytes written; ``kept`` is the text, with a line in place of what was cut.
    """

    size: int
    kept: str


class ImportStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``module`` was first imported by ``importer`` at ``file``:``line``."""

    module: str
    importer: str
    file: str
    line: int


class ProbeFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a probe that finished its entry says about itself."""

    python: str  # "3.11.7"
    entry_s: float  # wall-clock seconds for the entry alone
    prelude_s: float
    modules_before: int
    modules_after: int
    top_levels: dict[str, int]  # top-level package -> number of its modules that the entry loaded
    watched: dict[str, int]  # watched module -> how many times its file was executed
    chains: dict[str, tuple[ImportStep, ...]]  # watched module -> steps from the entry to it
    imported_s: dict[str, float]  # watched module -> when its import began
    own_modules: tuple[str, ...]  # of the packages that the entry names, as their imports ended
    native_libraries: Known[tuple[str, ...]] | Unknown
    threads: Known[tuple[str, ...]] | Unknown  # names, as the kernel has them
    python_threads: int
    peak_memory_kib: Known[int] | Unknown


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """The exception with which the entry ended."""

    type: str
    message: str
    traceback: str  # cut to its last lines


class Leftovers(msgspec.Struct, frozen=True, kw_only=True):
    """How the process tree was ended: how many were in it, and who could not be ended."""

    ended: int
    alive: tuple[str, ...]


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything seen of one probe. Times are seconds from the start of the process."""

    phase: Phase  # how far it came
    end: End
    duration_s: float
    last_progress_s: Known[float] | Unknown
    probe: Known[ProbeFacts] | Unknown
    raised: Raised | None  # None: the entry raised nothing that the probe saw
    stdout: Output
    stderr: Output
    evidence: Known[Evidence] | Unknown | Aside
    leftovers: Leftovers  # what was still there when it was ended, and what could not be
    command: tuple[str, ...]
    environment: dict[str, str] = {}  # the profile's variables and those of known prefixes
    progressing: Known[bool] | Unknown = Unknown(reason="it was not stopped at its deadline")
    began_s: float = 0.0  # CLOCK_MONOTONIC when the watch began, as in the evidence


class CellResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One cell with its observation and what was concluded. ``why`` is one sentence.

    ``content`` is the digest of the code under test, empty if unknown. ``taken_from`` names the run
    from which this result was taken, instead of running the cell again; empty if it was run.
    ``machine`` is a key of the report's ``machines``; empty for where the run was started.
    """

    cell: Cell
    verdict: Verdict
    why: str
    observation: Known[Observation] | Unknown  # unknown: the cell could not be run at all
    judgement: Judgement | None = None  # None: nothing hung, so there was nothing to judge
    detected_after_s: float | None = None  # from the last progress to the proof
    content: str = ""
    taken_from: str = ""
    machine: str = ""

    @property
    def seen(self) -> Observation | None:
        """What was seen of the run; ``None`` if it could not be run."""
        return self.observation.value if isinstance(self.observation, Known) else None

    @property
    def probe(self) -> ProbeFacts | None:
        """What the probe said about itself; ``None`` if it did not get that far."""
        if not isinstance(self.observation, Known):
            return None
        probe = self.observation.value.probe
        return probe.value if isinstance(probe, Known) else None

    @property
    def evidence(self) -> Evidence | None:
        """What was read when it hung; ``None`` if nothing was, or if it lies aside."""
        return self.seen.evidence.or_else(None) if self.seen is not None else None

    @property
    def as_expected(self) -> bool:
        """Whether the cell came out as expected; unavailable is never a failure."""
        return self.verdict in self.cell.expect or self.verdict is Verdict.UNAVAILABLE
