"""A study: what a question about one package or one field adds to the tool.

The tool knows no package and no field of computing by name. Studies do: a study brings axes and
cells to run, claims with how each is judged, and what it adds to a report.
`deadlock_matrix.studies` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deadlock_matrix.diagnosis.hanging import Trait
from deadlock_matrix.diagnosis.investigation.checklist import Measurements
from deadlock_matrix.diagnosis.investigation.fitting import Setting
from deadlock_matrix.diagnosis.study.claims import Claim, Tested, put_to_the_test
from deadlock_matrix.diagnosis.study.tables import Listing, Table
from deadlock_matrix.model.diagnosis import Check
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.report import Report


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing worth knowing about an interpreter.

    ``name`` is for programs, ``sentence`` for people; ``files`` are those that show it.
    """

    name: str
    sentence: str
    files: tuple[str, ...]


def _none(path: str) -> bool:
    return False


def _nothing(of: object) -> tuple[()]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """What one study brings; a field that it leaves out adds nothing.

    Attributes:
        name: Its name in a configuration: ``study = "NAME"``.
        summary: Its question, in one line.
        axes: A file in the form of a configuration: profiles, contexts and watched modules that it
            offers to every target.
        cells: Another such file: the target, entries, layouts, presets and expectations of its own.
        root: The folder to which the overlays in ``cells`` are relative.
        claims: Statements that its results confirm or refute.
        target: The target that the claims are about; a report without it tests none of them.
        layout: The layout that claims mean if they name none.
        tables: What it shows of a report right after the answer.
        listings: What it shows of a report further below.
        traits: What cells that hang may have in common, see `diagnosis.hanging`.
        findings: What is worth knowing about an interpreter.
        contents: What is in an interpreter, in a few short lines.
        checks: Questions that people ask about a hang, answered by what ``diagnose`` measured.
        settings: Variables that help against hangs of one kind; ``diagnose`` tries one if its name
            occurs in what hangs.
        is_pool: Whether a library, by its path, computes with threads of its own and calls others
            that do. If one of them hangs, variables of all that are loaded may help.
        packages: Distributions to name wherever an interpreter is described.
        compared: Layouts whose times are given as a multiple of another layout's.
    """

    name: str
    summary: str
    axes: str = ""
    cells: str = ""
    root: Callable[[], str] = str
    claims: tuple[Claim, ...] = ()
    target: str = ""
    layout: str = "installed"
    tables: Callable[[Report], Iterable[Table]] = _nothing
    listings: Callable[[Report], Iterable[Listing]] = _nothing
    traits: tuple[Trait, ...] = ()
    findings: Callable[[Fingerprint], Iterable[Finding]] = _nothing
    contents: Callable[[Fingerprint], Iterable[str]] = _nothing
    checks: Callable[[Measurements], Iterable[Check]] = _nothing
    settings: tuple[Setting, ...] = ()
    is_pool: Callable[[str], bool] = _none
    packages: tuple[str, ...] = ()
    compared: Mapping[str, str] = field(default_factory=dict)


def findings_of(fingerprint: Fingerprint, studies: Sequence[Study]) -> Iterator[Finding]:
    """Yield what all studies find worth knowing about an interpreter."""
    for study in studies:
        yield from study.findings(fingerprint)


def packages_of(fingerprint: Fingerprint, studies: Sequence[Study]) -> tuple[str, ...]:
    """Return ``package 1.2``: those of an interpreter's distributions that a study names."""
    named = dict.fromkeys(name for study in studies for name in study.packages)
    there = fingerprint.packages
    return tuple(f"{name} {there[name]}" for name in named if name in there)


def tested_claims(report: Report, studies: Sequence[Study]) -> Iterator[Tested]:
    """Yield the claims of all studies of which this report tests any."""
    targets = {result.cell.target for result in report.cells}
    for study in studies:
        if study.target and study.target not in targets:
            continue
        yield from put_to_the_test(report, study.claims, study.layout)


def tables_of(report: Report, studies: Sequence[Study]) -> Iterator[Table]:
    """Yield what all studies show right after the answer; tables without a row are left out."""
    for study in studies:
        yield from (table for table in study.tables(report) if table.rows)


def listings_of(report: Report, studies: Sequence[Study]) -> Iterator[Listing]:
    """Yield what all studies show further below; listings without an item are left out."""
    for study in studies:
        yield from (listing for listing in study.listings(report) if listing.items)


def compared_by(studies: Sequence[Study]) -> dict[str, str]:
    """Return the layouts that any study compares with others, and with which."""
    return {layout: other for study in studies for layout, other in study.compared.items()}


def settings_of(studies: Sequence[Study]) -> tuple[Setting, ...]:
    """Return the variables that all studies name."""
    return tuple(setting for study in studies for setting in study.settings)
