"""One diagnosis: what was asked, what was run, what it showed and what helps."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from deadlock_matrix.model.cell import Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Tool

DIAGNOSIS_VERSION = 1
HUNG = ("deadlock", "hang")
"""How `Reproducer.alone` begins for a script that hangs."""


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Target(_Frozen, frozen=True, kw_only=True):
    """What is diagnosed, and what else may be tried with it.

    ``profile`` leaves the caller's environment as it is, or says what differs. ``contexts`` are
    tried in order until one hangs. Everything ``other_`` is a remedy to try; the profiles and
    interpreters are also other ways to look for a hang. ``deadline_s`` is for one run, ``budget_s``
    for all of them together, which does not cut off a run that has begun. ``runs`` is how many runs
    may be made to find a rare hang.
    """

    name: str
    interpreter: Interpreter
    profile: Profile
    layout: Layout
    entry: Entry
    contexts: tuple[Context, ...]
    other_profiles: tuple[Profile, ...] = ()
    other_interpreters: tuple[Interpreter, ...] = ()
    other_layouts: tuple[Layout, ...] = ()
    other_entries: tuple[Entry, ...] = ()
    watch_modules: tuple[str, ...] = ()
    path: str = ""  # the folder in which modules are looked for first
    script: str = ""  # the file that the statement executes
    script_text: str = ""  # its contents
    arguments: tuple[str, ...] = ()  # the script's
    deadline_s: float = 30.0
    budget_s: float = 50.0
    runs: int = 10
    thorough: bool = False  # look at it from everywhere even if one run takes long


class Rate(_Frozen, frozen=True, kw_only=True):
    """How many of several runs of the same cell hung."""

    hangs: int
    runs: int


class Interval(_Frozen, frozen=True, kw_only=True):
    """The range of the true rate, at the stated confidence."""

    low: float
    high: float
    confidence: float


class Series(_Frozen, frozen=True, kw_only=True):
    """Runs of the target from one context, without any remedy."""

    context: str
    rate: Rate


class SourceLine(_Frozen, frozen=True, kw_only=True):
    """A line of source that a thread is in; ``text`` is empty if it could not be read."""

    file: str
    line: int
    function: str
    text: str = ""


class Sample(_Frozen, frozen=True, kw_only=True):
    """Where a run was for some seconds, seen from outside as often as ``times`` says.

    ``call`` is the number of the system call in which it slept, empty if it ran; ``detail`` says
    what that waited for, if that was read.
    """

    frames: tuple[PythonFrame, ...]
    call: str
    detail: str
    seconds: float
    times: int = 1


class ImportTime(_Frozen, frozen=True, kw_only=True):
    """A module's import, with the imports it caused: seconds by itself, and altogether."""

    module: str
    importer: SourceLine | None
    total_s: float
    own_s: float
    children: tuple[ImportTime, ...] = ()


class LineTime(_Frozen, frozen=True, kw_only=True):
    """A line of the user's or a package's on which a run spent time, and what it did there."""

    line: SourceLine
    doing: str
    seconds: float


class Saving(_Frozen, frozen=True, kw_only=True):
    """What is saved by importing modules when they are first used, or by changing a line.

    Measured by one run.
    """

    modules: tuple[ImportTime, ...]
    change: Change | None = None
    before_s: float
    after_s: Known[float] | Unknown


class Times(_Frozen, frozen=True, kw_only=True):
    """Where a run's time went, from samples taken from outside.

    What took less than ``coarse_s`` was seen once or twice, or by chance not at all.
    """

    seconds: float
    sampled_s: float
    coarse_s: float = 0.0
    modules: tuple[ImportTime, ...]
    lines: tuple[LineTime, ...]
    saving: Saving | None = None


class Stuck(_Frozen, frozen=True, kw_only=True):
    """A stuck thread: what it does, and the user's lines that led there, innermost last."""

    thread: str
    does: str
    lines: tuple[SourceLine, ...]


class Change(_Frozen, frozen=True, kw_only=True):
    """A change of the user's source: lines and their replacements.

    ``call`` is the function that must be called once the import has ended. If not ``tried``, a run
    would not show its effect.
    """

    name: str
    file: str
    line: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    why: str
    call: str = ""
    tried: bool = True


class RemedyKind(StrEnum):
    """What a remedy changes."""

    VARIABLES = "variables"
    LAYOUT = "layout"
    ENTRY = "entry"
    CONTEXT = "context"
    ORDER = "order"
    SOURCE = "source"


class Remedy(_Frozen, frozen=True, kw_only=True):
    """A change to try: each part that differs from the target's own replaces that."""

    kind: RemedyKind
    name: str
    summary: str
    profile: Profile
    layout: Layout
    entry: Entry
    context: Context
    change: Change | None = None


class Effect(StrEnum):
    """What was measured of a remedy, from best to worst."""

    CURES = "cures"  # enough clean runs to rule out that it does nothing
    CLEAN = "clean"  # clean so far, but in too few runs to rule that out
    HELPS = "helps"  # hangs, but less often
    NOTHING = "does nothing"  # hangs, and nothing shows that it does so less or more often
    WORSE = "makes it worse"
    FAILS = "fails"  # does not hang, but fails by itself: with an exception, a status, a signal
    SLOW = "slow"  # was still moving at the deadline
    UNTRIED = "not tried"


class Threads(_Frozen, frozen=True, kw_only=True):
    """How many threads the process had when it hung, and after the remedied entry."""

    before: Known[int] | Unknown
    after: Known[int] | Unknown


class Trial(_Frozen, frozen=True, kw_only=True):
    """A remedy, with what was measured of it.

    ``needed`` is how many clean runs a cure must have before it may be claimed, decided before the
    first. ``entry_s`` is the median of the seconds that the clean runs' entries took. ``why`` is
    the sentence of the run that decided.
    """

    remedy: Remedy
    effect: Effect
    rate: Rate
    needed: int
    entry_s: Known[float] | Unknown
    threads: Threads
    why: str = ""


class Outcome(StrEnum):
    """How a diagnosis ends."""

    DEADLOCK = "deadlock"
    HANG = "hang"
    CLEAN = "does not hang"
    SLOW = "slow"
    FAILED = "fails by itself"
    UNAVAILABLE = "unavailable"


class Check(_Frozen, frozen=True, kw_only=True):
    """One line of the checklist: a statement, whether it holds, and what was measured."""

    text: str
    holds: Known[bool] | Unknown
    detail: str


class HeavyImport(_Frozen, frozen=True, kw_only=True):
    """A package that the entry loaded, how many of its modules, and who imported it."""

    name: str
    modules: int
    imported_by: Known[str] | Unknown


class ImportCost(_Frozen, frozen=True, kw_only=True):
    """What the entry costs: median seconds of the runs that ended, and modules loaded."""

    seconds: float
    runs: int
    modules: int
    heavy: tuple[HeavyImport, ...]


class Minimised(_Frozen, frozen=True, kw_only=True):
    """What is left of several elements when none of them can go; ``whole`` if that was proved.

    If not ``whole``, the time was up, and some elements may be superfluous.
    """

    of: str  # the remedy or entry whose elements they are
    elements: tuple[str, ...]
    out_of: int
    probes: int
    whole: bool


class Reproducer(_Frozen, frozen=True, kw_only=True):
    """A script that shows the hang without this tool, and what it did when run alone.

    Alone means in an empty folder, without a single environment variable. ``missing`` says what
    keeps it from being self-contained, ``variables`` which of the caller's variables it needs.
    """

    text: str
    alone: Known[str] | Unknown = Unknown(reason="it was not run")
    missing: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # distributions, as pip spells them
    variables: Minimised | None = None
    brings: tuple[str, ...] = ()  # the user's files whose text it contains

    @property
    def hung(self) -> bool:
        """Whether it hung when run alone."""
        return isinstance(self.alone, Known) and self.alone.value.startswith(HUNG)


class KnownRemedy(_Frozen, frozen=True, kw_only=True):
    """What helps against a known cause; ``confirmed`` if this project has seen it help."""

    advice: str
    code: str
    confirmed: bool


class KnownCause(_Frozen, frozen=True, kw_only=True):
    """A fitting cause from the collection of known ones; ``recognised`` or only ``possible``."""

    name: str
    title: str
    certainty: str
    explanation: str
    advice: tuple[str, ...]
    references: tuple[str, ...]
    remedies: tuple[KnownRemedy, ...] = ()


class Diagnosis(_Frozen, frozen=True, kw_only=True):
    """The whole answer.

    ``result`` is the run that decided. ``rate`` counts only fresh runs of that cell, made after a
    first one had hung. ``below``, if nothing hung, is an upper bound of the true rate at 95 %
    confidence. ``cure`` is the smallest remedy that cures.
    """

    schema_version: int = DIAGNOSIS_VERSION
    tool: Tool
    target: Target
    interpreter: InterpreterFacts
    outcome: Outcome
    sentence: str
    advice: tuple[str, ...]
    result: CellResult
    tried: tuple[Series, ...]
    rate: Rate
    interval: Interval | None
    below: float | None
    stuck: tuple[Stuck, ...] = ()
    changes: tuple[Change, ...] = ()  # of the source, that fit, tried or not
    imports: tuple[str, ...]  # under way, outermost first
    involved: tuple[str, ...]  # libraries in which the stuck threads wait
    causes: tuple[KnownCause, ...]
    trials: tuple[Trial, ...]
    cure: Trial | None
    variables: Minimised | None  # of the cure's
    statements: Minimised | None  # of the entry's imports
    checklist: tuple[Check, ...]
    cost: ImportCost | None
    times: Times | None = None
    reproducer: Reproducer | None
    duration_s: float
    runs: int
    notes: tuple[str, ...] = ()
