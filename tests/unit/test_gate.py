"""A gate fails when import behaviour got worse, and only then: a table of pairs of reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest
from unit.test_compare_samples import (
    MACOS,
    TOOL,
    controls_of,
    deadlock,
    idle_pool,
    import_and_join,
    importing,
    interpreter,
    repeated,
    report,
    timed,
)
from unit.test_report_samples import cell, result

from deadlock_matrix.errors import ConfigurationError, ReportError
from deadlock_matrix.matrix.configuration import load_configuration, load_gate
from deadlock_matrix.model.cell import Profile
from deadlock_matrix.model.comparison import WORSE, ChangeKind, ExpectedChange, Gate, GateResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.compare.comparison import compare
from deadlock_matrix.report.gate import check_comparable, check_versions, judge
from deadlock_matrix.report.merge import merge

TODAY = date(2027, 1, 15)
OLD, NEW = "20270101-000000-aaaa", "20270102-000000-bbbb"
OK, DEADLOCK, HANG, SLOW = Verdict.OK, Verdict.DEADLOCK, Verdict.HANG, Verdict.SLOW
ERROR, CRASH, UNAVAILABLE = Verdict.ERROR, Verdict.CRASH, Verdict.UNAVAILABLE
POINT = "py/baseline/eager/factory/main"


def expected(
    kind: str = "new-deadlock", until: date = date(2027, 1, 31), cell: str = "py/*"
) -> ExpectedChange:
    return ExpectedChange(cell=cell, kind=ChangeKind(kind), reason="known bug", until=until)


def gate_of(*expectations: ExpectedChange) -> Gate:
    return Gate(expected=expectations)


def passes(before: Report, after: Report, gate: Gate | None = None) -> GateResult:
    return judge(compare(before, after), gate or Gate(), TODAY)


def runs(*verdicts: Verdict, run: str = NEW) -> Report:
    return report(*repeated(verdicts), run=run)


def before(*verdicts: Verdict) -> Report:
    return runs(*verdicts, run=OLD)


def of_platforms(*reports: Report) -> Report:
    return merge(reports, TOOL)


# Name, the two reports, the kinds of change, and whether the gate passes.
PAIRS: tuple[tuple[str, Callable[[], tuple[Report, Report]], list[str], bool], ...] = (
    ("all the same", lambda: (before(OK, OK), runs(OK, OK)), [], True),
    ("new deadlock", lambda: (before(OK), runs(DEADLOCK)), ["new-deadlock"], False),
    ("new hang", lambda: (before(OK), runs(HANG)), ["new-hang"], False),
    ("new error", lambda: (before(OK), runs(ERROR)), ["new-error"], False),
    ("new crash", lambda: (before(OK), runs(CRASH)), ["new-crash"], False),
    ("never ends in time now", lambda: (before(OK), runs(SLOW)), ["new-slow"], False),
    (
        "deadlocks now, where it failed",
        lambda: (before(ERROR), runs(DEADLOCK)),
        ["new-deadlock"],
        False,
    ),
    (
        "a single new deadlock among many runs",
        lambda: (before(*[OK] * 9), runs(*[OK] * 8, DEADLOCK)),
        ["new-deadlock"],
        False,
    ),
    ("cured deadlock", lambda: (before(DEADLOCK), runs(OK)), ["cured-deadlock"], True),
    ("cured hang", lambda: (before(HANG, HANG), runs(OK, OK)), ["cured-hang"], True),
    ("a hang is proved now", lambda: (before(HANG), runs(DEADLOCK)), ["changed-verdict"], True),
    (
        "a deadlock is not proved now",
        lambda: (before(DEADLOCK), runs(HANG)),
        ["changed-verdict"],
        True,
    ),
    ("an error now, a deadlock before", lambda: (before(DEADLOCK), runs(ERROR)),
     ["changed-verdict"], True),
    (
        "errors always, where it deadlocked sometimes",
        lambda: (before(OK, OK, DEADLOCK), runs(ERROR, ERROR)),
        ["new-error"],
        False,
    ),
    (
        "a flake that is not proved this time",
        lambda: (before(OK, OK, DEADLOCK), runs(OK, HANG, OK)),
        ["flaky"],
        True,
    ),
    ("a flake shows itself", lambda: (before(OK, OK, DEADLOCK), runs(DEADLOCK)), ["flaky"], True),
    ("a flake hides itself", lambda: (before(OK, OK, DEADLOCK), runs(OK, OK)), ["flaky"], True),
    (
        "a flake is no flake any more",
        lambda: (before(*[OK] * 9, DEADLOCK), runs(*[DEADLOCK] * 5)),
        ["more-often"],
        False,
    ),
    (
        "a frequent flake is rare now",
        lambda: (before(*[DEADLOCK] * 9, OK), runs(*[OK] * 9, DEADLOCK)),
        ["less-often"],
        True,
    ),
    (
        "a frequent flake is gone",
        lambda: (before(*[DEADLOCK] * 9, OK), runs(*[OK] * 9)),
        ["cured-deadlock"],
        True,
    ),
    (
        "a deadlock with the same circle, other ids",
        lambda: (
            report(deadlock(import_and_join(100, 101, "pool-1")), run=OLD),
            report(deadlock(import_and_join(7, 99, "pool-8")), run=NEW),
        ),
        [],
        True,
    ),
    (
        "a deadlock with another circle",
        lambda: (
            report(deadlock(import_and_join()), run=OLD),
            report(deadlock(idle_pool(7, 2)), run=NEW),
        ),
        ["changed-proof"],
        True,
    ),
    (
        "slower within noise",
        lambda: (
            report(*timed(1.0, 1.4, 0.8, 1.5, 0.9), run=OLD),
            report(*timed(1.4, 1.3, 1.6, 0.9, 1.5), run=NEW),
        ),
        [],
        True,
    ),
    (
        "slower, surely, and by little",
        lambda: (
            report(*timed(1.0, 1.01, 1.02, 1.03), run=OLD),
            report(*timed(1.1, 1.11, 1.12, 1.13), run=NEW),
        ),
        [],
        True,
    ),
    (
        "much slower, by a few milliseconds",
        lambda: (
            report(*timed(0.001, 0.0011, 0.0012), run=OLD),
            report(*timed(0.01, 0.011, 0.012), run=NEW),
        ),
        [],
        True,
    ),
    (
        "slower by a few milliseconds, in one run",
        lambda: (report(*timed(0.001), run=OLD), report(*timed(0.01), run=NEW)),
        [],
        True,
    ),
    (
        "slower beyond noise",
        lambda: (
            report(*timed(1.0, 1.1, 1.2), run=OLD),
            report(*timed(2.0, 2.1, 2.2), run=NEW),
        ),
        ["slower"],
        False,
    ),
    (
        "slower, in one run",
        lambda: (report(*timed(1.0), run=OLD), report(*timed(2.0), run=NEW)),
        ["undecided-time"],
        True,
    ),
    (
        "slower on another machine",
        lambda: (
            report(*timed(1.0, 1.1, 1.2), run=OLD),
            report(*timed(2.0, 2.1, 2.2), run=NEW, host=MACOS),
        ),
        ["changed-interpreter", "undecided-time"],
        True,
    ),
    (
        "faster beyond noise",
        lambda: (
            report(*timed(2.0, 2.1, 2.2), run=OLD),
            report(*timed(1.0, 1.1, 1.2), run=NEW),
        ),
        ["faster"],
        True,
    ),
    (
        "newly eager",
        lambda: (report(importing(), run=OLD), report(importing("pack.models", "torch"), run=NEW)),
        ["newly-imported", "newly-imported"],
        False,
    ),
    (
        "no longer eager",
        lambda: (report(importing("torch"), run=OLD), report(importing(), run=NEW)),
        ["no-longer-imported"],
        True,
    ),
    (
        "a cell is gone",
        lambda: (report(result(), result(cell(layout="lazy")), run=OLD), runs(OK)),
        ["missing-cell"],
        False,
    ),
    (
        "a platform is gone",
        lambda: (
            of_platforms(report(result(), run=OLD), report(result(), run=NEW, host=MACOS)),
            report(result(), run="20270103-000000-cccc"),
        ),
        ["missing-cell", "renamed-interpreter"],
        False,
    ),
    (
        "a new cell, even one that hangs",
        lambda: (before(OK), report(result(), result(cell(layout="lazy"), HANG), run=NEW)),
        ["new-cell"],
        True,
    ),
    (
        "unavailable now",
        lambda: (before(OK), report(result(verdict=UNAVAILABLE), run=NEW)),
        ["unavailable-now"],
        False,
    ),
    (
        "available now",
        lambda: (report(result(verdict=UNAVAILABLE), run=OLD), runs(OK)),
        ["available-now"],
        True,
    ),
    (
        "an interpreter has a newer version",
        lambda: (before(OK), report(result(), run=NEW, interpreters=[interpreter("py", "3.12.1")])),
        ["changed-interpreter"],
        True,
    ),
    (
        "an interpreter lies in another folder",
        lambda: (
            before(OK),
            report(result(), run=NEW, interpreters=[interpreter(folder="/usr/local")]),
        ),
        [],
        True,
    ),
    (
        "an interpreter has another name",
        lambda: (before(OK), report(result(cell("python3")), run=NEW)),
        ["renamed-interpreter"],
        True,
    ),
    (
        "an interpreter has another name, and deadlocks",
        lambda: (before(OK), report(result(cell("python3"), DEADLOCK), run=NEW)),
        ["new-deadlock", "renamed-interpreter"],
        False,
    ),
    (
        "another experiment by the same id",
        lambda: (before(OK), report(result(cell(deadline_s=10.0)), run=NEW)),
        ["redefined-cell"],
        True,
    ),
    (
        "a control failed in the new run",
        lambda: (before(OK), report(result(), run=NEW, controls=controls_of(["py"], wrong=True))),
        ["invalid"],
        False,
    ),
    (
        "a control failed in the old run",
        lambda: (report(result(), run=OLD, controls=controls_of(["py"], wrong=True)), runs(OK)),
        ["invalid"],
        False,
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "kinds", "passed"), [each[1:] for each in PAIRS], ids=[each[0] for each in PAIRS]
)
def test_pairs(pair: Callable[[], tuple[Report, Report]], kinds: list[str], passed: bool) -> None:
    old, new = pair()
    comparison = compare(old, new)
    assert [change.kind.value for change in comparison.changes] == kinds
    outcome = judge(comparison, Gate(), TODAY)
    assert outcome.passed is passed
    assert [change.kind.value for change in outcome.failed] == [
        kind for kind in kinds if kind in {each.value for each in WORSE}
    ]


def test_an_expected_failure_passes_and_is_told() -> None:
    known = expected()
    outcome = passes(before(OK), runs(DEADLOCK), gate_of(known))
    assert outcome.passed
    ((allowed),) = outcome.allowed
    assert (allowed.change.kind, allowed.expected) == (ChangeKind.NEW_DEADLOCK, known)
    assert outcome.expired == outcome.passing == outcome.idle == ()


@pytest.mark.parametrize(
    "other",
    [expected("new-hang"), expected(cell="py/*/lazy/*"), expected(cell="py")],
    ids=["another kind", "another cell", "not the whole id"],
)
def test_an_expectation_about_something_else_does_not_help(other: ExpectedChange) -> None:
    assert not passes(before(OK), runs(DEADLOCK), gate_of(other)).passed


def test_an_expectation_holds_through_its_last_day() -> None:
    known = expected(until=TODAY)
    assert passes(before(OK), runs(DEADLOCK), gate_of(known)).passed


def test_an_expired_expectation_does_not_count_and_is_told() -> None:
    known = expected(until=date(2027, 1, 14))
    outcome = passes(before(OK), runs(DEADLOCK), gate_of(known))
    assert not outcome.passed
    assert outcome.expired == (known,)
    assert outcome.allowed == ()


def test_an_expected_failure_that_passes_is_told() -> None:
    known, elsewhere = expected(), expected(cell="conda/*")
    outcome = passes(before(OK), runs(OK), gate_of(known, elsewhere))
    assert outcome.passed
    assert outcome.passing == (known,)
    assert outcome.idle == (elsewhere,)


def test_an_expected_failure_of_a_cell_that_was_not_run_has_not_passed() -> None:
    known = expected()
    old = report(result(), result(cell("conda")), run=OLD)
    outcome = passes(old, report(result(cell("conda")), run=NEW), gate_of(known))
    assert outcome.idle == (known,)
    unavailable = passes(before(OK), report(result(verdict=UNAVAILABLE), run=NEW), gate_of(known))
    assert unavailable.idle == (known,)


def test_only_the_kinds_that_are_listed_fail() -> None:
    gate = Gate(fail_on=(ChangeKind.NEW_HANG,))
    assert passes(before(OK), runs(DEADLOCK), gate).passed
    assert not passes(before(OK), runs(HANG), gate).passed


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_gate_without_controls_is_refused(which: str) -> None:
    bare, whole = report(result(), controls=()), report(result())
    pair = (bare, whole) if which == "old" else (whole, bare)
    with pytest.raises(ReportError, match=f"needs controls, and the {which} report"):
        check_comparable(*pair)
    check_comparable(whole, whole)


def test_reports_of_different_schemas_are_refused() -> None:
    with pytest.raises(ReportError, match="these have 1 and 2"):
        check_versions(1, 2)
    check_versions(2, 2)
    old = msgspec.structs.replace(before(OK), schema_version=1)
    with pytest.raises(ReportError, match="cannot be compared"):
        compare(old, runs(OK))


# --- the configuration --------------------------------------------------------------------------

ENTRY = 'cell = "py/*"\nkind = "slower"\nreason = "a bug"\nuntil = 2027-01-31\n'


def test_the_gate_is_read_from_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[tool.deadlock-matrix.gate]\nfail-on = ["new-deadlock", "slower"]\n'
        f"[[tool.deadlock-matrix.gate.expected]]\n{ENTRY}"
    )
    gate = load_gate(None, tmp_path)
    assert gate.fail_on == (ChangeKind.NEW_DEADLOCK, ChangeKind.SLOWER)
    (each,) = gate.expected
    assert each == ExpectedChange(
        cell="py/*", kind=ChangeKind.SLOWER, reason="a bug", until=date(2027, 1, 31)
    )
    assert load_gate(file, Path("/")) == gate
    assert load_configuration(file, tmp_path).gate == gate


def test_without_a_table_everything_worse_fails(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.deadlock-matrix]\n")
    assert load_gate(None, tmp_path) == Gate()
    assert {"new-deadlock", "new-hang", "new-error", "new-crash", "newly-imported", "slower",
            "missing-cell", "invalid"} <= {kind.value for kind in Gate().fail_on}  # fmt: skip


def test_the_gate_needs_nothing_else_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(
        'statement = "import pack"\n[gate]\nfail-on = ["slower"]\n'
        '[[layout]]\nname = "lazy"\noverlays = ["not/here"]\n'
    )
    assert load_gate(file, tmp_path).fail_on == (ChangeKind.SLOWER,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[gate]\nfail-on = ["new-deadlok"]', "did you mean 'new-deadlock'"),
        ('[gate]\nfail_on = ["slower"]', "did you mean 'fail-on'"),
        ("[gate]\nfail-on = []", "could never fail"),
        (f"[gate.expected]\n{ENTRY}", "two brackets"),
        (f"[[gate.expected]]\n{ENTRY.replace('slower', 'faster')}", "does not fail the gate"),
        (f"[[gate.expected]]\n{ENTRY.replace('a bug', ' ')}", "empty reason"),
        (f"[[gate.expected]]\n{ENTRY.replace('py/*', '')}", "empty cell"),
        (f"[[gate.expected]]\n{ENTRY}[[gate.expected]]\n{ENTRY}", "listed twice"),
        (f"[[gate.expected]]\n{ENTRY.replace('until = 2027-01-31', '')}", "lacks the key 'until'"),
        (f"[[gate.expected]]\n{ENTRY.replace('2027-01-31', '2027')}", "until must be"),
    ],
)
def test_a_wrong_gate_is_one_clear_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load_gate(file, tmp_path)
    assert str(file) in str(caught.value)


def test_another_profile_of_the_matrix_does_not_redefine_a_cell() -> None:
    """A profile unsets what any other one names, so that changes with every other profile."""
    other = msgspec.structs.replace(
        cell(), profile=Profile(name="baseline", unset=("OMP_NUM_THREADS",))
    )
    assert passes(before(OK), report(result(other), run=NEW)).failed == ()
    assert compare(before(OK), report(result(other), run=NEW)).changes == ()
