"""What is run and what follows, on a bench that hangs as often as it is told to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from unit.diagnosis_factory import MAIN, MadeUpBench, make_cell, make_result, make_target

from deadlock_matrix.diagnosis.investigation.remedies import candidates
from deadlock_matrix.diagnosis.investigation.search import (
    ALWAYS_RUNS,
    SELDOM_RUNS,
    Found,
    Measured,
    fewer_imports,
    find_hang,
    measure,
    try_remedies,
)
from deadlock_matrix.model.cell import Calling, Cell, Context, Entry, Layout, Profile, Stdin
from deadlock_matrix.model.diagnosis import Effect, Rate, RemedyKind, Target
from deadlock_matrix.model.verdict import Verdict

THREAD = Context(name="thread", calling=Calling.THREAD)
ONE = Profile(name="one", set={"A": "1"})
FOUR = Profile(name="four", set={"A": "1", "B": "2", "C": "3", "D": "4"})
OTHER = Profile(name="other", set={"E": "5"})


def always(cell: Cell) -> float:
    return 1.0


def never(cell: Cell) -> float:
    return 0.0


def unless(name: str) -> Callable[[Cell], float]:
    """Hangs unless a variable is set."""
    return lambda cell: 0.0 if name in cell.profile.set else 1.0


def hung(target: Target, context: Context = MAIN) -> Found:
    return Found(make_result(make_cell(target, context), Verdict.DEADLOCK), context, (), ())


def measured(target: Target, rate: Rate | None = None) -> Measured:
    found = hung(target)
    return Measured(make_cell(target), rate or Rate(hangs=5, runs=5), found.result)


def test_a_first_run_that_hangs_is_the_only_one() -> None:
    bench = MadeUpBench(always)
    found = find_hang(make_target(contexts=(MAIN, THREAD)), bench)
    assert found.result.verdict is Verdict.DEADLOCK
    assert len(bench.ran) == 1


def test_without_a_hang_every_context_is_tried_and_the_first_as_often_as_was_said() -> None:
    bench = MadeUpBench(never)
    found = find_hang(make_target(contexts=(MAIN, THREAD), runs=7), bench)
    assert found.result.verdict is Verdict.OK
    assert {series.context: series.rate for series in found.series} == {
        "main": Rate(hangs=0, runs=7),
        "thread": Rate(hangs=0, runs=1),
    }
    assert len(found.clean) == 7


def test_a_hang_from_one_context_alone_is_found_and_remembered() -> None:
    bench = MadeUpBench(lambda cell: float(cell.context == THREAD))
    found = find_hang(make_target(contexts=(MAIN, THREAD)), bench)
    assert found.context == THREAD
    assert found.result.cell.context == THREAD
    assert len(bench.ran) == 3


def test_a_hang_under_one_profile_is_not_taken_for_one_that_comes_and_goes() -> None:
    target = make_target(profiles=(OTHER, FOUR))
    bench = MadeUpBench(lambda cell: float(cell.profile.set == FOUR.set))
    others = [replace(make_cell(target), profile=each) for each in (OTHER, FOUR)]
    found = find_hang(target, bench, lambda first: others)
    assert found.way == "main with four"
    target = replace(target, profile=found.result.cell.profile)
    assert measure(found, target, bench).rate == Rate(hangs=ALWAYS_RUNS, runs=ALWAYS_RUNS)
    assert [each.name for each in candidates(target, MAIN)] == ["other"]  # it hangs under four


def test_it_stops_when_there_is_no_time_left() -> None:
    bench = MadeUpBench(never, budget_runs=4)
    find_hang(make_target(runs=1000), bench)
    assert len(bench.ran) <= 5


def test_what_always_hangs_is_measured_by_few_runs_none_of_which_was_counted_before() -> None:
    bench = MadeUpBench(always)
    target = make_target()
    result = measure(find_hang(target, bench), target, bench)
    assert result.rate == Rate(hangs=ALWAYS_RUNS, runs=ALWAYS_RUNS)
    assert len(bench.ran) == 1 + 2 + ALWAYS_RUNS


def test_what_hangs_sometimes_is_measured_by_many() -> None:
    bench = MadeUpBench(lambda cell: 0.3, seed=3)
    target = make_target(runs=50)
    result = measure(find_hang(target, bench), target, bench)
    assert result.rate.runs == SELDOM_RUNS
    assert 0 < result.rate.hangs < SELDOM_RUNS


@pytest.mark.parametrize(
    ("verdict", "context", "deadline_s"),
    [
        (Verdict.HANG, MAIN, 5.0),
        # The main thread came to its last place at once; nobody knows how far the entry came.
        (Verdict.HANG, THREAD, 30.0),
        (Verdict.HANG, Context(name="fork", calling=Calling.FORK, prelude="pass"), 30.0),
        (Verdict.DEADLOCK, MAIN, 30.0),  # the proof ends it
    ],
)
def test_later_runs_need_not_wait_for_the_whole_deadline(
    verdict: Verdict, context: Context, deadline_s: float
) -> None:
    target = make_target()
    found = Found(make_result(make_cell(target, context), verdict), context, (), ())
    assert measure(found, target, MadeUpBench(always)).cell.deadline_s == deadline_s


def test_where_runs_take_long_some_remedies_of_each_kind_are_tried() -> None:
    profiles = tuple(Profile(name=f"p{n}", set={f"V{n}": "1"}) for n in range(10))
    lazy, factory = Layout(name="lazy"), Entry(name="factory", statement="import mine.factory")
    target = make_target(profiles=profiles, layouts=(lazy,), entries=(factory,))
    slow = make_result(make_cell(target), Verdict.DEADLOCK, duration_s=20.0)
    found = Measured(make_cell(target), Rate(hangs=5, runs=5), slow)
    trials = try_remedies(
        found, target, candidates(target, MAIN), MadeUpBench(always, budget_runs=60)
    ).trials
    tried = {trial.remedy.name for trial in trials if trial.effect is Effect.NOTHING}
    assert tried == {"p0", "p1", "p2", "p3", "factory", "lazy"}
    assert len(trials) == 12


def test_the_variable_that_matters_is_found_among_those_of_all_profiles() -> None:
    target = make_target(profiles=(OTHER, FOUR))
    bench = MadeUpBench(unless("C"))
    found = try_remedies(measured(target), target, candidates(target, MAIN), bench)
    effects = {trial.remedy.name: trial.effect for trial in found.trials}
    assert effects == {"four": Effect.CURES, "other": Effect.NOTHING}
    assert found.variables is not None
    assert (found.variables.elements, found.variables.out_of) == (("C",), 4)
    assert found.variables.whole
    assert found.cure is not None
    assert found.cure.remedy.profile.set == {"C": "3"}
    assert found.cure.effect is Effect.CURES
    assert found.cure.rate == Rate(hangs=0, runs=found.cure.needed)


def test_two_variables_that_only_help_together_are_both_kept() -> None:
    target = make_target(profiles=(FOUR,))
    bench = MadeUpBench(lambda cell: 0.0 if {"A", "D"} <= set(cell.profile.set) else 1.0)
    found = try_remedies(measured(target), target, candidates(target, MAIN), bench)
    assert found.variables is not None
    assert found.variables.elements == ("A", "D")


def test_a_profile_that_has_been_tried_is_not_run_again_as_a_part_of_another() -> None:
    target = make_target(profiles=(ONE, FOUR))
    bench = MadeUpBench(unless("A"))
    found = try_remedies(measured(target), target, candidates(target, MAIN), bench)
    assert found.cure is not None
    assert found.cure.remedy.name == "one"
    runs_of_one = [cell for cell in bench.ran if cell.profile.set == {"A": "1"}]
    assert len(runs_of_one) == found.cure.needed
    assert found.variables is not None
    assert (found.variables.of, found.variables.elements) == ("four", ("A",))
    assert (found.variables.out_of, found.variables.probes) == (4, 1)


def test_the_number_of_clean_runs_is_said_before_the_first() -> None:
    target = make_target(profiles=(ONE,))
    bench = MadeUpBench(unless("A"))
    try_remedies(measured(target), target, candidates(target, MAIN), bench)
    said = bench.told[0]
    assert "clean runs in a row are needed" in said
    assert "trying" in said


def test_too_little_time_to_confirm_is_no_cure() -> None:
    target = make_target(profiles=(ONE,))
    bench = MadeUpBench(unless("A"), budget_runs=1)
    found = try_remedies(measured(target), target, candidates(target, MAIN), bench)
    assert found.cure is None
    assert [trial.effect for trial in found.trials] == [Effect.CLEAN]


def test_what_could_not_be_tried_is_said_to_be_untried() -> None:
    target = make_target(profiles=(ONE, OTHER, FOUR))
    found = try_remedies(
        measured(target), target, candidates(target, MAIN), MadeUpBench(always, budget_runs=1)
    )
    assert [trial.effect for trial in found.trials].count(Effect.UNTRIED) == 1


def test_a_cure_by_a_layout_an_entry_and_a_context() -> None:
    lazy, factory = Layout(name="lazy"), Entry(name="factory", statement="import mine.factory")
    silent = Context(name="stdin-silent-pipe", stdin=Stdin.SILENT_PIPE)
    target = make_target(layouts=(lazy,), entries=(factory,), contexts=(silent,))

    def chance(cell: Cell) -> float:
        cured = cell.layout == lazy or cell.entry == factory or cell.context.stdin is Stdin.NULL
        return 0.0 if cured else 1.0

    found = try_remedies(measured(target), target, candidates(target, silent), MadeUpBench(chance))
    assert [(trial.remedy.kind, trial.effect) for trial in found.trials] == [
        (RemedyKind.CONTEXT, Effect.CURES),
        (RemedyKind.ENTRY, Effect.CURES),
        (RemedyKind.LAYOUT, Effect.CURES),
    ]
    assert found.cure is not None
    assert found.cure.remedy.kind is RemedyKind.CONTEXT


def test_worse_and_better_are_told_where_it_does_not_always_hang() -> None:
    worse, better = Profile(name="worse", set={"W": "1"}), Profile(name="better", set={"B": "1"})
    target = make_target(profiles=(worse, better))

    def chance(cell: Cell) -> float:
        return 1.0 if "W" in cell.profile.set else 0.05 if "B" in cell.profile.set else 0.5

    bench = MadeUpBench(chance, seed=5)
    found = try_remedies(
        measured(target, Rate(hangs=10, runs=20)), target, candidates(target, MAIN), bench
    )
    effects = {trial.remedy.name: trial.effect for trial in found.trials}
    assert effects == {"worse": Effect.WORSE, "better": Effect.HELPS}


@pytest.mark.parametrize("true", [0.1, 0.3, 0.7])
def test_useless_remedies_are_called_cures_in_at_most_5_of_100_diagnoses(true: float) -> None:
    """All of a diagnosis, from finding the hang, with ten remedies that do nothing."""
    profiles = tuple(Profile(name=f"p{n}", set={f"V{n}": "1"}) for n in range(10))
    target = make_target(profiles=profiles, runs=100)
    wrongly, diagnoses = 0, 150
    for seed in range(diagnoses):
        bench = MadeUpBench(lambda cell: true, seed, budget_runs=400)
        found = find_hang(target, bench)
        result = measure(found, target, bench)
        remedies = try_remedies(result, target, candidates(target, MAIN), bench)
        wrongly += any(trial.effect is Effect.CURES for trial in remedies.trials)
    assert wrongly <= 0.05 * diagnoses


def test_the_two_imports_that_suffice_are_found() -> None:
    statement = "import a, b\nimport c\nfrom d import e\nprint(1)"
    target = make_target(statement=statement)

    def chance(cell: Cell) -> float:
        lines = cell.entry.statement.splitlines()
        both = "import b" in lines and "from d import e" in lines
        return float(both and lines.index("import b") < lines.index("from d import e"))

    found = fewer_imports(measured(target), target, MadeUpBench(chance))
    assert found is not None
    assert found.elements == ("import b", "from d import e")
    assert (found.out_of, found.whole) == (4, True)


def test_what_a_script_begins_with_is_no_import_and_stays_where_it_is() -> None:
    statement = (
        '"""What it does."""\nfrom __future__ import annotations\nimport a\nimport b\nprint(1)'
    )
    target = make_target(statement=statement)
    bench = MadeUpBench(lambda cell: float("import b" in cell.entry.statement.splitlines()))
    found = fewer_imports(measured(target), target, bench)
    assert found is not None
    assert (found.elements, found.out_of) == (("import b",), 2)
    for each in bench.ran:
        compile(each.entry.statement, "script.py", "exec")


def test_imports_that_the_rest_uses_are_kept_and_nothing_is_run_to_find_that_out() -> None:
    target = make_target(statement="import json\nimport a\njson.dumps(a.f())")
    bench = MadeUpBench(always)
    assert fewer_imports(measured(target), target, bench) is None
    assert bench.ran == []


def test_imports_are_not_taken_apart_where_there_is_one() -> None:
    target = make_target()
    assert fewer_imports(measured(target), target, MadeUpBench(always)) is None


def test_another_order_of_the_imports_is_a_remedy() -> None:
    target = make_target(statement="import a\nimport b")
    bench = MadeUpBench(lambda cell: float(cell.entry.statement.startswith("import a")))
    found = try_remedies(measured(target), target, candidates(target, MAIN), bench)
    assert found.cure is not None
    assert found.cure.remedy.entry.statement == "import b\nimport a"
