"""The first question: does it hang, where, and what cures it? Answered from the cells alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from deadlock_matrix.cli.report_render import read_assets
from deadlock_matrix.diagnosis.hanging import Hanging, answer
from deadlock_matrix.model.cell import Profile
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.answer import TITLE, never_ran, told, unavailable
from deadlock_matrix.render.html.page import html
from deadlock_matrix.render.markdown import markdown
from deadlock_matrix.render.terminal import text
from tests.unit.test_report_samples import cell, result
from tests.unit.test_terminal import report

OK, DEADLOCK, HANG = Verdict.OK, Verdict.DEADLOCK, Verdict.HANG


def run(verdict: Verdict = OK, **axes: str) -> CellResult:
    return result(cell(**axes), verdict)


def groups(*cells: CellResult) -> Sequence[Hanging]:
    return answer(report(*cells)).groups


def lines(*cells: CellResult) -> list[str]:
    return [line for each in told(report(*cells)) for line in (each.sentence, *each.lines)]


def test_nothing_hangs() -> None:
    assert lines(run(), run(profile="x")) == ["no: none of the 2 cells that were run hung"]


def test_nothing_is_said_where_nothing_ran() -> None:
    assert lines(run(Verdict.UNAVAILABLE)) == []


def test_a_run_that_goes_on_answers_so_far() -> None:
    (first,) = told(report(run(), planned=5))
    assert first.sentence == "no: none of the 1 cell that was run so far hung"


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        ([DEADLOCK, OK], "yes: 1 of the 2 cells that were run hung, a proved deadlock"),
        ([DEADLOCK, DEADLOCK], "yes: 2 of the 2 cells that were run hung, "
         "all of them proved deadlocks"),
        ([DEADLOCK, HANG], "yes: 2 of the 2 cells that were run hung, 1 of them proved"),
        ([HANG, Verdict.CRASH], "yes: 1 of the 2 cells that were run hung, 0 of them proved"),
    ],
)  # fmt: skip
def test_how_many_hang_and_how_many_are_proved(cells: list[Verdict], first: str) -> None:
    assert lines(*(run(each, entry=f"e{n}") for n, each in enumerate(cells)))[0] == first


def test_places_that_hang_in_the_same_context_are_told_together() -> None:
    (group,) = groups(
        run(DEADLOCK, interpreter="a", context="fork"),
        run(DEADLOCK, interpreter="b", context="fork", entry="package"),
        run(interpreter="c", context="fork"),
        run(interpreter="a"),
    )
    assert group.places == 2
    assert group.interpreters == ("a", "b")
    assert group.entries == ("factory", "package")
    assert group.spared_interpreters == ("c",)


def test_an_interpreter_in_which_something_hangs_is_not_spared() -> None:
    (group,) = groups(run(DEADLOCK, interpreter="a"), run(Verdict.ERROR, interpreter="c"))
    assert group.spared_interpreters == ()


def test_a_layout_that_comes_through_is_told() -> None:
    shown = lines(run(DEADLOCK), run(layout="lazy"), run(layout="getattr"))
    assert "layouts: eager; not: getattr and lazy" in shown


def test_layouts_are_compared_where_nothing_else_differs() -> None:
    (group,) = groups(run(DEADLOCK), run(layout="lazy", entry="package"))
    assert group.spared_layouts == ()


def set_by(name: str, value: str, verdict: Verdict, **axes: str) -> CellResult:
    of = msgspec.structs.replace(
        cell(**axes), profile=Profile(name=name, set={name.upper(): value})
    )
    return result(of, verdict)


def test_what_cures_it_with_what_it_sets_and_what_does_not() -> None:
    shown = lines(
        run(DEADLOCK),
        run(DEADLOCK, entry="package"),
        set_by("one", "1", OK),
        set_by("one", "1", OK, entry="package"),
        set_by("part", "2", OK),
        set_by("mixed", "3", OK),
        set_by("mixed", "3", HANG, entry="package"),
        set_by("broken", "4", Verdict.ERROR),
    )
    assert shown[-3:] == [
        "cured by one (ONE=1)",
        "cured by part (PART=2), tried in 1 of 2 places",
        "not by mixed",
    ]


def test_a_cure_must_hold_in_every_repeat() -> None:
    again = msgspec.structs.replace(cell(profile="one"), repeat=2)
    (group,) = groups(run(DEADLOCK), run(profile="one"), result(again, HANG))
    assert group.cured == ()
    assert [each.profile for each in group.uncured] == ["one"]


def test_where_nothing_helps_or_nothing_was_tried() -> None:
    assert "nothing that was tried cures it" in lines(run(HANG), run(HANG, profile="x"))
    assert "no cure was tried" in lines(run(HANG))


def test_a_hang_that_a_profile_brings_about() -> None:
    shown = lines(run(), run(DEADLOCK, profile="worse"), run(profile="same"))
    assert "only under worse; it is ok under baseline and same" in shown


def test_contexts_in_which_nothing_hangs() -> None:
    shown = lines(run(DEADLOCK, context="fork"), run(), run(entry="b"), run(context="spawn"))
    assert shown[-1] == "nothing hung in main (2 cells) and spawn (1 cell)"


def test_a_trait_parts_what_is_alike_otherwise() -> None:
    cells = [run(DEADLOCK, interpreter=name) for name in ("a1", "a2", "b1")]
    found = answer(report(*cells), [lambda each, _: each.cell.interpreter.name[0]]).groups
    assert [(each.traits, each.interpreters) for each in found] == [
        (("a",), ("a1", "a2")),
        (("b",), ("b1",)),
    ]


def test_many_groups_are_cut() -> None:
    shown = lines(*(run(HANG, context=f"c{n}") for n in range(9)))
    assert shown[-1] == "and in 3 more places, listed below"


def test_what_could_not_be_run_has_a_line_for_each_reason() -> None:
    missing = [result(cell(interpreter=name), Verdict.UNAVAILABLE, why="gone") for name in "ab"]
    part = result(cell(layout="new"), Verdict.UNAVAILABLE, why="too old")
    of = report(run(), part, *missing)
    assert list(unavailable(of)) == ["a, b: gone", "py (1 cell): too old"]
    assert never_ran(of) == {"a", "b"}


def test_every_rendering_has_the_answer_before_the_details() -> None:
    missing = [result(cell(interpreter=name), Verdict.UNAVAILABLE, why="gone") for name in "ab"]
    of = report(run(DEADLOCK), run(layout="lazy"), *missing)
    shown = text(of)
    assert shown.index(TITLE) < shown.index("Not ok") < shown.index("a, b: gone")
    shown = markdown(of)
    assert shown.index(TITLE) < shown.index("Not ok") < shown.index("- a, b: gone")
    assert "### a" not in shown and shown.count("unavailable") == 0
    shown = html(of, read_assets())
    assert shown.index("yes: 1 of the 2 cells") < shown.index('id="matrix"')
    assert "layouts: eager; not: lazy" in shown
