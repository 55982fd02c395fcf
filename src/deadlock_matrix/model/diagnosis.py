"""One diagnosis: what was asked, what was run, what it showed and what helps."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from deadlock_matrix.model.cell import Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Tool

DIAGNOSIS_VERSION = 1


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Target(_Frozen, frozen=True, kw_only=True):
    """What is diagnosed, and what else may be tried of it.

    ``profile`` leaves the caller's environment as it is, or says what is different. ``contexts``
    are tried in their order until one hangs. Everything ``other_`` is a remedy to be tried.
    ``deadline_s`` is for one run, ``budget_s`` for all of them together; a run that has begun is
    not cut off by the latter. ``runs`` is how many may be made to find a hang that comes seldom.
    """

    name: str
    interpreter: Interpreter
    profile: Profile
    layout: Layout
    entry: Entry
    contexts: tuple[Context, ...]
    other_profiles: tuple[Profile, ...] = ()
    other_layouts: tuple[Layout, ...] = ()
    other_entries: tuple[Entry, ...] = ()
    watch_modules: tuple[str, ...] = ()
    path: str = ""  # the folder that is first where modules are looked for
    script: str = ""  # the file that the statement executes
    deadline_s: float = 30.0
    budget_s: float = 50.0
    runs: int = 10


class Rate(_Frozen, frozen=True, kw_only=True):
    """How many of several runs of the same cell hung."""

    hangs: int
    runs: int


class Interval(_Frozen, frozen=True, kw_only=True):
    """Between what the true rate lies, with the confidence that is said."""

    low: float
    high: float
    confidence: float


class Series(_Frozen, frozen=True, kw_only=True):
    """Runs of the target from one context, without any remedy."""

    context: str
    rate: Rate


class RemedyKind(StrEnum):
    """What a remedy changes."""

    VARIABLES = "variables"
    LAYOUT = "layout"
    ENTRY = "entry"
    CONTEXT = "context"
    ORDER = "order"


class Remedy(_Frozen, frozen=True, kw_only=True):
    """A change to try: whatever is not the target's own replaces it."""

    kind: RemedyKind
    name: str
    summary: str
    profile: Profile
    layout: Layout
    entry: Entry
    context: Context


class Effect(StrEnum):
    """What was measured of a remedy, from the best to the worst."""

    CURES = "cures"  # enough clean runs to exclude that it does nothing
    CLEAN = "clean"  # clean so far, but in too few runs to exclude that
    HELPS = "helps"  # hangs, but more seldom
    NOTHING = "does nothing"  # hangs, and nothing shows that it does so more seldom or more often
    WORSE = "makes it worse"
    FAILS = "fails"  # does not hang, but fails by itself: with an exception, a status, a signal
    SLOW = "slow"  # was still moving at the deadline
    UNTRIED = "not tried"


class Threads(_Frozen, frozen=True, kw_only=True):
    """How many threads the process had: when it hung, and after the remedied entry."""

    before: Known[int] | Unknown
    after: Known[int] | Unknown


class Trial(_Frozen, frozen=True, kw_only=True):
    """A remedy with what was measured of it.

    ``needed`` is how many clean runs were to be made before a cure may be claimed, said before the
    first. ``entry_s`` is the median of seconds that the clean runs' entries took. ``why`` is the
    sentence of the run that decided.
    """

    remedy: Remedy
    effect: Effect
    rate: Rate
    needed: int
    entry_s: Known[float] | Unknown
    threads: Threads
    why: str = ""


class Outcome(StrEnum):
    """What a diagnosis comes to."""

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
    """What is left of several elements when none of them can go; ``whole``: it was proved so.

    Not ``whole``: the time was up, so that elements may be superfluous.
    """

    of: str  # the remedy or entry whose elements they are
    elements: tuple[str, ...]
    out_of: int
    probes: int
    whole: bool


class Reproducer(_Frozen, frozen=True, kw_only=True):
    """A script that shows the hang without this tool, and what it did when it was run alone."""

    text: str
    alone: Known[str] | Unknown = Unknown(reason="it was not run")


class KnownCause(_Frozen, frozen=True, kw_only=True):
    """A cause from the collection of known ones that fits; ``recognised`` or only ``possible``."""

    name: str
    title: str
    certainty: str
    explanation: str
    advice: tuple[str, ...]
    references: tuple[str, ...]


class Diagnosis(_Frozen, frozen=True, kw_only=True):
    """The whole answer.

    ``result`` is the run that decided. ``rate`` is of fresh runs of that cell alone, made after a
    first one had hung; ``below`` is the rate that its true one is below, with 95 % confidence, if
    nothing hung. ``cure`` is the smallest remedy that cures.
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
    imports: tuple[str, ...]  # that were under way, outermost first
    involved: tuple[str, ...]  # libraries in which the stuck threads wait
    causes: tuple[KnownCause, ...]
    trials: tuple[Trial, ...]
    cure: Trial | None
    variables: Minimised | None  # of the cure's
    statements: Minimised | None  # of the entry's imports
    checklist: tuple[Check, ...]
    cost: ImportCost | None
    reproducer: Reproducer | None
    duration_s: float
    runs: int
    notes: tuple[str, ...] = ()
