"""How far a probe came, from the lines it wrote, and what it wrote about itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.observation import End, Exited, Phase, Signalled, Stopped
from deadlock_matrix.run.cell import _phase, _read_result
from deadlock_matrix.run.watchdog import Watched

STOPPED = Stopped(reason="deadline")


def watched(end: End) -> Watched:
    return Watched(
        end=end,
        began_s=0.0,
        duration_s=1.0,
        last_progress_s=0.5,
        judgement=None,
        evidence=unknown("not looked"),
        detected_after_s=None,
        progressing=unknown("not looked"),
    )


@pytest.mark.parametrize(
    ("lines", "end", "phase"),
    [
        (None, STOPPED, "start"),
        (None, Exited(status=1), "start"),
        ("", STOPPED, "start"),
        ("prelude 1.0\n", STOPPED, "prelude"),
        ("prelude 1.0\n", Exited(status=1), "prelude"),
        ("prelude 1.0\nentry 2.0\n", STOPPED, "entry"),
        ("entry 2.0\n", Signalled(signal=11), "entry"),
        ("entry 2.0\nexit 3.0\n", STOPPED, "exit"),
        ("entry 2.0\nexit 3.0\n", Exited(status=0), "ended"),
        ("entry 2.0\nexit 3.0\n", Signalled(signal=11), "ended"),
        ("entry 2.0\nexit 3.0\nexit 3.1\n", Exited(status=0), "ended"),  # child, then parent
        ("nonsense\n", STOPPED, "start"),
        ("\xff\xfe 1.0\n", STOPPED, "start"),
    ],
)
def test_phase(tmp_path: Path, lines: str | None, end: End, phase: Phase) -> None:
    file = tmp_path / "progress"
    if lines is not None:
        file.write_bytes(lines.encode("latin-1"))
    assert _phase(file, watched(end)) == phase


FACTS = {
    "python": "3.8.1",
    "entry_s": 0.1,
    "prelude_s": 0.0,
    "modules_before": 30,
    "modules_after": 31,
    "top_levels": {"one": 1},
    "watched": {"torch": 0},
    "chains": {},
    "imported_s": {},
    "own_modules": ["one"],
    "native_libraries": {"fact": "known", "value": ["/lib/libc.so.6"], "source": "maps"},
    "threads": {"fact": "unknown", "reason": "no such file"},
    "python_threads": 1,
    "peak_memory_kib": {"fact": "known", "value": 9000, "source": "status"},
    "raised": None,
}


def test_facts_and_no_exception(tmp_path: Path) -> None:
    file = tmp_path / "result"
    file.write_text(json.dumps(FACTS))
    facts, raised = _read_result(file)
    assert raised is None
    assert isinstance(facts, Known) and facts.value.own_modules == ("one",)
    assert facts.value.threads == Unknown(reason="no such file")


def test_facts_and_an_exception(tmp_path: Path) -> None:
    file = tmp_path / "result"
    told = {"type": "ValueError", "message": "odd", "traceback": "..."}
    file.write_text(json.dumps({**FACTS, "raised": told}))
    facts, raised = _read_result(file)
    assert isinstance(facts, Known)
    assert raised is not None and (raised.type, raised.message) == ("ValueError", "odd")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", json.dumps({**FACTS, "python": None}), '{"python": "\\ud800"}', "\x00"],
)
def test_what_cannot_be_read_is_unknown_with_its_reason(tmp_path: Path, content: str) -> None:
    file = tmp_path / "result"
    file.write_text(content)
    facts, raised = _read_result(file)
    assert raised is None
    assert isinstance(facts, Unknown) and "cannot be read" in facts.reason


def test_nothing_was_written(tmp_path: Path) -> None:
    facts, raised = _read_result(tmp_path / "result")
    assert raised is None
    assert isinstance(facts, Unknown) and "before the entry had finished" in facts.reason
