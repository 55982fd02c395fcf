"""Which known causes recorded evidence shows: each its own, and none of the others'."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import msgspec
import pytest
from golden.recordings import Recording, read, recorded

from deadlock_matrix.causes import load_causes
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.recognise import Recognition, recognise
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import (
    CellResult,
    Leftovers,
    Observation,
    Output,
    Stopped,
)
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.report.store import read_report

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"
RESULTS = Path(__file__).parent / "causes" / "results"
SUFFIX = ".json.gz"
NO_FINGERPRINT = unknown("the recording has none")
LARGEST_FILE, LARGEST_TOTAL = 60_000, 300_000

RECOGNISED = {
    "asyncio-result-from-loop-thread": "asyncio-result-in-loop-thread",
    "child-fills-its-pipe": "subprocess-wait-undrained",
    "constructor-dlopen-join": "constructor-joins-under-loader-lock",
    "crosswise-imports-joined": "import-lock-and-join",
    "executor-task-waits-for-own-pool": "executor-waits-for-itself",
    "gil-against-join": "gil-against-native-lock",
    "gil-against-mutex": "gil-against-native-lock",
    "multiprocessing-queue-joined-undrained": "multiprocessing-queue-undrained",
    "mutex-held-over-fork": "native-lock-held-over-fork",
    "thread-imports-same-package": "import-lock-and-join",
    # Healthy only because something interrupts the circle later.
    "healthy-import-join-interrupted": "import-lock-and-join",
}
"""By scenario; the others show no known cause."""

POSSIBLE = {
    "python-lock-inherited-over-fork": "python-lock-held-over-fork",
    # This child has taken its lock twice, which nobody can tell from outside.
    "child-deadlocked-waited-for": "python-lock-held-over-fork",
    # Likely deadlocked, as far as what somebody else does to them later is left out.
    "healthy-deadlocked-child-killed-by-alarm": "python-lock-held-over-fork",
    "healthy-deadlocked-child-killed-by-thread": "python-lock-held-over-fork",
}

OF_RESULTS = {
    "import_waits_for_executor": "import-lock-and-result",
    "import_waits_for_pool": "import-lock-and-result",
    "intel_openmp_after_fork": "kmp-after-fork",  # of a run on the recipe pip-mkl
    "logging_lock_over_fork": "logging-lock-held-over-fork",
    "main_without_guard": "spawned-child-runs-main-again",
    "mkl_after_libgomp": "mkl-service-refuses-intel",
    "mutex-type-clash": "protobuf-abseil-clash",
    "syslog_over_tcp": "syslog-server-silent",
    "torch-after-fork": "libgomp-after-fork",
    "two_openmp_runtimes": "openmp-error-15",
}

NOT_REPRODUCED = {
    "numpy-inside-dlopen",
    "openmp-runtimes-duplicate",
    "protobuf-abseil-abort",
    "stdin-under-loader-lock",
    "tensorflow-before-torch",
    "transformers-imports-tensorflow",
}
"""Nobody here has a recording of these; unit tests build what they look for."""


@cache
def causes() -> tuple[Cause, ...]:
    return load_causes()


def found(result: CellResult, certainty: str) -> list[str]:
    recognitions = recognise(result, NO_FINGERPRINT, causes())
    return [each.cause.name for each in recognitions if each.certainty == certainty]


def as_result(recording: Recording) -> CellResult:
    """What a matrix would have stored; whatever was not proved hung until its deadline."""
    proved = recording.outcome == "deadlock"
    observation = Observation(
        phase="entry",
        end=Stopped(reason="proved" if proved else "deadline"),
        duration_s=1.0,
        last_progress_s=unknown("not recorded"),
        probe=unknown("it was stopped"),
        raised=None,
        stdout=Output(size=0, kept=""),
        stderr=Output(size=0, kept=""),
        evidence=known(recording.evidence, "the recording"),
        leftovers=Leftovers(ended=0, alive=()),
        command=(),
    )
    return CellResult(
        cell=Cell(
            target="golden",
            interpreter=Interpreter(name="python"),
            profile=Profile(name="recorded"),
            layout=Layout(name="recorded"),
            entry=Entry(name="scenario", statement="import it"),
            context=Context(name="main"),
        ),
        verdict=Verdict.DEADLOCK if proved else Verdict.HANG,
        why="recorded",
        observation=known(observation, "the recording"),
        judgement=judge(recording.evidence),
    )


def read_result(name: str) -> CellResult:
    content = gzip.decompress((RESULTS / f"{name}{SUFFIX}").read_bytes())
    return msgspec.json.decode(content, type=CellResult)


def wanted(table: dict[str, str], name: str) -> list[str]:
    return [table[name]] if name in table else []


@pytest.mark.parametrize("identifier", recorded())
def test_recorded_evidence(identifier: str) -> None:
    recording = read(identifier)
    result = as_result(recording)
    assert found(result, "recognised") == wanted(RECOGNISED, recording.scenario)
    assert found(result, "possible") == wanted(POSSIBLE, recording.scenario)


def test_the_tables_name_recordings() -> None:
    scenarios = {identifier.partition("/")[2] for identifier in recorded()}
    assert scenarios >= RECOGNISED.keys() | POSSIBLE.keys()
    assert {path.name.removesuffix(SUFFIX) for path in RESULTS.iterdir()} == OF_RESULTS.keys()


@pytest.mark.parametrize("name", OF_RESULTS)
def test_recorded_result(name: str) -> None:
    result = read_result(name)
    assert found(result, "recognised") == [OF_RESULTS[name]]
    assert found(result, "possible") == []


@pytest.mark.parametrize("name", OF_RESULTS)
def test_same_result_that_came_out_well(name: str) -> None:
    well = msgspec.structs.replace(read_result(name), verdict=Verdict.OK)
    assert recognise(well, NO_FINGERPRINT, causes()) == ()


def test_every_cause_has_a_recording_or_is_known_to_lack_one() -> None:
    shown = {*RECOGNISED.values(), *POSSIBLE.values(), *OF_RESULTS.values()}
    assert {cause.name for cause in causes()} == shown | NOT_REPRODUCED
    assert {cause.name for cause in causes() if cause.reproduced} == shown


def test_remedies_confirmed_here_are_of_causes_that_were_reproduced() -> None:
    for cause in causes():
        if any(remedy.confirmed == "here" for remedy in cause.remedy):
            assert cause.reproduced, cause.name


# --- what a recognition says --------------------------------------------------------------------


def recognition(result: CellResult) -> Recognition:
    (only,) = recognise(result, NO_FINGERPRINT, causes())
    return only


def test_release_of_abseil_is_told_from_the_line() -> None:
    told = [each.detail for each in recognition(read_result("mutex-type-clash")).seen]
    assert any("Abseil LTS 20230802" in detail for detail in told)


def test_module_is_told() -> None:
    result = as_result(read("3.11/thread-imports-same-package"))
    assert any("(module same_package)" in each.detail for each in recognition(result).seen)


def test_what_nobody_can_see_is_told() -> None:
    result = as_result(read("3.11/python-lock-inherited-over-fork"))
    assert [doubt.what for doubt in recognition(result).unknown] == [
        "another thread of the parent held this lock when the process forked",
        # The recording has no native stacks.
        "not: it waits inside an OpenMP runtime, which waits in libc as a Python lock does",
    ]


@pytest.mark.parametrize("name", ["torch-after-fork", "logging_lock_over_fork"])
def test_without_stacks_and_proof_nothing_is_certain(name: str) -> None:
    """Who hides the evidence may lose a cause, or be unsure; no other cause comes up."""
    result = read_result(name)
    observation = result.observation
    assert isinstance(observation, Known)
    blind = msgspec.structs.replace(
        observation.value, evidence=unknown("hidden"), progressing=known(False, "test")
    )
    hidden = msgspec.structs.replace(result, observation=known(blind, "test"), judgement=None)
    assert recognise(hidden, NO_FINGERPRINT, causes()) == ()


def test_example_report() -> None:
    report = read_report(EXAMPLE)
    named = {
        result.cell.layout.name: [each.cause.name for each in recognitions]
        for result in (*report.cells, *report.controls)
        if (recognitions := recognise(result, fingerprint_of(report, result), causes()))
    }
    assert named == {
        "lazy": ["libgomp-after-fork"],
        "thread-imports-same-package": ["import-lock-and-join"],
    }


def fingerprint_of(report: Report, result: CellResult) -> Known[Fingerprint] | Unknown:
    names = {each.name: each.fingerprint for each in report.interpreters}
    return names.get(result.cell.interpreter.name, NO_FINGERPRINT)


def test_size() -> None:
    sizes = [path.stat().st_size for path in RESULTS.iterdir()]
    assert max(sizes) <= LARGEST_FILE and sum(sizes) <= LARGEST_TOTAL
