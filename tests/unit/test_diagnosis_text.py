"""What a reader gets: the terminal's text and the bug report, of made-up diagnoses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.diagnosis_factory import make_cell, make_result, make_target

from deadlock_matrix.app.targets import script_statement
from deadlock_matrix.diagnosis.investigation.remedies import candidates
from deadlock_matrix.model.cell import Context, Entry, Layout, Profile, Stdin
from deadlock_matrix.model.diagnosis import (
    Check,
    Diagnosis,
    Effect,
    HeavyImport,
    ImportCost,
    Interval,
    KnownCause,
    Minimised,
    Outcome,
    Rate,
    Remedy,
    Reproducer,
    Series,
    Threads,
    Trial,
)
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import Tool
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.bug_report import bug_report
from deadlock_matrix.render.diagnosis import diagnosis_text
from deadlock_matrix.render.remedies import cure_lines, effect_text

ONE = Profile(name="one", set={"OMP_NUM_THREADS": "1"}, summary="one thread")
SILENT = Context(name="stdin-silent-pipe", stdin=Stdin.SILENT_PIPE)
TARGET = make_target(
    statement="import a\nimport b",
    profiles=(ONE,),
    layouts=(Layout(name="lazy", summary="imports nothing"),),
    entries=(Entry(name="factory", statement="import a.factory"),),
)


def remedy(name: str) -> Remedy:
    return next(each for each in candidates(TARGET, SILENT) if each.name == name)


def trial(effect: Effect = Effect.CURES, name: str = "one", hangs: int = 0, runs: int = 5) -> Trial:
    return Trial(
        remedy=remedy(name),
        effect=effect,
        rate=Rate(hangs=hangs, runs=runs),
        needed=5,
        entry_s=known(0.5, "made up"),
        threads=Threads(before=known(3, "made up"), after=known(1, "made up")),
        why="ended with status 1",
    )


def diagnosis(verdict: Verdict = Verdict.DEADLOCK) -> Diagnosis:
    return Diagnosis(
        tool=Tool(name="deadlock-matrix", version="0.1", python="3.12.1"),
        target=TARGET,
        interpreter=InterpreterFacts(
            name="python", executable="/usr/bin/python3", fingerprint=unknown("it is gone")
        ),
        outcome=Outcome.DEADLOCK,
        sentence="Main thread 12 waits for mutex 0x7f00 of liba.so, which it holds itself.",
        advice=(),
        result=make_result(make_cell(TARGET), verdict),
        tried=(Series(context="main", rate=Rate(hangs=1, runs=1)),),
        rate=Rate(hangs=5, runs=5),
        interval=Interval(low=0.478, high=1.0, confidence=0.95),
        below=None,
        imports=("a (main.py:1)", "b (a.py:7)"),
        involved=("/usr/lib/liba.so",),
        causes=(
            KnownCause(
                name="one-lock",
                title="A lock is taken twice",
                certainty="recognised",
                explanation="The same thread holds it.",
                advice=("Take it once.",),
                references=("example/project#1",),
            ),
        ),
        trials=(trial(), trial(Effect.NOTHING, "lazy", 1, 1)),
        cure=trial(),
        variables=Minimised(
            of="mkl-full", elements=("OMP_NUM_THREADS",), out_of=4, probes=3, whole=True
        ),
        statements=None,
        checklist=(
            Check(text="torch is installed", holds=known(True, "made up"), detail="torch 2.13"),
            Check(text="MKL is among its libraries", holds=unknown("nobody looked"), detail=""),
            Check(text="Python comes from conda", holds=known(False, "made up"), detail=""),
        ),
        cost=None,
        reproducer=Reproducer(text="import a\n", alone=known("deadlock", "one run")),
        duration_s=4.5,
        runs=30,
    )


def clean() -> Diagnosis:
    return replace(
        diagnosis(Verdict.OK),
        outcome=Outcome.CLEAN,
        sentence="It does not hang.",
        rate=Rate(hangs=0, runs=10),
        interval=None,
        below=0.2589,
        trials=(),
        cure=None,
        variables=None,
        causes=(),
        reproducer=None,
        cost=ImportCost(
            seconds=3.2,
            runs=10,
            modules=1900,
            heavy=(HeavyImport(name="torch", modules=1200, imported_by=known("a (a.py:3)", "x")),),
        ),
    )


def test_the_answer_is_first_then_what_it_rests_on_then_what_to_do() -> None:
    text = diagnosis_text(diagnosis())
    order = [
        "mine: deadlock",
        "waits for mutex",
        "hung in 5 of 5 runs",
        "between 48% and 100% (95%",
        "a (main.py:1)",
        "b (a.py:7)",
        "/usr/lib/liba.so",
        "known cause, recognised: A lock is taken twice",
        "+ one ",
        "- lazy",
        "export OMP_NUM_THREADS=1",
        'os.environ["OMP_NUM_THREADS"] = "1"',
        "of the 4 variables of mkl-full, OMP_NUM_THREADS suffices alone",
        "run in an empty folder without any environment variable: deadlock",
        "[x] torch is installed: torch 2.13",
        "[?] MKL is among its libraries: not known, nobody looked",
        "[ ] Python comes from conda",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


@given(st.lists(st.text(max_size=20), max_size=40), st.integers(70, 120))
def test_no_line_is_wider_than_the_terminal(words: list[str], width: int) -> None:
    text = " ".join(word for word in words if word.isprintable())
    found = replace(diagnosis(), sentence=text, advice=(text,))
    assert max(map(len, diagnosis_text(found, width).splitlines())) <= width


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    found = replace(diagnosis(), sentence="\x1b[31mred\x07")
    assert "\x1b" not in diagnosis_text(found)
    assert "\x1b" not in bug_report(found)


def test_one_that_does_not_hang_says_how_sure_that_is_and_what_it_costs() -> None:
    text = " ".join(diagnosis_text(clean()).split())
    assert "none of 10 runs hung" in text
    assert "fewer than 26% of runs (95% confidence)" in text
    assert "3.20 s (median of 10 runs), 1900 modules" in text
    assert "torch: 1200 modules, imported by a (a.py:3)" in text
    assert "what to do" not in text


@pytest.mark.parametrize(
    ("effect", "hangs", "words"),
    [
        (Effect.CURES, 0, "cures: 5 runs clean, 5 needed; takes 500 ms; threads 3 -> 1"),
        (Effect.NOTHING, 2, "does nothing: hung in 2 of 5 runs"),
        (Effect.WORSE, 5, "makes it worse: hung in 5 of 5 runs"),
        (Effect.FAILS, 0, "fails: ended with status 1"),
        (Effect.UNTRIED, 0, "not tried: no time was left"),
    ],
)
def test_effects(effect: Effect, hangs: int, words: str) -> None:
    assert effect_text(trial(effect, hangs=hangs)) == words


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("one", "    export OMP_NUM_THREADS=1"),
        ("order-1", "    import b"),
        ("factory", "    import a.factory"),
        ("lazy", "layout lazy: imports nothing"),
        ("null-stdin", "use it like this: with the null device as standard input"),
    ],
)
def test_lines_to_paste(name: str, line: str) -> None:
    assert line in cure_lines(trial(name=name), {})


def test_variables_to_take_away() -> None:
    without = Profile(name="without", unset=("KMP_DUPLICATE_LIB_OK",))
    cure = replace(trial(), remedy=replace(remedy("one"), profile=without))
    assert "    unset KMP_DUPLICATE_LIB_OK" in cure_lines(cure, {})


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ((trial(Effect.NOTHING, hangs=1),), "the program itself has to change"),
        ((trial(Effect.CLEAN, runs=1),), "too few runs to call that a cure"),
        ((trial(Effect.UNTRIED),), "there was no time to try anything"),
        (
            (trial(Effect.NOTHING, hangs=1), trial(Effect.UNTRIED)),
            "--budget SECONDS allows time for the rest",
        ),
    ],
)
def test_without_a_cure_it_says_why(trials: tuple[Trial, ...], words: str) -> None:
    found = replace(diagnosis(), trials=trials, cure=None, variables=None)
    assert words in " ".join(diagnosis_text(found).split())


def test_the_bug_report_is_complete() -> None:
    report = bug_report(diagnosis())
    for part in (
        "# mine deadlocks",
        "## To reproduce\n\n",
        "```python\nimport a\n```",
        "without any environment variable: deadlock",
        "## Known cause (recognised): A lock is taken twice",
        "- see example/project#1",
        "one cures: 5 runs clean",
        "- [x] torch is installed: torch 2.13",
        "- [ ] MKL is among its libraries: not known, nobody looked",
        "not identified, it is gone",
        "Found by deadlock-matrix 0.1.",
    ):
        assert part in report


def test_a_fence_is_longer_than_those_inside_it() -> None:
    found = replace(diagnosis(), reproducer=Reproducer(text="'''\n````\n'''\n"))
    assert "`````python\n" in bug_report(found)


def test_markdown_in_texts_is_shown_as_it_is() -> None:
    found = replace(diagnosis(), sentence="waits in <module> of *x*_y|z")
    assert r"waits in &lt;module&gt; of \*x\*\_y\|z" in bug_report(found)


def test_nobody_is_mentioned_by_a_bug_report() -> None:
    found = replace(diagnosis(), sentence="raised by @somebody, see #12")
    assert "@somebody" not in bug_report(found)
    assert "#12" not in bug_report(found)


def test_it_is_the_same_after_json() -> None:
    for found in (diagnosis(), clean()):
        document = msgspec.json.encode(found)
        again = msgspec.json.decode(document, type=Diagnosis)
        assert again == found
        assert msgspec.json.decode(document)["schema_version"] == 1


def test_a_script_is_told_its_own_imports_in_another_order_and_nothing_of_how_it_was_run() -> None:
    text = '"""Main."""\nimport beta\nimport alpha\nprint("ok")\n'
    target = replace(make_target(), script="app.py", script_text=text)
    wrapped = script_statement(Path("/there/app.py"), (), Path("/there"))
    target = replace(target, entry=replace(target.entry, statement=wrapped))
    (remedy,) = candidates(target, Context(name="main"))
    lines = cure_lines(replace(trial(), remedy=remedy), {})
    assert lines == ("import in this order:", "    import alpha", "    import beta")
