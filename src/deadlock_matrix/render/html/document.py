"""What a page is given, as JSON. What many cells share is there once, referred to by index."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fact import Unknown


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of an axis. ``option`` chooses it on the command line.

    ``file`` is what the file must contain that ``option`` names; empty if it names none.
    """

    name: str
    option: str
    facts: tuple[tuple[str, str], ...] = ()
    file: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A result in the grid. The axes are indices of choices, ``why`` is that of a text.

    A page has them as columns: a browser reads a few long lists faster than many short ones.

    ``seconds`` is how long the entry took; None if it did not finish.
    """

    interpreter: int
    profile: int
    layout: int
    entry: int
    context: int
    repeat: int
    verdict: str
    as_expected: bool
    seconds: float | None
    why: int
    role: str


class Step(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An import: which module, by whom, and the index of the text that says where."""

    module: str
    importer: str
    where: int


class Branch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A node of an import tree. ``parent`` is the index of a branch; -1 for the entry itself."""

    step: int
    parent: int


class Frame(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A Python or native frame; ``machinery`` marks those of importing, or of the harness."""

    function: str
    where: int
    machinery: bool


class Thread(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A thread of a process that hung. Frames are indices, innermost first."""

    title: str
    does: str = ""
    stuck: bool = False
    holds_gil: bool = False
    facts: tuple[tuple[str, str], ...] = ()
    imports: tuple[str, ...] = ()
    python: tuple[int, ...] = ()
    native: tuple[int, ...] = ()


class Process(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process that hung, with who read its stacks, or why there are none."""

    title: str
    stacks: str
    threads: tuple[Thread, ...]


class Node(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A node of a wait-for graph."""

    id: str
    kind: str
    label: str
    root: bool


class Link(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An edge of a wait-for graph: indices of nodes, what it says, and where it was read."""

    tail: int
    head: int
    relation: str
    source: str


class Hung(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was seen of a cell that hung, and what follows."""

    kind: str = ""  # the proof's; empty if there is none
    sentence: str = ""
    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    conditions: tuple[tuple[str, str, str], ...] = ()  # name, subject, detail with its source
    processes: tuple[Process, ...] = ()
    machine: str = ""
    strength: str = ""  # "proved", or "likely": under the assumptions
    assumptions: tuple[str, ...] = ()
    partial: bool = False  # others of the root process may go on


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """A known cause that fits: its index, and what was seen or could not be looked for."""

    cause: int
    certainty: str
    seen: tuple[str, ...]
    unknown: tuple[str, ...]


class Common(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What many cells have in common when one is opened. Numbers are indices."""

    facts: tuple[int, ...] = ()
    environment: int | None = None
    libraries: int | Unknown | None = None
    packages: int | None = None
    imports: tuple[Branch, ...] = ()


class Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What else a cell shows when it is opened. Numbers that are not lengths are indices.

    ``begun`` says when each import of the tree began, in milliseconds from the start of the entry;
    None if not recorded. ``hung`` is None if nothing hung, or if it was left out, as ``left_out``
    says.
    """

    common: int
    facts: tuple[int, ...] = ()
    begun: tuple[float | None, ...] = ()
    raised: tuple[str, int] | None = None  # type and message, traceback
    stdout: int | None = None
    stderr: int | None = None
    last_words: int | None = None  # of the first of those that are listed together
    command: tuple[int, ...] = ()
    gaps: tuple[str, ...] = ()
    causes: tuple[Recognised, ...] = ()
    hung: Hung | None = None
    left_out: bool = False


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do about a cause, or something that does not help."""

    advice: str
    helps: bool
    confirmed: str
    settings: tuple[str, ...]
    code: str


class KnownCause(msgspec.Struct, frozen=True, kw_only=True):
    """A known cause that fits at least one cell. ``rows`` are those where every sign was seen."""

    name: str
    title: str
    explanation: str
    remedies: tuple[Remedy, ...]
    references: tuple[str, ...]
    rows: tuple[int, ...]


class ClaimAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with its outcomes: outcome, sentence, interpreters, and the rows it rests on."""

    statement: str
    source: str
    answers: tuple[tuple[str, str, tuple[str, ...], tuple[int, ...]], ...]


class InterpreterView(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter: what it is, what is worth knowing, and tables to unfold."""

    name: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]
    libraries: tuple[tuple[str, str, str], ...]  # what, loaded by whom, where
    packages: tuple[str, ...]


class TimesTable(msgspec.Struct, frozen=True, kw_only=True):
    """Median time of each entry on one interpreter, by layout."""

    interpreter: str
    layouts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


class StudyTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a study; a row is its name, its interpreters, and fields with a worst verdict."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]


class StudyTables(msgspec.Struct, frozen=True, kw_only=True):
    """Tables of a study under one title."""

    title: str
    short: str
    tables: tuple[StudyTable, ...]


class ChangeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The same change of one or more cells: each with its id, and the values before and now."""

    direction: str  # "worse", "better" or "other"
    kind: str
    sentence: str
    cells: tuple[tuple[str, str, str], ...]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier report beside this one. ``rows`` are its cells, without details."""

    before: str
    after: str
    headline: str
    interpreters: tuple[tuple[str, str, str], ...]
    changes: tuple[ChangeGroup, ...]
    rows: tuple[Row, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a page shows besides its head."""

    axes: dict[str, tuple[Choice, ...]]
    severity: tuple[str, ...]  # verdicts, worst first
    rows: tuple[Row, ...]  # cells, then controls
    details: tuple[Detail, ...]  # of the rows
    common: tuple[Common, ...]
    facts: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]
    lists: tuple[tuple[int, ...], ...]  # of texts
    steps: tuple[Step, ...]
    frames: tuple[Frame, ...]
    missing_controls: tuple[str, ...]
    interpreters: tuple[InterpreterView, ...]
    claims: tuple[ClaimAnswers, ...]
    causes: tuple[KnownCause, ...]
    times: tuple[TimesTable, ...]
    cures: tuple[tuple[str, ...], ...]  # place, cured by, not by, something else under
    studies: tuple[StudyTables, ...]
    rates: tuple[str, ...]  # of what was run more than once
    unavailable: tuple[str, ...]  # a line for each reason
    run: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    compared: Compared | None
