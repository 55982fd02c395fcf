"""What a reader sees of a report, and of a failing cell."""

from __future__ import annotations

import msgspec
import pytest

from deadlock_matrix.diagnosis.grouping import fold
from deadlock_matrix.diagnosis.text import listed, one_line, printable, seconds
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult, Raised
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.failure import failure, skipped
from deadlock_matrix.render.finished import factor_text, median_s, speedup
from deadlock_matrix.render.progress import Progress, progress_line
from deadlock_matrix.render.stacks import innermost_import
from deadlock_matrix.render.terminal import text
from deadlock_matrix.report.summary import summarise
from deadlock_matrix.studies import load_studies
from tests.unit.test_report_samples import (
    cell,
    chain,
    control,
    judgement,
    plan,
    result,
    right_controls,
)

EAGER_CHAINS = {
    "pack.models": chain("pack", "pack.models"),
    "torch": chain("pack", "pack.models", "pack.models.gpt2", "torch"),
}


def report(
    *cells: CellResult,
    controls: tuple[CellResult, ...] | None = None,
    planned: int | None = None,
    **rest: object,
) -> Report:
    controls = right_controls() if controls is None else controls
    header = plan(tuple(each.cell for each in cells), ())
    ids = [each.cell.id for each in cells]
    values = {
        "schema_version": SCHEMA_VERSION,
        "tool": header.tool,
        "host": header.host,
        "run": header.run,
        "started": header.started,
        "duration_s": 192.0,
        "arguments": header.arguments,
        "interpreters": header.interpreters,
        "cells": cells,
        "controls": controls,
        "planned": len(cells) if planned is None else planned,
        "summary": summarise(cells, controls, [*ids, *["missing"] * bool(planned)]),
    }
    return Report(**(values | rest))  # type: ignore[arg-type]


def factory(layout: str, verdict: Verdict = Verdict.OK, **rest: str) -> CellResult:
    of = cell(layout=layout, **rest)
    if layout == "eager":
        return result(of, verdict, entry_s=4.2, chains=EAGER_CHAINS)
    return result(of, verdict, entry_s=0.012)


def row(shown: str, beginning: str) -> list[str]:
    """The fields of the one line that begins so."""
    (line,) = [line for line in shown.splitlines() if line.strip().startswith(beginning)]
    return [field.strip() for field in line.split("  ") if field.strip()]


# --- the first line -----------------------------------------------------------------------------


def test_the_first_line_says_that_the_run_is_valid() -> None:
    first = text(report(factory("eager"))).splitlines()[0]
    assert first == "valid: all cells as expected, 2 controls right"


def test_the_first_line_counts_what_is_not_as_expected() -> None:
    shown = text(report(factory("eager", Verdict.HANG), factory("lazy")))
    assert shown.startswith("unexpected: 1 of 2 cells not as expected, 2 controls right\n")


def test_the_first_line_says_that_a_control_failed() -> None:
    wrong = result(control("negative"), Verdict.DEADLOCK)
    shown = text(report(factory("eager"), controls=(wrong,)))
    assert shown.startswith("controls wrong: 1 of 1 control failed; the results prove nothing")
    assert "FAILED   deadlock  py: slow-import (negative-control)" in shown
    assert "must be ok" in shown
    assert shown.index("\nControls\n") < shown.index("Does it hang")


def test_a_run_without_controls_proves_nothing() -> None:
    shown = text(report(factory("eager"), controls=()))
    assert shown.startswith("controls wrong: no control was run; the results prove nothing")


def test_a_run_of_which_a_part_is_there_says_so() -> None:
    shown = text(report(factory("eager"), planned=3))
    assert "1 of 3 cells in 3 min 12 s" in shown
    assert shown.startswith("incomplete: 1 of 3 cells done; no end of the run was")


# --- the tables ---------------------------------------------------------------------------------


def test_layouts_stand_in_the_order_of_the_matrix() -> None:
    shown = text(report(factory("eager", Verdict.DEADLOCK), factory("lazy"), factory("getattr")))
    assert row(shown, "profile") == ["profile", "eager", "lazy", "getattr"]
    assert row(shown, "baseline") == ["baseline", "deadlock 1 !", "ok 1", "ok 1"]


def test_cells_that_share_a_field_show_the_worst_verdict_and_counts() -> None:
    cells = [factory("eager", context=name) for name in ("main", "thread", "spawn")]
    assert fold(cells).label == "ok 3"
    cells.append(factory("eager", Verdict.DEADLOCK, context="fork"))
    assert fold(cells).label == "deadlock 1/4 !"


def test_an_expected_hang_is_not_marked() -> None:
    expected = result(cell(expect=(Verdict.DEADLOCK,)), Verdict.DEADLOCK)
    assert fold([expected]).label == "deadlock 1"


def test_a_combination_that_was_not_run_is_a_dash() -> None:
    shown = text(report(factory("eager", profile="threads-1"), factory("lazy")))
    assert row(shown, "threads-1") == ["threads-1", "ok 1", "-"]


def test_interpreters_are_told_by_what_they_are() -> None:
    plain = text(report(factory("eager")))
    assert "py: CPython 3.11.7, python.org\n" in plain
    told = text(report(factory("eager")), studies=load_studies())
    assert "py: CPython 3.11.7, python.org, torch 2.13.0" in told
    silent = InterpreterFacts(name="py", executable="/py", fingerprint=unknown("it hung"))
    assert "py: not identified, it hung" in text(report(factory("eager"), interpreters=(silent,)))


def test_import_times_and_how_many_times_faster_lazy_is() -> None:
    shown = text(report(factory("eager"), factory("lazy")), studies=load_studies())
    assert row(shown, "factory ") == ["factory", "4.20 s", "12 ms", "350 x faster"]


def test_times_after_a_prelude_are_not_compared() -> None:
    forked = result(cell(context="fork"), entry_s=0.001)
    assert median_s([forked]) is None
    assert median_s([forked, factory("eager")]) == 4.2


def test_a_speedup_needs_both() -> None:
    assert speedup({"eager": 2.0}, "lazy", "eager") is None
    assert speedup({"lazy": 2.0}, "lazy", "eager") is None
    assert speedup({"eager": 2.0, "lazy": 4.0}, "lazy", "eager") == 0.5
    assert factor_text(0.5) == "2.0 x slower"
    assert factor_text(1.01) == "as fast"
    assert factor_text(1102.3) == "1100 x faster"


# --- findings -----------------------------------------------------------------------------------


def test_who_loads_what_by_which_chain() -> None:
    shown = text(report(factory("eager"), factory("lazy"), factory("getattr")))
    assert "factory: from pack.factory import Factory" in shown
    assert "eager: loads pack.models and torch" in shown
    assert "by pack -> pack.models -> pack.models.gpt2 -> torch" in shown
    assert "lazy, getattr: loads neither pack.models nor torch" in shown


def test_entries_that_load_the_same_are_told_of_together() -> None:
    shown = text(report(factory("eager"), factory("eager", entry="package")))
    assert "factory: from pack.factory import Factory\n  package: import pack\n    eager:" in shown


def test_submodules_are_not_listed_beside_their_package() -> None:
    both = {"pack.models": chain("pack", "pack.models")}
    both["pack.models.gpt2"] = chain("pack", "pack.models", "pack.models.gpt2")
    shown = text(report(result(cell(watch_modules=tuple(both)), chains=both)))
    assert "eager: loads pack.models\n      by pack -> pack.models\n" in shown


def test_interpreters_that_differ_are_told_apart() -> None:
    there = factory("eager", interpreter="conda")
    shown = text(report(there, result(cell(layout="eager"))))
    assert "loads pack.models and torch (on conda)" in shown
    assert "loads neither pack.models nor torch (on py)" in shown


def test_what_no_layout_loads_is_left_out() -> None:
    watched = ("torch", "tensorflow")
    eager = result(cell(watch_modules=watched), chains={"torch": chain("pack", "torch")})
    lazy = result(cell(layout="lazy", watch_modules=watched))
    shown = text(report(eager, lazy))
    assert "lazy: does not load torch" in shown
    assert "tensorflow" not in shown


def test_a_hang_is_shown_with_its_proof_and_its_innermost_import() -> None:
    shown = text(report(factory("eager", Verdict.DEADLOCK)))
    assert "deadlock  py/baseline/eager/factory/main" in shown
    assert "proof: Thread 100 waits for thread 101, which waits for thread 100." in shown
    assert "importing: pack._native, imported by /opt/pack/__init__.py:3" in shown


def test_a_hang_without_a_proof_is_shown_with_what_is_missing() -> None:
    shown = text(report(factory("eager", Verdict.HANG)))
    assert "no proof: thread 101: its futex address is not known" in shown


def test_hangs_that_are_alike_are_explained_once() -> None:
    cells = [factory("eager", Verdict.DEADLOCK, profile=str(number)) for number in range(4)]
    shown = text(report(*cells))
    assert shown.count("deadlock  py/") == 4
    assert shown.count("proof:") == 1


def test_many_problems_are_cut() -> None:
    cells = [
        result(cell(entry=f"e{number:02}"), Verdict.ERROR, why=f"raised {chr(65 + number)}")
        for number in range(13)
    ]
    assert "and 3 cells more, in the report" in text(report(*cells))


def test_problems_that_differ_by_numbers_alone_are_told_once() -> None:
    cells = [
        result(cell(entry=f"e{n}"), Verdict.ERROR, why=f"process {n} waits at 0x7f{n}a0")
        for n in range(3)
    ]
    lines = [line.strip() for line in text(report(*cells)).splitlines()]
    assert "process 0 waits at 0x7f0a0" in lines
    assert not any("process 1 waits" in line for line in lines)
    assert sum(line.startswith("error  py/baseline/eager/e") for line in lines) == 3


def test_many_controls_that_are_right_are_counted() -> None:
    names = [f"py{number}" for number in range(6)]
    shown = text(report(factory("lazy"), controls=right_controls(*names)))
    assert "6 right  deadlock  thread-imports (positive-control)" in shown
    failed = (result(control(), Verdict.OK), *right_controls(*names))
    assert "FAILED   ok  py: thread-imports" in text(report(factory("lazy"), controls=failed))


def test_what_is_unavailable_takes_one_line_for_each_reason() -> None:
    missing = [
        result(cell(interpreter=name, profile=profile), Verdict.UNAVAILABLE, why="no such wheel")
        for name in ("conda", "system")
        for profile in ("baseline", "threads-1")
    ]
    part = result(cell(layout="pep810"), Verdict.UNAVAILABLE)
    shown = text(report(factory("eager"), part, *missing))
    assert "  conda, system: no such wheel\n" in shown
    assert "  py (1 cell): the layout needs Python >=3.15\n" in shown
    assert "conda" not in shown.replace("conda, system: no such wheel", "")


def test_notes_are_shown() -> None:
    shown = text(report(factory("eager"), notes=("gw0.jsonl: line 3 is not a result",)))
    assert "gw0.jsonl: line 3 is not a result" in shown


# --- the terminal -------------------------------------------------------------------------------

LAYOUTS = ("eager", "lazy", "lazy-as-written", "getattr", "lazy-loader", "pep810")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    cells = [
        factory(layout, Verdict.DEADLOCK, profile=profile, interpreter="conda-mkl")
        for layout in LAYOUTS
        for profile in ("baseline", "kmp-no-init-at-fork")
    ]
    lines = text(report(*cells), width).splitlines()
    assert max(map(len, lines)) <= width


def test_wide_tables_are_cut_into_several_instead_of_squeezed() -> None:
    cells = [factory(layout, Verdict.DEADLOCK) for layout in LAYOUTS]
    shown = text(report(*cells))
    assert shown.count("deadlock 1 !") == len(LAYOUTS)


def test_no_escape_sequence_without_colour() -> None:
    assert "\x1b" not in text(report(factory("eager", Verdict.HANG)))
    assert "\x1b[" in text(report(factory("eager", Verdict.HANG)), colour=True)


def test_what_a_probe_prints_cannot_command_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07[bold]not markup[/bold]\r\x1b[2J"
    bad = result(cell(), Verdict.ERROR, why=hostile, stderr=hostile)
    shown = text(report(bad)) + failure(bad)
    assert "\x1b" not in shown
    assert "[bold]not markup[/bold]" in shown


def test_the_output_is_ascii() -> None:
    assert text(report(factory("eager", Verdict.DEADLOCK), factory("lazy"))).isascii()


# --- a failing test -----------------------------------------------------------------------------


def test_a_failure_shows_verdict_reason_import_and_stacks() -> None:
    lines = failure(factory("eager", Verdict.DEADLOCK)).splitlines()
    assert lines[0] == "deadlock (expected ok): py/baseline/eager/factory/main"
    assert "importing: pack._native, imported by /opt/pack/__init__.py:3" in lines
    assert "    /opt/pack/__init__.py:3 in <module>" in lines
    assert not any("importlib" in line for line in lines)
    assert "  2 threads alike, first 101" in lines
    assert len(lines) < 20


def test_a_failure_does_not_say_the_proof_twice() -> None:
    told = judgement(True).proof
    assert told is not None
    bad = msgspec.structs.replace(factory("eager", Verdict.DEADLOCK), why=told.sentence)
    assert failure(bad).count(told.sentence) == 1


def test_a_failure_shows_the_last_lines_of_an_exception() -> None:
    bad = result(cell(), Verdict.ERROR)
    raised = Raised(type="ImportError", message="no\ntorch", traceback="Traceback\n  last line\n")
    observation = msgspec.structs.replace(bad.observation.value, raised=raised)  # type: ignore
    bad = msgspec.structs.replace(
        bad, observation=msgspec.structs.replace(bad.observation, value=observation)
    )
    assert "raised: ImportError: no torch\n  Traceback\n    last line" in failure(bad)


def test_a_failure_shows_the_last_lines_of_both_streams() -> None:
    bad = result(cell(), Verdict.CRASH, stderr="why\n", stdout="MKL ERROR: no libtbb\n\n")
    told = failure(bad)
    assert "stderr, last lines:\n  why\nstdout, last lines:\n  MKL ERROR: no libtbb" in told


def test_a_failure_shows_the_last_lines_of_stderr() -> None:
    bad = result(cell(), Verdict.CRASH, stderr="".join(f"line {n}\n" for n in range(20)))
    assert "line 19" in failure(bad)
    assert "line 2\n" not in failure(bad)


def test_a_cell_that_could_not_be_run_has_a_reason() -> None:
    assert skipped(result(verdict=Verdict.UNAVAILABLE)) == (
        "unavailable: the layout needs Python >=3.15"
    )


def test_what_finished_is_in_no_import() -> None:
    assert innermost_import(factory("eager")) is None


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0042, "4.2 ms"),
        (0.042, "42 ms"),
        (2.314, "2.31 s"),
        (48.4, "48 s"),
        (192, "3 min 12 s"),
        (180, "3 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_lists() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"], "nor") == "a nor b"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_control_characters_are_spelled() -> None:
    assert printable("a\x1b[1m\tb\nc\r\n") == "a\\x1b[1m\tb\nc\n"
    assert one_line("a\n b\u202e") == "a b\\u202e"


def test_progress() -> None:
    started = Progress(done=0, running=2, hung=0, planned=44, elapsed_s=1.0)
    assert progress_line(started) == "0/44 cells done, 2 running, 0 hung"
    half = Progress(done=22, running=2, hung=1, planned=44, elapsed_s=190.0)
    assert progress_line(half) == "22/44 cells done, 2 running, 1 hung, about 3 min left"
    assert len(progress_line(half)) < 60
