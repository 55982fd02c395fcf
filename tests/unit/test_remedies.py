"""Which remedies are worth trying, and their order once they were measured."""

from __future__ import annotations

import pytest
from unit.diagnosis_factory import MAIN, make_cell, make_facts, make_result, make_target

from deadlock_matrix.diagnosis.investigation.remedies import (
    added_variables,
    candidates,
    judge,
    rank,
    remedied,
    with_variables,
)
from deadlock_matrix.model.cell import Calling, Cell, Context, Entry, Layout, Profile, Stdin
from deadlock_matrix.model.diagnosis import Effect, Rate, Remedy, RemedyKind, Trial
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Raised
from deadlock_matrix.model.verdict import Verdict

ONE = Profile(name="one", set={"A": "1"})
TWO = Profile(name="two", set={"A": "1", "B": "2"})
TARGET = make_target(profiles=(TWO, ONE))
BEFORE = Rate(hangs=5, runs=5)


def remedy(name: str = "one") -> Remedy:
    return next(each for each in candidates(TARGET, MAIN) if each.name == name)


def results(*verdicts: Verdict, entry_s: float = 0.2) -> list[CellResult]:
    facts = make_facts(entry_s)
    return [make_result(make_cell(), each, facts=facts if each is Verdict.OK else None)
            for each in verdicts]  # fmt: skip


def judged(*verdicts: Verdict, name: str = "one", entry_s: float = 0.2) -> Trial:
    hung = make_result(make_cell(), Verdict.DEADLOCK)
    return judge(remedy(name), results(*verdicts, entry_s=entry_s), hung, BEFORE, 2, 0.05)


def test_every_part_that_can_be_another_is_a_candidate() -> None:
    target = make_target(
        statement="import a\nimport b",
        profiles=(ONE,),
        layouts=(Layout(name="lazy"),),
        entries=(Entry(name="factory", statement="import a.factory"),),
    )
    silent = Context(name="stdin-silent-pipe", stdin=Stdin.SILENT_PIPE)
    found = [(each.kind, each.name) for each in candidates(target, silent)]
    assert found == [
        (RemedyKind.VARIABLES, "one"),
        (RemedyKind.CONTEXT, "null-stdin"),
        (RemedyKind.ORDER, "order-1"),
        (RemedyKind.ENTRY, "factory"),
        (RemedyKind.LAYOUT, "lazy"),
    ]


@pytest.mark.parametrize(
    ("calling", "instead"),
    [
        (Calling.FORK, Calling.SPAWN),
        (Calling.THREAD, Calling.MAIN),
        (Calling.TWO_THREADS, Calling.MAIN),
        (Calling.SPAWN, Calling.MAIN),
    ],
)
def test_another_way_of_calling(calling: Calling, instead: Calling) -> None:
    context = Context(name="given", calling=calling, prelude="import p")
    (found,) = candidates(make_target(), context)
    assert (found.context.calling, found.context.prelude) == (instead, "import p")


def orders(statement: str, needed: tuple[str, ...]) -> list[str]:
    found = candidates(make_target(statement=statement), MAIN, needed, {"json", "csv"})
    return [each.entry.statement for each in found if each.kind is RemedyKind.ORDER]


def test_the_place_of_what_is_inert_does_not_matter() -> None:
    assert orders("import json\nimport a\nimport csv", ("import json", "import a")) == []
    (found,) = orders("import a\nimport json\nimport b", ("import a", "import b"))
    assert found == "import json\nimport b\nimport a"


def test_an_import_that_the_hang_does_not_need_may_keep_it_from_coming() -> None:
    (found,) = orders("import a\nimport b\nimport helps", ("import b",))
    assert found == "import a\nimport helps\nimport b"
    assert orders("import a\nimport b", ("import b",)) == []


def test_the_main_thread_is_left_as_it_is() -> None:
    assert candidates(make_target(), MAIN) == ()


def test_a_remedy_changes_its_part_of_the_cell_alone() -> None:
    cell = make_cell(TARGET)
    changed = remedied(cell, remedy())
    assert changed.profile.set == {"A": "1"}
    assert Cell(**{**_fields(changed), "profile": cell.profile}) == cell


def _fields(cell: Cell) -> dict[str, object]:
    return {name: getattr(cell, name) for name in Cell.__struct_fields__}


def test_variables_of_the_target_itself_are_not_the_remedys() -> None:
    base = Profile(name="base", set={"A": "1", "Z": "9"})
    both = Remedy(
        kind=RemedyKind.VARIABLES,
        name="two",
        summary="",
        profile=Profile(name="two", set={"A": "1", "B": "2", "Z": "9"}),
        layout=TARGET.layout,
        entry=TARGET.entry,
        context=MAIN,
    )
    assert added_variables(both, base) == {"B": "2"}
    assert with_variables(both, base, ("B",)).profile.set == {"A": "1", "Z": "9", "B": "2"}


@pytest.mark.parametrize(
    ("verdicts", "effect"),
    [
        ((Verdict.OK, Verdict.OK), Effect.CURES),
        ((Verdict.OK,), Effect.CLEAN),
        ((Verdict.OK, Verdict.DEADLOCK), Effect.NOTHING),
        ((Verdict.HANG,), Effect.NOTHING),
        ((Verdict.OK, Verdict.SLOW), Effect.SLOW),
        ((Verdict.ERROR,), Effect.FAILS),
        ((Verdict.CRASH, Verdict.OK), Effect.FAILS),
        ((Verdict.UNAVAILABLE,), Effect.UNTRIED),
        ((), Effect.UNTRIED),
    ],
)
def test_what_runs_show(verdicts: tuple[Verdict, ...], effect: Effect) -> None:
    assert judged(*verdicts).effect is effect


def test_sys_exit_without_a_status_is_a_clean_end() -> None:
    raised = Raised(type="SystemExit", message="", traceback="")
    run = make_result(make_cell(), Verdict.ERROR, raised=raised, status=0)
    hung = make_result(make_cell(), Verdict.DEADLOCK)
    assert judge(remedy(), [run, run], hung, BEFORE, 2, 0.05).effect is Effect.CURES


def test_the_time_is_the_median_of_clean_runs() -> None:
    trial = judged(Verdict.OK, Verdict.OK, entry_s=0.75)
    assert isinstance(trial.entry_s, Known)
    assert trial.entry_s.value == 0.75


def test_the_best_is_first() -> None:
    base = TARGET.profile
    slow_small = judged(Verdict.OK, Verdict.OK, name="one", entry_s=9.0)
    fast_large = judged(Verdict.OK, Verdict.OK, name="two", entry_s=0.1)
    clean = judged(Verdict.OK)
    nothing = judged(Verdict.DEADLOCK)
    fails = judged(Verdict.ERROR)
    ranked = rank([fails, nothing, clean, fast_large, slow_small], base)
    assert ranked == (slow_small, fast_large, clean, nothing, fails)


def test_instead_of_a_second_time_in_a_forked_child_a_spawned_one() -> None:
    context = Context(name="fork-again", calling=Calling.FORK_AGAIN)
    (found,) = candidates(make_target(statement="import mine"), context)
    assert found.context.calling is Calling.SPAWN
    assert found.context.prelude.strip() == "import mine"
