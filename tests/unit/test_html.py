"""What a page is given, and that it can be nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from functools import cache
from typing import Any

import msgspec
import pytest
from browser import samples

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.causes import load_causes
from deadlock_matrix.cli.report_render import read_assets
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.matrix.expansion import expand
from deadlock_matrix.matrix.selection import Selection
from deadlock_matrix.model.cell import AXES, Interpreter
from deadlock_matrix.model.fact import Aside, Known, known, unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts, NativeLibrary
from deadlock_matrix.model.observation import CellResult, ImportStep, Output, Raised
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.html.commands import choice
from deadlock_matrix.render.html.compared import Base
from deadlock_matrix.render.html.document import Document
from deadlock_matrix.render.html.embedding import script_json
from deadlock_matrix.render.html.imports import import_tree
from deadlock_matrix.render.html.page import document, html
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.report.compare.comparison import compare
from deadlock_matrix.report.store import read_report
from deadlock_matrix.studies import load_studies
from tests.unit.test_report_samples import cell
from tests.unit.test_report_samples import result as sample

LARGEST_PAGE = 5_000_000


@cache
def large() -> Report:
    return samples.large()


@cache
def example() -> Report:
    return samples.with_evidence()


def ids(shown: Document, rows: Any = None) -> list[str]:
    """The cells' ids, put together again from the indices."""
    axes = list(shown.axes.values())
    places = [
        [row.interpreter, row.profile, row.layout, row.entry, row.context]
        for row in (shown.rows if rows is None else rows)
    ]
    return ["/".join(axes[n][value].name for n, value in enumerate(each)) for each in places]


# --- the page -----------------------------------------------------------------------------------


def test_the_policy_allows_exactly_what_is_in_the_page() -> None:
    page = html(example(), read_assets())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    texts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    assert len(texts) == 3
    for text in texts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"&#39;sha256-{digest}&#39;" in policy
    assert policy.count("sha256-") == 3
    assert policy.startswith("default-src &#39;none&#39;; script-src")
    assert "unsafe-inline" not in policy


def test_without_evidence_there_is_nothing_to_draw_and_nothing_to_draw_with() -> None:
    page = html(large(), read_assets(), causes=load_causes(), evidence_bytes=0)
    assert "GraphvizLibrary=" not in page
    assert "wasm-unsafe-eval" not in page
    assert "trusted-types &#39;none&#39;" in page
    assert len(page.encode()) < LARGEST_PAGE


def test_a_large_page_with_evidence_is_bounded_too() -> None:
    assert len(html(large(), read_assets(), causes=load_causes()).encode()) < LARGEST_PAGE


def test_a_page_is_bounded_where_everything_fails_and_talks() -> None:
    def talking(number: int, result: CellResult) -> CellResult:
        observed = result.observation
        if not isinstance(observed, Known):
            return result
        said = Output(size=60_000, kept=f"{number} " * 10_000)
        raised = Raised(type="E", message=said.kept, traceback=said.kept)
        seen = msgspec.structs.replace(observed.value, stdout=said, stderr=said, raised=raised)
        return msgspec.structs.replace(_with(result, seen), verdict=Verdict.ERROR, why=str(number))

    cells = [talking(number, result) for number, result in enumerate(large().cells)]
    page = html(samples.report(cells), read_assets())
    assert len(page.encode()) < LARGEST_PAGE
    assert "characters are left out" in page


def test_nothing_hostile_stands_in_the_page_as_it_was_given() -> None:
    page = html(samples.hostile(), read_assets(), causes=load_causes())
    assert "<script>document.title" not in page
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 4
    for character in "\x1b\u2028\u2029\u202e":
        assert character not in page


def test_a_run_without_controls_is_called_so() -> None:
    page = html(msgspec.structs.replace(example(), controls=()), read_assets())
    assert '<p class="status controls-wrong">controls wrong: no control was run' in page


@pytest.mark.parametrize("text", ["</script>", "<!--", "&lt;", "\u2028\u2029", '"\\', "\x00"])
def test_json_in_a_script_is_the_same_json(text: str) -> None:
    encoded = script_json({"key": text})
    assert not set(encoded) & set("<>&\u2028\u2029")
    assert msgspec.json.decode(encoded) == {"key": text}


# --- the document -------------------------------------------------------------------------------


def test_every_result_is_there_once() -> None:
    shown = document(example())
    assert sorted(ids(shown)[: len(example().cells)]) == [each.cell.id for each in example().cells]
    roles = [row.role for row in shown.rows[len(example().cells) :]]
    assert roles == [each.cell.role.value for each in example().controls]


def test_what_cells_share_stands_once() -> None:
    shown = document(large())
    assert len(shown.texts) == len(set(shown.texts))
    assert len(shown.axes["profile"]) == len(samples.PROFILES)
    assert len(shown.steps) < 40


def test_a_known_cause_names_its_cells() -> None:
    shown = document(example(), load_causes())
    (found,) = [each for each in shown.causes if each.name == "libgomp-after-fork"]
    assert "recorded/baseline/none/recorded-torch-after-fork/main" in [
        ids(shown)[row] for row in found.rows
    ]
    assert any(remedy.settings == ("OMP_NUM_THREADS=1",) for remedy in found.remedies)
    for number, detail in enumerate(shown.details):
        for each in detail.causes:
            certain = each.certainty == "recognised" and number < len(example().cells)
            assert (number in shown.causes[each.cause].rows) == certain


def test_an_index_never_leads_nowhere() -> None:
    shown = document(large(), load_causes())
    for row in shown.rows:
        assert shown.texts[row.why]
    assert len(shown.rows) == len(shown.details)
    for detail in shown.details:
        common = shown.common[detail.common]
        numbers = [common.environment, common.packages]
        assert all(number is None or number < len(shown.lists) for number in numbers)
        assert all(number < len(shown.facts) for number in (*detail.facts, *common.facts))
        assert len(detail.begun) == len(common.imports)
        for own, branch in enumerate(common.imports):
            assert branch.parent < own
            assert branch.step < len(shown.steps)
        for process in detail.hung.processes if detail.hung else ():
            for thread in process.threads:
                assert all(frame < len(shown.frames) for frame in thread.python)


# --- evidence and its bound ---------------------------------------------------------------------


def hung_cells(shown: Document) -> list[str]:
    return [name for name, detail in zip(ids(shown), shown.details, strict=True) if detail.hung]


def test_the_worst_cells_keep_their_evidence_and_the_others_are_named() -> None:
    first = example().cells[-1]
    everything = hung_cells(document(example()))
    hung = [each for each in example().cells if each.verdict in ("deadlock", "hang")]
    assert len(everything) == len(hung) + 1  # and the control
    size = len(msgspec.json.encode(document(example()).details))
    some = document(example(), evidence_bytes=size // 3)
    kept = hung_cells(some)
    assert 0 < len(kept) < len(everything)
    # What nobody expected comes first.
    assert all("recorded" in name for name in kept)
    (note,) = some.notes
    for name in set(everything) - set(kept):
        assert name in note
    assert first.cell.id not in note


def test_evidence_that_lies_beside_the_report_is_called_left_out() -> None:
    result = samples.golden("torch-after-fork")
    observed = result.observation
    assert isinstance(observed, Known)
    aside = Aside(
        reason="it lies in a file", file="evidence/0.json", sha256="0" * 64, size=1, source="read"
    )
    seen = msgspec.structs.replace(observed.value, evidence=aside)
    shown = document(samples.report([_with(result, seen)]))
    assert shown.details[0].left_out
    assert result.cell.id in shown.notes[0]


def test_evidence_that_nobody_has_is_told_with_the_reason() -> None:
    result = samples.golden("torch-after-fork")
    observed = result.observation
    assert isinstance(observed, Known)
    seen = msgspec.structs.replace(observed.value, evidence=unknown("permission denied"))
    shown = document(samples.report([_with(result, seen)]))
    detail = shown.details[0]
    told = [shown.facts[number] for number in shown.common[detail.common].facts]
    assert ("evidence", "not known: permission denied") in told
    assert not detail.left_out


def _with(result: CellResult, seen: Any) -> CellResult:
    observed = result.observation
    assert isinstance(observed, Known)
    return msgspec.structs.replace(
        result, observation=msgspec.structs.replace(observed, value=seen)
    )


# --- the parts ----------------------------------------------------------------------------------


def step(module: str) -> ImportStep:
    return ImportStep(module=module, importer="x", file=f"{module}.py", line=1)


def test_chains_are_put_together_to_a_tree() -> None:
    pools = Pools()
    chains = {
        "numpy": (step("a"), step("torch"), step("numpy")),
        "torch": (step("a"), step("torch")),
        "b": (step("b"),),
    }
    branches, begun = import_tree(chains, {"numpy": 0.5, "torch": 0.1, "b": 0.7}, pools)
    steps = pools.steps.values
    told = [
        (steps[each.step].module, each.parent, milliseconds)
        for each, milliseconds in zip(branches, begun, strict=True)
    ]
    # No chain ends with a: it was begun at some time before torch, and nobody knows when.
    assert told == [("a", -1, None), ("torch", 0, 100.0), ("numpy", 1, 500.0), ("b", -1, 700.0)]


def test_an_interpreter_with_variables_of_its_own_needs_a_file() -> None:
    cell = example().cells[0].cell
    plain = choice(cell, "interpreter")
    assert plain.option.startswith("--interpreter pip-torch=/")
    assert plain.file == ""
    own = Interpreter(name="my blas", executable="/opt/p y", set={"LD_LIBRARY_PATH": "/opt/blas"})
    other = choice(msgspec.structs.replace(cell, interpreter=own), "interpreter")
    assert other.option == "--interpreters-file interpreters.json --interpreter 'my blas'"
    assert msgspec.json.decode(other.file, type=list[Interpreter]) == [own]


def test_a_shell_takes_a_name_as_it_is() -> None:
    cell = msgspec.structs.replace(
        example().cells[0].cell, layout=samples.hostile().cells[0].cell.layout
    )
    option = choice(cell, "layout").option
    assert option.startswith("--layout 'layout</script>")
    assert option.count("'\"'\"'") == HOSTILE_QUOTES


HOSTILE_QUOTES = samples.HOSTILE.count("'")


# --- a comparison -------------------------------------------------------------------------------


def test_a_comparison_has_both_sides() -> None:
    before, now = samples.earlier(), example()
    base = Base(report=before, comparison=compare(before, now))
    shown = document(now, base=base)
    assert shown.compared is not None
    assert len(shown.compared.rows) == len(before.cells)
    gone = set(ids(shown, shown.compared.rows)) - set(ids(shown))
    assert gone == {"pip-torch/baseline/eager/taken-out/main"}
    kinds = {(group.direction, group.kind) for group in shown.compared.changes}
    assert ("better", "cured-error") in kinds
    assert ("worse", "missing-cell") in kinds


def test_an_interpreter_that_was_renamed_keeps_its_row() -> None:
    before = example()
    now = msgspec.structs.replace(
        before,
        cells=tuple(_on(each, "torch-from-pip") for each in before.cells),
        interpreters=tuple(
            msgspec.structs.replace(each, name="torch-from-pip") for each in before.interpreters
        ),
    )
    comparison = compare(before, now)
    pairs = {(pair.before, pair.after) for pair in comparison.interpreters}
    assert pairs == {("pip-torch", "torch-from-pip"), ("recorded", "recorded")}
    shown = document(now, base=Base(report=before, comparison=comparison))
    assert shown.compared is not None
    names = {name.split("/")[0] for name in ids(shown, shown.compared.rows)}
    assert names == {"torch-from-pip", "recorded"}


def _on(result: CellResult, name: str) -> CellResult:
    if result.cell.interpreter.name != "pip-torch":
        return result
    interpreter = msgspec.structs.replace(result.cell.interpreter, name=name)
    cell = msgspec.structs.replace(result.cell, interpreter=interpreter)
    return msgspec.structs.replace(result, cell=cell)


# --- interpreters -------------------------------------------------------------------------------


def test_an_interpreter_is_shown_with_what_is_worth_knowing() -> None:
    made = samples.report([samples.golden("torch-after-fork")])
    first = made.interpreters[0]
    assert isinstance(first.fingerprint, Known)
    library = NativeLibrary(
        name="MKL",
        kind=LibraryKind.BLAS,
        path="/site/torch/lib/libtorch_cpu.so",
        static=True,
        version=known("2024.2", "its text"),
        users=("torch",),
    )
    found = msgspec.structs.replace(
        first.fingerprint.value, libraries=known((library,), "the files")
    )
    facts = msgspec.structs.replace(first, fingerprint=known(found, "its files"))
    unidentified = InterpreterFacts(
        name="broken", executable="/opt/broken", fingerprint=unknown("it did not answer")
    )
    made = msgspec.structs.replace(made, interpreters=(facts, unidentified))
    views = document(made, studies=load_studies()).interpreters
    assert views[0].findings == (
        "MKL is static in libtorch_cpu.so (torch): MKL_THREADING_LAYER has no effect there",
    )
    assert views[0].libraries == (("MKL 2024.2 (static)", "torch", library.path),)
    assert views[1].summary == "not identified, it did not answer"


# --- the command that is shown ------------------------------------------------------------------


def test_the_options_choose_exactly_the_cell() -> None:
    """Of the built-in target, for every cell of the report in the repository."""
    configuration = load_configuration(None, samples.ROOT)
    cells = read_report(samples.EXAMPLE).cells
    for result in cells:
        words = [shlex.split(choice(result.cell, axis).option) for axis in AXES]
        assert [word[0] for word in words] == [f"--{axis}" for axis in AXES]
        include = tuple(
            f"{axis}={word[1]}"
            for axis, word in zip(AXES, words, strict=True)
            if axis != "interpreter"
        )
        interpreters = (result.cell.interpreter,)
        found = expand(configuration, interpreters, Selection(include=include))
        assert [cell.id for cell in found] == [result.cell.id]


# --- what died, and what became of forked children ------------------------------------------------


def test_the_last_words_stand_in_the_list_once_for_what_is_alike() -> None:
    said = "MKL ERROR: \x1b[2Jno libtbb\n"
    dead = [
        sample(cell(entry=name), Verdict.ERROR, why="it ended", stdout=said) for name in ("a", "b")
    ]
    shown = document(samples.report(dead))
    told = [each.last_words for each in shown.details if each.last_words is not None]
    (text,) = [shown.texts[number] for number in told]
    assert text == "stdout, last lines:\n  MKL ERROR: \\x1b[2Jno libtbb"


def test_what_became_of_forked_children_is_in_the_page() -> None:
    hung = sample(cell(entry="multiply", context="fork-again"), Verdict.DEADLOCK)
    fine = sample(cell(entry="torch-numpy-multiply", context="fork-again"))
    (found,) = document(samples.report([hung, fine]), studies=load_studies()).studies
    (table,) = found.tables
    assert table.head == ("BLAS in the process", "interpreters", "numpy", "torch, numpy")
    fields = [field for row in table.rows for field in row[2]]
    assert ("deadlock", "deadlock") in fields and ("ok", "ok") in fields


def test_interpreters_that_could_not_run_have_a_line_and_no_rows() -> None:
    missing = [sample(cell(interpreter=name), Verdict.UNAVAILABLE, why="gone") for name in "ab"]
    of = samples.report([sample(cell()), *missing])
    shown = document(of)
    names = {each.name for each in shown.axes["interpreter"]}
    assert names == {"py", "pip-torch"}  # that of the sample's controls
    assert shown.unavailable == ("a, b: gone",)
    before = document(of, base=Base(report=of, comparison=compare(of, of)))
    assert len(before.axes["interpreter"]) == 4  # what is compared is not left out
