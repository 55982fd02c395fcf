"""From an observation and a judgement to a verdict: every branch."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    UNKNOWN,
    catching,
    change,
    evidence,
    on_mutex,
    on_robust_mutex,
    process,
    sleeping,
)

from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.observation import (
    End,
    Exited,
    Leftovers,
    Observation,
    Output,
    Phase,
    ProbeFacts,
    Raised,
    Signalled,
    Stopped,
)
from deadlock_matrix.model.verdict import Gap, Judgement, Verdict
from deadlock_matrix.proof.conclude import conclude, reasons
from deadlock_matrix.proof.judge import judge

PROBE = ProbeFacts(
    python="3.11.7", entry_s=0.25, prelude_s=0.0, modules_before=1, modules_after=2,
    top_levels={}, watched={}, chains={}, imported_s={}, own_modules=(), native_libraries=UNKNOWN,
    threads=UNKNOWN, python_threads=1, peak_memory_kib=UNKNOWN,
)  # fmt: skip
DEADLINE, PROVED = Stopped(reason="deadline"), Stopped(reason="proved")
RELOCKED = judge(evidence(process(on_mutex(1, 1))))
PARTIAL = judge(evidence(process(sleeping(1), on_robust_mutex(2, 2))))
LIKELY = judge(evidence(process(on_mutex(1, 1), signals=catching(10))))
ASLEEP = judge(evidence(process(sleeping(1))))


def observe(end: End, **facts: Any) -> Observation:
    stderr = facts.pop("stderr", "")
    plain: dict[str, Any] = {
        "phase": "entry",
        "end": end,
        "duration_s": 12.0,
        "last_progress_s": known(1.0, "test"),
        "probe": unknown("it did not get so far"),
        "raised": None,
        "stdout": Output(size=0, kept=""),
        "stderr": Output(size=len(stderr), kept=stderr),
        "evidence": unknown("none"),
        "leftovers": Leftovers(ended=0, alive=()),
        "command": (),
    }
    return Observation(**{**plain, **facts})


def test_ok() -> None:
    observation = observe(Exited(status=0), probe=known(PROBE, ""), phase="ended")
    assert conclude(observation, None) == (Verdict.OK, "the entry took 0.25 s")


def test_raised() -> None:
    raised = Raised(type="ImportError", message="no module\nnamed x", traceback="")
    verdict, why = conclude(observe(Exited(status=1), raised=raised), None)
    assert (verdict, why) == (Verdict.ERROR, "the entry raised ImportError: no module")


@pytest.mark.parametrize(
    ("stderr", "why"),
    [
        ("", "ended with status 3 in the entry"),
        ("a\nOMP: Error #15\n\n", "ended with status 3 in the entry: OMP: Error #15"),
    ],
)
def test_status(stderr: str, why: str) -> None:
    assert conclude(observe(Exited(status=3), stderr=stderr), None) == (Verdict.ERROR, why)


def test_status_0_without_a_result() -> None:
    verdict, why = conclude(observe(Exited(status=0)), None)
    assert (verdict, why) == (
        Verdict.ERROR,
        "ended with status 0 in the entry: it did not get so far",
    )


@pytest.mark.parametrize(("number", "name"), [(11, "SIGSEGV"), (6, "SIGABRT"), (63, "signal 63")])
def test_signal(number: int, name: str) -> None:
    verdict, why = conclude(observe(Signalled(signal=number)), None)
    assert (verdict, why) == (Verdict.CRASH, f"ended by {name} in the entry")


def test_signal_goes_before_what_was_raised() -> None:
    raised = Raised(type="E", message="", traceback="")
    assert conclude(observe(Signalled(signal=9), raised=raised), None)[0] is Verdict.CRASH


@pytest.mark.parametrize("end", [PROVED, DEADLINE])
def test_deadlock(end: End) -> None:
    assert RELOCKED.proof is not None
    assert conclude(observe(end), RELOCKED) == (Verdict.DEADLOCK, RELOCKED.proof.sentence)


def test_deadlock_needs_a_proof() -> None:
    assert conclude(observe(DEADLINE), change(RELOCKED, proof=None))[0] is Verdict.HANG


@pytest.mark.parametrize("end", [Exited(status=0), Signalled(signal=6)])
def test_what_ended_by_itself_was_not_deadlocked(end: End) -> None:
    assert conclude(observe(end, probe=known(PROBE, "")), RELOCKED)[0] is not Verdict.DEADLOCK


@pytest.mark.parametrize(
    ("judgement", "title"),
    [(PARTIAL, "partial deadlock"), (LIKELY, "likely deadlock")],
)
def test_what_is_short_of_a_deadlock_is_told(judgement: Judgement, title: str) -> None:
    assert judgement.proof is not None
    verdict, why = conclude(observe(DEADLINE), judgement)
    told = f"{title}: {judgement.proof.sentence}"
    assert (verdict, why) == (Verdict.HANG, f"no progress in the entry; {told}")
    moving = observe(DEADLINE, progressing=known(True, "stacks"))
    verdict, why = conclude(moving, judgement)
    assert verdict is Verdict.SLOW and why == f"still moving in the entry after 12.0 s; {told}"


@pytest.mark.parametrize("judgement", [None, ASLEEP])
def test_slow(judgement: Judgement | None) -> None:
    observation = observe(DEADLINE, progressing=known(True, "stacks"))
    assert conclude(observation, judgement) == (
        Verdict.SLOW,
        "still moving in the entry after 12.0 s",
    )


@pytest.mark.parametrize(
    ("judgement", "told"),
    [
        (None, "no evidence could be read"),
        (ASLEEP, "main thread 1 waits in clock_nanosleep with a time limit"),
    ],
)
@pytest.mark.parametrize("progressing", [known(False, "stacks"), UNKNOWN])
def test_hang(judgement: Judgement | None, told: str, progressing: Any) -> None:
    verdict, why = conclude(observe(DEADLINE, progressing=progressing), judgement)
    assert verdict is Verdict.HANG
    assert why.startswith(f"no progress in the entry, and no proof: {told}")


def test_interrupted_watch() -> None:
    assert conclude(observe(Stopped(reason="interrupted")), None)[0] is Verdict.HANG


PHASES: dict[Phase, str] = {
    "start": "before its script began",
    "prelude": "in the prelude",
    "entry": "in the entry",
    "exit": "at exit, after the entry had finished",
    "ended": "after everything was done",
}


@pytest.mark.parametrize("phase", list(PHASES))
def test_phase_is_told(phase: Phase) -> None:
    for end, judgement in ((Signalled(signal=9), None), (DEADLINE, ASLEEP)):
        assert PHASES[phase] in conclude(observe(end, phase=phase), judgement)[1]


def test_reasons_are_few() -> None:
    gaps = tuple(Gap(kind="does-not-hold", subject=f"t{n}", detail="runs") for n in range(7))
    judgement = Judgement(outcome="not-proved", proof=None, gaps=gaps)
    assert reasons(judgement, UNKNOWN) == "t0 runs; t1 runs; t2 runs; and 4 more"
    assert reasons(change(judgement, gaps=gaps[:2]), UNKNOWN) == "t0 runs; t1 runs"
    assert "it moved, or ended" in reasons(change(judgement, gaps=()), UNKNOWN)


@pytest.mark.parametrize(
    ("streams", "why"),
    [
        ({}, ""),
        ({"stderr": "first\nlast\n"}, ": last"),
        ({"stdout": "MKL ERROR\n"}, ": MKL ERROR (on standard output)"),
        ({"stdout": "MKL ERROR\n", "stderr": "why\n"}, ": why"),
    ],
)  # fmt: skip
def test_what_ends_by_itself_says_why(streams: dict[str, str], why: str) -> None:
    stdout = streams.get("stdout", "")
    said = Output(size=len(stdout), kept=stdout)
    observation = observe(Exited(status=2), stdout=said, stderr=streams.get("stderr", ""))
    assert conclude(observation, None) == (
        Verdict.ERROR,
        f"ended with status 2 in the entry{why}",
    )


def test_a_crash_says_why() -> None:
    observation = observe(Signalled(signal=6), stderr="free(): invalid pointer\n")
    why = "ended by SIGABRT in the entry: free(): invalid pointer"
    assert conclude(observation, None) == (Verdict.CRASH, why)
