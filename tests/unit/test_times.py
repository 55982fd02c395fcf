"""Where a slow import spends its time, added up from samples, and what to put off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.diagnosis_factory import make_cell, make_result

from deadlock_matrix.app.known import is_pool
from deadlock_matrix.diagnosis.investigation.answers import slow_answer
from deadlock_matrix.diagnosis.investigation.clues import Wait, clues_of
from deadlock_matrix.diagnosis.investigation.times import times_of, worth_putting_off
from deadlock_matrix.diagnosis.stuck import stuck_threads
from deadlock_matrix.model.diagnosis import ImportTime, Sample, Saving, SourceLine, Times
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.times import saving_lines, short, times_lines

IMPORTLIB = "<frozen importlib._bootstrap>"


def frame(file: str, line: int, function: str = "<module>") -> PythonFrame:
    return PythonFrame(function=function, file=file, line=line)


def importing(name: str) -> PythonFrame:
    return PythonFrame(
        function="_find_and_load", file=IMPORTLIB, line=1, values={"name": repr(name)}
    )


def sample(seconds: float, *frames: PythonFrame, call: str = "", detail: str = "") -> Sample:
    entry = PythonFrame(function="<module>", file="<entry>", line=1)
    return Sample(frames=(entry, *frames), call=call, detail=detail, seconds=seconds)


MINE = [importing("mine"), frame("/src/mine/__init__.py", 3)]
SAMPLES = [
    sample(0.5, *MINE),
    sample(2.0, *MINE, importing("mine.heavy"), frame("/src/mine/heavy.py", 7, "count")),
    sample(1.0, *MINE, importing("other"), frame("/v/lib/site-packages/other.py", 1),
           call="0", detail="the network, 10.0.0.1:80"),
]  # fmt: skip


def test_the_tree_has_total_and_own_time_and_who_asks() -> None:
    (mine,) = times_of(SAMPLES, 3.5).modules
    assert (mine.module, mine.total_s, mine.own_s) == ("mine", 3.5, 0.5)
    assert [(each.module, each.total_s) for each in mine.children] == [
        ("mine.heavy", 2.0),
        ("other", 1.0),
    ]
    importer = mine.children[0].importer
    assert importer is not None
    assert (importer.file, importer.line) == ("/src/mine/__init__.py", 3)


def test_a_package_that_is_imported_for_its_submodule_stands_for_itself() -> None:
    nested = sample(1.0, importing("a.b"), importing("a"), frame("/src/a/__init__.py", 1))
    (a,) = times_of([nested], 1.0).modules
    assert (a.module, a.children) == ("a", ())


def test_what_fewer_samples_showed_is_not_told() -> None:
    samples = [replace(each, times=number) for each, number in zip(SAMPLES, (6, 8, 4), strict=True)]
    times = times_of(samples, 3.5)
    assert times.coarse_s == 3 * 3.5 / 18
    told = "\n".join(times_lines(times, 80))
    assert "mine.heavy" in told
    assert "10.0.0.1:80" in told
    assert " 500 ms" not in told
    assert "not shown: what takes less than 583 ms" in told


def test_one_sample_that_stands_for_a_long_time_is_no_place_where_the_time_goes() -> None:
    """Nobody looked for two seconds, since other programs had the processors."""
    samples = [
        replace(each, times=number) for each, number in zip(SAMPLES, (90, 1, 90), strict=True)
    ]
    times = times_of(samples, 3.5)
    told = "\n".join(times_lines(times, 80))
    assert "heavy.py:7" not in told
    assert "Most of that" not in slow_answer(times, once=True)[0]
    assert worth_putting_off(times, "mine") == ()


def test_a_slow_import_without_one_slow_line_is_told_by_its_modules() -> None:
    samples = [replace(each, times=20) for each in SAMPLES]
    assert "Most of that, 2.00 s, it computes" in slow_answer(times_of(samples, 3.5), once=True)[0]
    told = slow_answer(times_of(samples, 9.0), once=False)[0]
    assert "mine.heavy 2.00 s and other 1.00 s" in told


def test_a_file_of_an_installed_package_is_told_as_the_package_has_it() -> None:
    assert short("/v/lib/python3.12/site-packages/pandas/core/api.py") == "pandas/core/api.py"
    assert short("/src/mine/api.py") == "/src/mine/api.py"


def test_lines_say_what_was_done_there() -> None:
    lines = times_of(SAMPLES, 3.5).lines
    assert [(each.line.line, each.doing, each.seconds) for each in lines] == [
        (7, "computes", 2.0),
        (3, "waits for the network, 10.0.0.1:80", 1.0),
        (3, "computes", 0.5),
    ]


def test_what_leads_out_of_the_own_package_is_put_off_or_else_the_deepest_in_it() -> None:
    samples = [replace(each, times=20) for each in SAMPLES]
    times = times_of(samples, 3.5)
    assert [each.module for each in worth_putting_off(times, "mine")] == ["other"]
    alone = times_of(samples[:2], 2.5)
    assert [each.module for each in worth_putting_off(alone, "mine")] == ["mine.heavy"]
    assert worth_putting_off(times_of(SAMPLES[:1], 0.5), "mine") == ()


def test_what_was_measured_of_putting_off_is_said() -> None:
    module = ImportTime(module="other", importer=SourceLine(file="a.py", line=3, function="f"),
                        total_s=1.0, own_s=1.0)  # fmt: skip
    saving = Saving(modules=(module,), before_s=3.0, after_s=known(1.0, "one run"))
    assert list(saving_lines(saving)) == [
        "import other only when first used, not here: 3.00 s -> 1.00 s, measured",
        "  a.py:3",
    ]
    same = replace(saving, after_s=known(2.9, "one run"))
    assert "saves nothing" in next(saving_lines(same))
    failed = replace(saving, after_s=unknown("it raised"))
    assert list(saving_lines(failed))[-1].endswith("and failed: it raised")


@given(st.text(max_size=30))
def test_any_name_is_shown_on_lines_of_its_own(text: str) -> None:
    line = SourceLine(file=text, line=1, function=text, text=text)
    node = ImportTime(module=text, importer=line, total_s=1.0, own_s=1.0)
    shown = list(times_lines(Times(seconds=1.0, sampled_s=1.0, modules=(node,), lines=()), 80))
    assert len(shown) == 4
    assert all(each.isprintable() for each in shown)


def test_where_nobody_could_look_in_the_end_the_samples_tell() -> None:
    hung = make_result(make_cell(), Verdict.HANG)
    assert stuck_threads(hung) == ()
    waiting = replace(SAMPLES[2], seconds=9.0)
    (found,) = stuck_threads(hung, "mine", [*SAMPLES[:2], waiting])
    assert found.does == "waits for the network, 10.0.0.1:80"
    assert [each.line for each in found.lines] == [3]
    clues = clues_of(hung, frozenset(), is_pool, [*SAMPLES[:2], waiting])
    assert clues.waits == {Wait.NETWORK}
    assert "/src/mine/__init__.py" in clues.files
