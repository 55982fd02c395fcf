"""What of an earlier run still holds: each thing that decides it, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Calling, Cell, Stdin
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Host, Tool
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.earlier import (
    Earlier,
    Rerun,
    holding,
    read_earlier,
    require_the_same,
    without_needless_controls,
)
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.plan import begin, go_on, read_plan
from deadlock_matrix.report.sameness import Circumstances
from deadlock_matrix.report.side_files import SideFiles
from deadlock_matrix.report.store import assemble
from tests.unit.test_report_samples import cell, control, fingerprint, plan, result

replace = msgspec.structs.replace

HOST = Host(system="Linux", release="6.1", machine="x86_64", cores=2, memory_mib=known(1, "x"))
NOW = Circumstances(
    tool=Tool(name="deadlock-matrix", version="0.1.0", python="3.11.7"),
    host=HOST,
    facts=fingerprint(),
    content="c0ffee",
    environment={"OMP_NUM_THREADS": "1"},
)


def ran(of: Cell, verdict: Verdict = Verdict.OK, content: str = "c0ffee") -> CellResult:
    found = replace(result(of, verdict), content=content)
    assert isinstance(found.observation, Known)
    seen = replace(found.observation.value, environment={"OMP_NUM_THREADS": "1"})
    return replace(found, observation=known(seen, "run"))


def earlier(tmp_path: Path, *results: CellResult) -> Earlier:
    cells = tuple(each.cell for each in results)
    begin(tmp_path, plan(cells, ()))
    with Journal(tmp_path, "main") as journal:
        journal.extend(results)
    return read_earlier(tmp_path)


def fingerprinted(**changed: Any) -> InterpreterFacts:
    facts = fingerprint()
    assert isinstance(facts.fingerprint, Known)
    return replace(facts, fingerprint=known(replace(facts.fingerprint.value, **changed), "asked"))


def a_cell(**changed: Any) -> Callable[[], tuple[Cell, Circumstances]]:
    return lambda: (replace(cell(), **changed), NOW)


def around(**changed: Any) -> Callable[[], tuple[Cell, Circumstances]]:
    return lambda: (cell(), replace(NOW, **changed))


DECIDES = {
    "tool": around(tool=replace(NOW.tool, version="0.2.0")),
    "system": around(host=replace(HOST, machine="aarch64")),
    "interpreter": around(facts=fingerprinted(version="3.11.8")),
    "interpreter's packages": around(facts=fingerprinted(packages={"torch": "2.14.0"})),
    "interpreter's build": around(facts=fingerprinted(build="other")),
    "interpreter's variables": around(facts=replace(fingerprint(), set={"A": "1"})),
    "content": around(content="0ther"),
    "statement": a_cell(entry=replace(cell().entry, statement="import other")),
    "calling": a_cell(context=replace(cell().context, calling=Calling.FORK)),
    "standard input": a_cell(context=replace(cell().context, stdin=Stdin.SILENT_PIPE)),
    "prelude": a_cell(context=replace(cell().context, prelude="import torch")),
    "deadline": a_cell(deadline_s=5.0),
    "target": a_cell(target="other"),
    "watched modules": a_cell(watch_modules=()),
    "variables of the profile": a_cell(profile=replace(cell().profile, set={"A": "1"})),
    "variables around": around(environment={"OMP_NUM_THREADS": "2"}),
    "removed variables": a_cell(profile=replace(cell().profile, unset=("A",))),
    "content (unknown)": around(content=""),
    "interpreter, unknown": around(
        facts=InterpreterFacts(name="py", executable="", fingerprint=unknown("silent"))
    ),
    "hidden variables (unknown)": around(environment={"OMP_NUM_THREADS": "***"}),
}
DOES_NOT = {
    "the kernel": around(host=replace(HOST, release="6.2", cores=64)),
    "the tool's own Python": around(tool=replace(NOW.tool, python="3.14.0")),
    "the interpreter's path": around(facts=fingerprinted(executable="/elsewhere/python")),
    "what is expected": a_cell(expect=(Verdict.DEADLOCK,)),
    "summaries": a_cell(entry=replace(cell().entry, summary="the entry")),
    "where a layout lies": a_cell(layout=replace(cell().layout, overlays=("/elsewhere",))),
}


@pytest.mark.parametrize("what", DECIDES)
def test_what_decides(tmp_path: Path, what: str) -> None:
    now, circumstances = DECIDES[what]()
    held = holding(earlier(tmp_path, ran(cell())).report, [now], lambda _: circumstances)
    assert held.results == ()
    assert set(held.changed) == {now.id}


@pytest.mark.parametrize("what", DOES_NOT)
def test_what_does_not(tmp_path: Path, what: str) -> None:
    now, circumstances = DOES_NOT[what]()
    held = holding(earlier(tmp_path, ran(cell())).report, [now], lambda _: circumstances)
    (taken,) = held.results
    assert taken.taken_from == "20260131-154500-9f3c"
    assert (taken.cell.expect, taken.cell.layout) == (now.expect, now.layout)


def test_what_was_never_run_is_not_taken(tmp_path: Path) -> None:
    before = earlier(tmp_path, result(cell(), Verdict.UNAVAILABLE))
    assert holding(before.report, [cell()], lambda _: NOW).results == ()


def test_what_was_taken_itself_keeps_its_origin(tmp_path: Path) -> None:
    before = earlier(tmp_path, replace(ran(cell()), taken_from="the-first"))
    (taken,) = holding(before.report, [cell()], lambda _: NOW).results
    assert taken.taken_from == "the-first"


@pytest.mark.parametrize(
    ("which", "again"),
    [
        (Rerun.NOT_OK, {"error", "deadlock", "hang", "slow"}),
        (Rerun.HUNG, {"deadlock", "hang", "slow"}),
        (Rerun.UNEXPECTED, {"ok", "error", "hang", "slow"}),
    ],
)
def test_which_are_run_again(which: Rerun, again: set[str]) -> None:
    expecting = replace(cell(), expect=(Verdict.DEADLOCK,))
    verdicts = (Verdict.OK, Verdict.ERROR, Verdict.DEADLOCK, Verdict.HANG, Verdict.SLOW)
    assert {each.value for each in verdicts if which.wants(result(expecting, each))} == again


def test_controls_speak_only_for_what_runs_beside_them() -> None:
    cells = [control(), cell(entry="a"), cell(entry="b")]
    results = [ran(control(), Verdict.DEADLOCK), ran(cell(entry="a"))]
    assert without_needless_controls(results, cells) == [cell(entry="a")]
    results.append(ran(cell(entry="b")))
    assert control() in without_needless_controls(results, cells)
    results[0] = ran(control(), Verdict.OK)
    assert control() not in without_needless_controls(results, cells)


def test_a_run_whose_cells_changed_cannot_be_gone_on_with(tmp_path: Path) -> None:
    before = earlier(tmp_path, ran(cell()))
    other = replace(NOW, content="0ther")
    with pytest.raises(ReportError, match=r"content of .* changed: add --only-changed"):
        require_the_same(before, holding(before.report, [cell()], lambda _: other))
    unclear = replace(NOW, content="")
    require_the_same(before, holding(before.report, [cell()], lambda _: unclear))


def test_a_report_says_what_it_has_taken(tmp_path: Path) -> None:
    before = earlier(tmp_path, replace(ran(cell()), taken_from="the-first"))
    assert any(
        "1 of the results are taken from run the-first" in each for each in before.report.notes
    )


def test_evidence_comes_along(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    before = earlier(old, ran(cell(), Verdict.DEADLOCK))
    (stored,) = before.report.cells
    SideFiles(new).adopt(stored, old)
    fetched = SideFiles(new).fetch(stored)
    assert isinstance(fetched.observation, Known)
    assert isinstance(fetched.observation.value.evidence, Known)


def test_going_on_clears_what_was_half_written_and_adds_up_times(tmp_path: Path) -> None:
    before = earlier(tmp_path, ran(cell()))
    (tmp_path / ".report.json.12-abcd").write_text("{")
    assert before.plan is not None
    go_on(tmp_path, replace(before.plan, spent_s=100.0))
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert read_plan(tmp_path).spent_s == 100.0
    assert assemble(tmp_path, duration_s=5.0).duration_s == 105.0
