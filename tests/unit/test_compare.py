"""What a comparison says, and what it must not say."""

from __future__ import annotations

from math import comb

import msgspec
import pytest
from unit.test_compare_samples import (
    MACOS,
    OPENBLAS,
    TOOL,
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

from deadlock_matrix.model.cell import Entry, Role
from deadlock_matrix.model.comparison import Change, ChangeKind, Limits
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Proof, ProofKind, Verdict
from deadlock_matrix.report.compare.comparison import compare
from deadlock_matrix.report.compare.proof_shape import shape
from deadlock_matrix.report.compare.statistics import (
    rate_grew,
    runs_needed,
    shift_beyond,
    smallest_chance,
)
from deadlock_matrix.report.identity import differences
from deadlock_matrix.report.merge import merge

OLD, NEW, THIRD = "20270101-000000-aaaa", "20270102-000000-bbbb", "20270103-000000-cccc"
OK, DEADLOCK, ERROR = Verdict.OK, Verdict.DEADLOCK, Verdict.ERROR
POINT = "py/baseline/eager/factory/main"


def changes(old: Report, new: Report) -> tuple[Change, ...]:
    return compare(old, new).changes


def only(old: Report, new: Report) -> Change:
    (change,) = changes(old, new)
    return change


# --- verdicts -----------------------------------------------------------------------------------


def test_a_new_deadlock_is_told_by_its_proof_without_ids() -> None:
    change = only(
        report(result(), run=OLD), report(deadlock(import_and_join()), result(cell(repeat=2)))
    )
    assert change == Change(
        kind=ChangeKind.NEW_DEADLOCK,
        cell=POINT,
        before="ok",
        after="ok 1, deadlock 1",
        sentence="ok 1, deadlock 1 now, ok before: main thread waits for end of thread 'pool-N', "
        "held by thread 'pool-N'; thread 'pool-N' waits for import lock of module 'pack2', held by "
        "main thread",
    )


def test_repeats_are_one_cell() -> None:
    compared = compare(report(*repeated([OK] * 3), run=OLD), report(*repeated([OK] * 5), run=NEW))
    assert (compared.changes, compared.unchanged, compared.cells) == ((), 1, (POINT,))


def test_a_report_does_not_differ_from_itself() -> None:
    same = report(
        *repeated([OK, DEADLOCK, ERROR]),
        deadlock(idle_pool(7, 3), cell(layout="lazy")),
        importing("torch", of=cell("conda")),
        result(cell("conda", layout="lazy"), Verdict.UNAVAILABLE),
    )
    kinds = {change.kind for change in changes(same, same)}
    assert kinds == {ChangeKind.FLAKY}  # told in every comparison: it is worth knowing


def test_swapping_the_reports_turns_worse_into_better() -> None:
    slow, fast = report(*timed(2.0, 2.1, 2.2), run=OLD), report(*timed(1.0, 1.1, 1.2), run=NEW)
    assert only(fast, slow).kind is ChangeKind.SLOWER
    assert only(slow, fast).kind is ChangeKind.FASTER
    assert only(slow, fast).sentence == "1.91 x faster (p = 0.05)"
    assert only(slow, fast).before == "2.1 s (median of 3)"


def test_two_new_verdicts_are_two_changes() -> None:
    found = changes(report(result(), run=OLD), report(*repeated([DEADLOCK, ERROR, OK]), run=NEW))
    assert [each.kind for each in found] == [ChangeKind.NEW_DEADLOCK, ChangeKind.NEW_ERROR]


def test_controls_are_not_compared_as_cells() -> None:
    assert all(
        not each.cell.role.value.startswith(Role.MATRIX.value) for each in report(result()).controls
    )
    assert compare(report(result()), report(result())).cells == (POINT,)


@pytest.mark.parametrize(
    ("old", "new", "sure"),
    [((1, 10), (5, 5), True), ((1, 3), (1, 1), False), ((2, 4), (4, 4), False)],
)
def test_rates_decide_what_is_a_flake(
    old: tuple[int, int], new: tuple[int, int], sure: bool
) -> None:
    def runs(rate: tuple[int, int], run: str) -> Report:
        return report(*repeated([DEADLOCK] * rate[0] + [OK] * (rate[1] - rate[0])), run=run)

    change = only(runs(old, OLD), runs(new, NEW))
    assert change.kind is (ChangeKind.MORE_OFTEN if sure else ChangeKind.FLAKY)


# --- statistics ---------------------------------------------------------------------------------


def test_fishers_test_by_hand() -> None:
    # All five of the six bad ones fall among the five new runs: C(10, 1) / C(15, 6).
    assert rate_grew((1, 10), (5, 5)) == pytest.approx(comb(10, 1) / comb(15, 6))


def test_the_rank_test_by_hand() -> None:
    low, high = [1.0, 1.1, 1.2], [2.0, 2.1, 2.2]
    assert shift_beyond(low, high, 1.25, 0.02) == pytest.approx(1 / 20)
    # 2.0 is not beyond twice 1.2: what must be exceeded counts, not that there is some shift.
    assert shift_beyond(low, high, 2.0, 0.02) > 0.1
    assert shift_beyond([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 1.25, 0.02) > 0.9


def test_how_many_runs_a_difference_needs() -> None:
    assert smallest_chance(3, 3) == 1 / 20
    assert runs_needed(0.05) == 3
    assert runs_needed(0.01) == 5


@pytest.mark.parametrize("runs", [1, 2])
def test_too_few_runs_are_said(runs: int) -> None:
    old, new = report(*timed(*[1.0, 1.1][:runs]), run=OLD), report(*timed(*[5.0, 6.0][:runs]))
    compared = compare(old, new)
    (change,) = compared.changes
    assert change.kind is ChangeKind.UNDECIDED_TIME
    assert "needs 3 runs in each report at least" in change.sentence
    assert (compared.timed, compared.too_few) == (1, 1)


def test_limits_can_be_others() -> None:
    pair = report(*timed(1.0, 1.01, 1.02), run=OLD), report(*timed(1.1, 1.11, 1.12), run=NEW)
    assert compare(*pair).changes == ()
    (change,) = compare(*pair, Limits(ratio=1.05)).changes
    assert change.kind is ChangeKind.SLOWER


# --- proofs -------------------------------------------------------------------------------------


def test_ids_and_addresses_do_not_count() -> None:
    assert shape(import_and_join(100, 101, "pool-1")) == shape(import_and_join(5, 9, "pool-22"))


def test_a_larger_pool_is_the_same_shape() -> None:
    assert shape(idle_pool(50, 1)) == shape(idle_pool(900, 15))
    assert shape(idle_pool(50, 1, "libgomp-a34b3233.so.1.0.0")) == shape(idle_pool(50, 1))
    assert shape(idle_pool(50, 1, "libiomp5.so")) != shape(idle_pool(50, 1))


def changed(proof: Proof, what: str) -> Proof:
    if what == "kind":
        return msgspec.structs.replace(proof, kind=ProofKind.CLOSED_WORLD)
    if what == "module":
        nodes = tuple(
            msgspec.structs.replace(node, label=node.label.replace("pack2", "pack3"))
            for node in proof.nodes
        )
        return msgspec.structs.replace(proof, nodes=nodes)
    if what == "node kind":
        nodes = tuple(
            msgspec.structs.replace(node, kind="lock") if node.id.startswith("module") else node
            for node in proof.nodes
        )
        return msgspec.structs.replace(proof, nodes=nodes)
    if what == "owner":  # the lock's owner is the thread itself: same labels, another circle
        edges = tuple(
            msgspec.structs.replace(edge, head="thread-100-101")
            if edge.tail.startswith("module")
            else edge
            for edge in proof.edges
        )
        return msgspec.structs.replace(proof, edges=edges)
    return msgspec.structs.replace(proof, roots=("thread-100-101",))


@pytest.mark.parametrize("what", ["kind", "module", "node kind", "owner", "root"])
def test_what_makes_a_proof_another_one(what: str) -> None:
    assert shape(changed(import_and_join(), what)).digest != shape(import_and_join()).digest


def test_the_order_of_nodes_and_edges_does_not_count() -> None:
    proof = idle_pool(7, 4)
    turned = msgspec.structs.replace(proof, nodes=proof.nodes[::-1], edges=proof.edges[::-1])
    assert shape(turned) == shape(proof)


def test_one_of_several_known_circles_is_no_change() -> None:
    both = report(deadlock(import_and_join()), deadlock(idle_pool(7, 2), cell(repeat=2)), run=OLD)
    assert changes(both, report(deadlock(idle_pool(90, 3)))) == ()


# --- imports ------------------------------------------------------------------------------------


def test_a_newly_eager_module_is_told_with_its_chain() -> None:
    change = only(
        report(importing("pack.models"), run=OLD), report(importing("pack.models", "torch"))
    )
    assert change.kind is ChangeKind.NEWLY_IMPORTED
    assert change.after == "pack.models -> torch (pack.models.py:3)"
    assert change.sentence == f"torch is imported now: {change.after}"
    assert change.before == "not imported"


def with_facts(of: CellResult, **rest: object) -> CellResult:
    assert isinstance(of.observation, Known)
    assert isinstance(of.observation.value.probe, Known)
    facts = msgspec.structs.replace(of.observation.value.probe.value, **rest)
    observation = msgspec.structs.replace(of.observation.value, probe=known(facts, "probe"))
    return msgspec.structs.replace(of, observation=known(observation, "run"))


def test_what_was_not_watched_is_known_of_packages_only() -> None:
    unwatched = {"watched": {}, "top_levels": {"pack": 20}}
    old = report(with_facts(result(), **unwatched), run=OLD)
    new = report(importing("pack.models", "torch"))
    # Nobody knows whether pack.models was imported before; torch was not.
    assert [each.sentence.split()[0] for each in changes(old, new)] == ["torch"]
    with_torch = {"watched": {}, "top_levels": {"pack": 20, "torch": 900}}
    assert changes(report(with_facts(result(), **with_torch), run=OLD), new) == ()


def test_modules_inside_a_newly_eager_one_are_not_told() -> None:
    new = importing("torch", "torch.nn")
    old = with_facts(result(), watched={"torch": 0, "torch.nn": 0})
    assert only(report(old, run=OLD), report(new)).sentence.startswith("torch is imported now")


def test_an_import_in_some_runs_only_is_told_with_its_rate() -> None:
    new = (importing("torch"), importing(of=cell(repeat=2)))
    change = only(report(result(), run=OLD), report(*new))
    assert change.sentence == "torch is imported now in 1 of 2 runs: torch (__main__.py:3)"
    assert changes(report(*new, run=OLD), report(importing("torch"))) == ()


def test_runs_that_did_not_finish_tell_nothing_about_imports() -> None:
    (change,) = changes(report(result(verdict=DEADLOCK), run=OLD), report(importing("torch")))
    assert change.kind is ChangeKind.CURED_DEADLOCK


# --- interpreters and cells ---------------------------------------------------------------------


def test_what_changed_about_an_interpreter_is_told() -> None:
    newer = interpreter(
        version="3.12.1",
        packages={"torch": "2.14.0", "numpy": "2.3"},
        libraries=[msgspec.structs.replace(OPENBLAS, version=known("0.3.30", "its text"))],
    )
    change = only(report(result(), run=OLD), report(result(), interpreters=[newer]))
    assert (change.kind, change.cell) == (ChangeKind.CHANGED_INTERPRETER, "py")
    assert change.sentence == (
        "Python cpython 3.11.7 -> cpython 3.12.1; new: numpy 2.3; torch 2.13.0 -> 2.14.0; "
        "OpenBLAS 0.3.27 (pthreads; numpy) -> 0.3.30 (pthreads; numpy)"
    )


def test_what_is_unknown_is_not_a_difference() -> None:
    (facts,) = report(result()).interpreters
    assert isinstance(facts.fingerprint, Known)
    bare = msgspec.structs.replace(facts.fingerprint.value, libraries=unknown("not read"))
    hidden = msgspec.structs.replace(facts, fingerprint=known(bare, "asked"))
    assert differences(facts, hidden) == differences(hidden, facts) == ()
    silent = msgspec.structs.replace(facts, fingerprint=unknown("it does not start"))
    change = only(report(result(), run=OLD), report(result(), interpreters=[silent]))
    assert change.sentence == (
        "identified before, not identified now: whether it changed is not known"
    )


def test_a_merged_report_compares_with_one_of_its_platforms() -> None:
    both = merge(
        [report(result(), run=OLD), report(result(verdict=DEADLOCK), run=NEW, host=MACOS)], TOOL
    )
    linux = compare(both, report(result(), run=THIRD))
    assert [each.kind for each in linux.changes] == [
        ChangeKind.MISSING_CELL,
        ChangeKind.RENAMED_INTERPRETER,
    ]
    macos = compare(both, report(result(), run=THIRD, host=MACOS))
    assert {each.kind for each in macos.changes} == {
        ChangeKind.CURED_DEADLOCK,
        ChangeKind.MISSING_CELL,
        ChangeKind.RENAMED_INTERPRETER,
    }


def test_a_renamed_and_updated_interpreter_is_found_by_its_own_name() -> None:
    newer = [interpreter(packages={"torch": "2.14.0"})]
    both = merge(
        [report(result(), run=NEW, interpreters=newer), report(result(), run=THIRD, host=MACOS)],
        TOOL,
    )
    compared = compare(report(result(), run=OLD), both)
    assert {each.kind for each in compared.changes} == {
        ChangeKind.RENAMED_INTERPRETER,
        ChangeKind.CHANGED_INTERPRETER,
        ChangeKind.NEW_CELL,
    }
    assert [(each.before, each.after) for each in compared.interpreters] == [
        ("", "py@Darwin-arm64"),
        ("py", "py@Linux-x86_64"),
    ]


def test_two_interpreters_that_are_the_same_are_not_guessed_at() -> None:
    old = report(result(cell("one")), run=OLD)
    new = report(result(cell("two")), result(cell("three")))
    kinds = [each.kind for each in changes(old, new)]
    assert kinds == [ChangeKind.MISSING_CELL, ChangeKind.NEW_CELL, ChangeKind.NEW_CELL]


def test_a_redefined_cell_says_what_is_different() -> None:
    other = msgspec.structs.replace(cell(), entry=Entry(name="factory", statement="import other"))
    change = only(report(result(), run=OLD), report(result(other)))
    assert (change.kind, change.after) == (ChangeKind.REDEFINED_CELL, "import other")
