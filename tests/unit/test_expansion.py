"""`expand`: which cells come out, and that pairwise coverage covers every pair."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.configuration import Configuration
from deadlock_matrix.matrix.expansion import expand, unavailable_reason
from deadlock_matrix.matrix.pairwise import Row, cover_pairs, pairs_of
from deadlock_matrix.matrix.selection import Coverage, Selection
from deadlock_matrix.model.cell import AXES, Cell, Interpreter
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.model.verdict import Verdict

NEAR = Interpreter(name="near", executable="/near/python")
FAR = Interpreter(name="far", executable="/far/python")


MULTIPLYING = (
    "multiply", "numpy-torch-multiply", "torch-numpy-multiply", "package-multiply",
    "mkl-service-multiply", "torch-twice", "torch-variables-before", "torch-variables-after",
)  # fmt: skip
INSTALLED = ("lazy-loader", "mkl-service", "numpy", "torch", "transformers")


def fingerprint(version: str, installed: tuple[str, ...] = INSTALLED) -> Known[Fingerprint]:
    value = Fingerprint(
        name="near",
        executable="/near/python",
        version=version,
        implementation="cpython",
        build="",
        distribution="pyenv",
        free_threaded=False,
        packages=dict.fromkeys(installed, "1.0"),
        libraries=unknown("not looked"),
    )
    return known(value, "test")


def facts(interpreter: Interpreter, found: Known[Fingerprint] | Unknown) -> InterpreterFacts:
    return InterpreterFacts(
        name=interpreter.name, executable=interpreter.executable, fingerprint=found
    )


def ids(cells: tuple[Cell, ...]) -> list[str]:
    return [cell.id for cell in cells]


@pytest.fixture(scope="module")
def built_in() -> Configuration:
    return load_configuration(None, Path("/"), "splitlearn")


def test_default_preset(built_in: Configuration) -> None:
    cells = expand(built_in, [NEAR])
    assert 75 <= len(cells) <= 85
    assert len(set(ids(cells))) == len(cells)
    for profile, layout, entry in product(
        ("baseline", "mkl-full"),
        ("eager", "lazy"),
        ("package", "from-package", "from-factory"),
    ):
        assert f"near/{profile}/{layout}/{entry}/main" in ids(cells)
    needs_mkl = {"mkl-service-multiply"}  # those are asked of the interpreters that have it
    for axis in AXES[1:]:
        names = {getattr(cell, axis).name for cell in cells}
        assert names == set(built_in.names(axis)) - needs_mkl


def test_full_preset_has_all_of_the_default(built_in: Configuration) -> None:
    names = ("near", "pip-mkl", "conda-mkl", "system-mkl", "system-openblas-openmp", "system-blis")
    interpreters = [Interpreter(name=name, executable="/python") for name in names]
    default = set(ids(expand(built_in, interpreters)))
    full = set(ids(expand(built_in, interpreters, Selection(preset="full"))))
    assert default < full
    first = set(ids(expand(built_in, interpreters, Selection(preset="first"))))
    assert first < default and len(first) == 2 * len(names)


def test_default_preset_asks_about_blas_where_it_differs(built_in: Configuration) -> None:
    mixture = Interpreter(name="pip-mkl", executable="/mkl/python")
    plain = Interpreter(name="system-blis", executable="/blis/python")
    cells = expand(built_in, [mixture, plain])
    asked = {name: {cell.entry.name for cell in cells if cell.interpreter.name == name}
             for name in ("pip-mkl", "system-blis")}  # fmt: skip
    assert "mkl-service-multiply" in asked["pip-mkl"] - asked["system-blis"]
    assert "from-package" not in asked["pip-mkl"] | asked["system-blis"]
    forked = [cell for cell in cells if cell.context.name == "fork-again"]
    assert {cell.interpreter.name for cell in forked} == {"pip-mkl", "system-blis"}
    assert all(cell.expect == (Verdict.OK, Verdict.DEADLOCK, Verdict.HANG) for cell in forked)
    (refused,) = [cell for cell in cells if cell.expect == (Verdict.ERROR,)]
    assert refused.id == "pip-mkl/mkl-intel/lazy/mkl-service-multiply/main"


def test_a_distribution_that_is_missing(built_in: Configuration) -> None:
    def reason(layout: str, entry: str, context: str = "main") -> str | None:
        selection = Selection(
            include=(f"layout={layout}", f"entry={entry}", f"context={context}"),
            coverage=Coverage.FULL,
        )
        cell = expand(built_in, [NEAR], selection)[0]
        return unavailable_reason(cell, fingerprint("3.11.7", ("numpy",)))

    assert reason("lazy", "package") is None
    assert reason("lazy", "multiply") is None
    assert reason("eager", "package") == (
        "layout 'eager' needs torch, which the interpreter does not have"
    )
    assert reason("lazy", "create-gpt2") == (
        "entry 'create-gpt2' needs torch, which the interpreter does not have"
    )
    assert reason("lazy", "package", "fork-after-parallel") == (
        "context 'fork-after-parallel' needs torch, which the interpreter does not have"
    )


def test_an_interpreter_that_there_is_not(built_in: Configuration) -> None:
    missing = Interpreter(name="conda-mkl", unavailable="no conda; install it")
    cell = expand(built_in, [missing], Selection(preset="smoke"))[0]
    assert unavailable_reason(cell, unknown("whatever")) == "no conda; install it"


def test_default_preset_expects_the_hang_after_a_fork(built_in: Configuration) -> None:
    cells = {cell.id: cell for cell in expand(built_in, [NEAR])}
    hung = cells["near/baseline/lazy/create-gpt2/fork-after-parallel"]
    cured = cells["near/threads-1/lazy/create-gpt2/fork-after-parallel"]
    assert cured.expect == (Verdict.OK,)
    if sys.platform == "linux":
        assert hung.expect == (Verdict.DEADLOCK, Verdict.HANG)
        assert hung.deadline_s < cured.deadline_s
    said = built_in.expectation(hung, "linux")
    assert said is not None and "fork" in said.reason
    assert built_in.expectation(hung, "darwin") is None


def test_smoke_preset(built_in: Configuration) -> None:
    assert len(expand(built_in, [NEAR], Selection(preset="smoke"))) == 12


def test_full_coverage_is_the_product(built_in: Configuration) -> None:
    cells = expand(built_in, [NEAR, FAR], Selection(coverage=Coverage.FULL))
    sizes = [len(built_in.names(axis)) for axis in AXES[1:]]
    assert len(cells) == 2 * sizes[0] * sizes[1] * sizes[2] * sizes[3]
    assert len(set(ids(cells))) == len(cells)


def test_include_and_exclude(built_in: Configuration) -> None:
    cells = expand(
        built_in,
        [NEAR],
        Selection(
            include=("profile=mkl-*", "profile=baseline", "layout=lazy", "context=main"),
            exclude=("profile=mkl-*,entry=from-*", "entry=create-*"),
            coverage=Coverage.FULL,
        ),
    )
    assert {cell.entry.name for cell in cells if cell.profile.name == "baseline"} == {
        "package",
        "from-package",
        "from-factory",
        *MULTIPLYING,
    }
    others = {cell.entry.name for cell in cells if cell.profile.name != "baseline"}
    assert others == {"package", *MULTIPLYING}
    assert {cell.layout.name for cell in cells} == {"lazy"}


def test_order_does_not_depend_on_the_conditions(built_in: Configuration) -> None:
    one = Selection(include=("layout=lazy", "layout=eager"), coverage=Coverage.PAIRWISE)
    two = Selection(include=("layout=eager", "layout=lazy"), coverage=Coverage.PAIRWISE)
    assert expand(built_in, [NEAR], one) == expand(built_in, [NEAR], two)


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        (
            Selection(include=("profile=thread-1",)),
            "--profile: no profile is called 'thread-1'; did you mean 'threads-1'?",
        ),
        (Selection(exclude=("interpreter=fra",)), "--exclude: no interpreter is called 'fra'"),
        (Selection(preset="smok"), "no preset is called 'smok'; did you mean 'smoke'?"),
        (
            Selection(include=("profile=mkl-gnu", "layout=getattr")),
            "leaves no cell of the preset 'default' to run; coverage 'full' or 'pairwise'",
        ),
        (Selection(exclude=("layout=*",), coverage=Coverage.FULL), "leaves no cell to run"),
        (Selection(preset="smoke", coverage=Coverage.FULL), "are both given"),
    ],
)
def test_selections_that_select_nothing(
    built_in: Configuration, selection: Selection, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        expand(built_in, [NEAR], selection)
    assert sentence in str(caught.value)


def test_interpreters_are_needed_and_differ(built_in: Configuration) -> None:
    with pytest.raises(ConfigurationError, match="no interpreter"):
        expand(built_in, [])
    with pytest.raises(ConfigurationError, match="twice"):
        expand(built_in, [NEAR, NEAR])


def axis_pairs(cells: tuple[Cell, ...]) -> set[tuple[str, str, str, str]]:
    return {
        (first, getattr(cell, first).name, second, getattr(cell, second).name)
        for cell in cells
        for at, first in enumerate(AXES)
        for second in AXES[at + 1 :]
    }


def test_pairwise_covers_pairs_by_cells_that_can_be_run(built_in: Configuration) -> None:
    known_facts = {
        "near": facts(NEAR, fingerprint("3.11.7")),
        "far": facts(FAR, fingerprint("3.15.0a1")),
    }
    exclude = ("profile=mkl-*,context=spawn", "layout=lazy,entry=create-gemma")

    def runs(cell: Cell) -> bool:
        return unavailable_reason(cell, known_facts[cell.interpreter.name].fingerprint) is None

    chosen, everything = (
        expand(
            built_in,
            [NEAR, FAR],
            Selection(coverage=coverage, exclude=exclude),
            tuple(known_facts.values()),
        )
        for coverage in (Coverage.PAIRWISE, Coverage.FULL)
    )
    assert set(ids(chosen)) <= set(ids(everything))
    assert axis_pairs(tuple(filter(runs, chosen))) == axis_pairs(tuple(filter(runs, everything)))
    assert len(chosen) < len(everything) / 20
    unrun = [cell for cell in chosen if not runs(cell) and cell.context.calling.value != "fork"]
    assert [(cell.interpreter.name, cell.layout.name) for cell in unrun] == [("near", "pep810")]


@st.composite
def allowed_rows(draw: st.DrawFn) -> list[Row]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    product_rows = list(product(*(range(size) for size in sizes)))
    forbidden = draw(
        st.lists(
            st.dictionaries(
                st.integers(0, len(sizes) - 1), st.integers(0, 3), min_size=1, max_size=3
            ),
            max_size=5,
        )
    )
    return [
        row
        for row in product_rows
        if not any(all(row[axis] == value for axis, value in each.items()) for each in forbidden)
    ]


@given(allowed_rows())
def test_every_allowed_pair_is_covered_by_allowed_rows(rows: list[Row]) -> None:
    chosen = cover_pairs(rows)
    assert set(chosen) <= set(rows)
    assert {pair for row in chosen for pair in pairs_of(row)} == {
        pair for row in rows for pair in pairs_of(row)
    }
    assert chosen == sorted(set(chosen)) == cover_pairs(rows)


def test_unavailable(built_in: Configuration) -> None:
    cells = {cell.id: cell for cell in expand(built_in, [NEAR])}
    lazy = cells["near/baseline/lazy/package/main"]
    pep810 = cells["near/baseline/pep810/package/main"]
    assert unavailable_reason(lazy, fingerprint("3.8.0")) is None
    assert unavailable_reason(pep810, fingerprint("3.15.0a2")) is None
    assert unavailable_reason(pep810, fingerprint("3.15.0")) is None
    assert (
        unavailable_reason(pep810, fingerprint("3.13.1"))
        == "layout 'pep810' needs Python >=3.15, this is 3.13.1"
    )
    assert "older than 3.8" in str(unavailable_reason(lazy, fingerprint("2.7.18")))
    broken = unavailable_reason(lazy, unknown("does not answer within 10 s"))
    assert broken == "interpreter 'near': does not answer within 10 s"
