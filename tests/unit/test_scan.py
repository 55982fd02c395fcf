"""Looking over many processes: whom to ask again, what they are called, what is said of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.proof_factory import evidence, process, thread

from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.scan import Finding, Program, StuckThread, Tally
from deadlock_matrix.model.thread_facts import OnCpu
from deadlock_matrix.render.scan import finding_text, tally_text
from deadlock_matrix.run.choosing import Chosen, label_of, program_names, reason_of
from deadlock_matrix.run.screening import cut_out
from deadlock_matrix.run.subject import Subject

FOUND = Finding(
    event="deadlock",
    time_s=1.0,
    pid=7,
    started=70,
    program="python app.py",
    outcome="partial",
    sentence="Thread 8 joins itself.",
    assumptions=(),
    threads=(StuckThread(pid=7, tid=8, name="thread 8", does="joins itself", likely=False),),
)


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("/usr/bin/python3 /srv/app/main.py --password x", "python3 main.py"),
        ("python -m http.server 8000", "python -m http.server"),
        ("python -W error -X dev -u work.py", "python work.py"),
        ("python -c print(1) secret", "python -c"),
        ("python -", "python"),
        ("/usr/bin/uwsgi", "uwsgi"),
        ("", ""),
    ],
)
def test_a_program_in_a_few_words(words: str, label: str) -> None:
    assert label_of(tuple(words.split())) == label


def test_the_names_that_a_pattern_may_match() -> None:
    assert program_names(("/opt/bin/python", "/opt/bin/celery", "worker")) == ("python", "celery")


def test_reasons_are_the_same_for_each_process() -> None:
    texts = [
        f"process {pid} cannot be inspected: it belongs to user 0; see /proc/{pid}."
        for pid in (5, 77)
    ]
    reasons = {reason_of(pid, CaptureError(t)) for pid, t in zip((5, 77), texts, strict=True)}
    assert reasons == {"it belongs to user 0; see /proc/PID"}


def test_lines() -> None:
    assert (
        finding_text(FOUND) == "partial deadlock: process 7 (python app.py): Thread 8 joins itself."
    )
    over = msgspec.structs.replace(FOUND, event="over", over="it has ended")
    assert finding_text(over) == "over: process 7 (python app.py): it has ended"
    hostile = msgspec.structs.replace(FOUND, program="\x1b[2J\n")
    assert "\x1b" not in finding_text(hostile) and "\n" not in finding_text(hostile)


def test_the_summary() -> None:
    tally = Tally(processes=1, looked_closely=0, late=0, refused={})
    assert tally_text(tally, 0) == "1 process looked at, 0 of them closely: no deadlock"
    nobody = msgspec.structs.replace(tally, processes=0)
    assert tally_text(nobody, 0) == "no running Python process matches: no deadlock"
    tally = Tally(processes=9, looked_closely=4, late=2, refused={"rare": 1, "often": 3})
    assert tally_text(tally, 2) == (
        "9 processes looked at, 4 of them closely: 2 deadlocks; there was no time for a close look "
        "at 2 more; not readable, so not known to be Python: 3 (often) and 1 (rare)"
    )


def subject(**rest: Any) -> Subject:
    return Subject(Chosen(pid=7, started=70, program=Program(words=(), python=True)), **rest)


STILL = frozenset({(7, b"1"), (8, b"1")})


@pytest.mark.parametrize(
    ("still", "examined", "due"),
    [
        (frozenset(), None, False),  # everybody runs
        (STILL, None, True),
        (STILL, STILL, False),  # nobody has run since
        (frozenset({(8, b"1")}), STILL, False),  # the main thread runs, the other never did
        (STILL | {(9, b"1")}, STILL, True),
        (frozenset({(8, b"2")}), STILL, True),  # it has run, and sleeps again
    ],
)
def test_whom_to_examine(
    still: frozenset[tuple[int, bytes]], examined: frozenset[tuple[int, bytes]] | None, due: bool
) -> None:
    assert subject(still=still, examined=examined, next_s=100.0).is_due(50.0) is due


def test_what_was_told_is_asked_again_only_when_one_of_its_threads_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {7: b"1", 8: b"1"}
    monkeypatch.setattr("deadlock_matrix.run.subject.run_counts", lambda pid: counts)
    told = subject(still=STILL, examined=STILL, next_s=100.0, told=FOUND)
    told.stuck = {(7, 7): b"1", (7, 8): b"1"}
    assert not told.is_due(101.0)
    counts[8] = b"2"  # as one that waits for the GIL does
    assert not told.is_due(99.0) and told.is_due(101.0)
    del counts[7]
    assert told.is_due(99.0)


def test_after_some_time_it_is_asked_again() -> None:
    assert subject(still=STILL, examined=STILL, next_s=100.0).is_due(101.0)
    assert not subject(still=frozenset(), examined=STILL, next_s=100.0).is_due(101.0)


def test_a_tree_is_cut_out_of_a_batch() -> None:
    whole = evidence(
        process(thread(30, OnCpu()), parent=1),  # a child may be listed before its parent
        process(thread(20, OnCpu()), parent=10),
        process(thread(10, OnCpu()), parent=1),
        process(thread(21, OnCpu()), parent=20),
        process(thread(40, OnCpu()), parent=30),
    ).before
    assert [each.pid for each in cut_out(whole, 10).processes] == [10, 20, 21]
    assert cut_out(whole, 10).root == 10
    assert [each.pid for each in cut_out(whole, 40).processes] == [40]
    with pytest.raises(CaptureError, match="process 50 has ended"):
        cut_out(whole, 50)
