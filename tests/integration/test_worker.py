"""Requests that are larger than a pipe: sent whole, and never waited for beyond the limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deadlock_matrix.capture.worker import Worker, WorkerFailed

Make = Callable[[str], Worker]
LARGE = "x" * (1 << 20)  # sixteen times what a pipe holds


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write_and_make(code: str) -> Worker:
        script = tmp_path / "helper.py"
        script.write_text(code)
        return Worker(script, "the helper")

    return write_and_make


def test_a_request_larger_than_the_pipe_arrives_whole(make: Make) -> None:
    worker = make(
        "import json, sys\n"
        "sys.stdin.readline()\n"
        "for line in sys.stdin:\n"
        "    print(len(json.loads(line)['text']), flush=True)\n"
    )
    try:
        assert worker.ask({"text": LARGE}, 60) == str(len(LARGE)).encode()
        assert worker.ask({"text": "short"}, 60) == b"5"
    finally:
        worker.close()


def test_a_helper_that_reads_nothing_does_not_hold_up_its_caller(make: Make) -> None:
    # It ends by itself, so that a sender that waits is told of its death and not for ever.
    worker = make("import time\ntime.sleep(60)\n")
    try:
        with pytest.raises(WorkerFailed, match="within"):
            worker.ask({"text": LARGE}, 0.2)
        assert worker._process is None
    finally:
        worker.close()


def test_a_helper_that_dies_over_a_request_is_told(make: Make) -> None:
    worker = make("import sys\nsys.stdin.readline()\n")
    try:
        with pytest.raises(WorkerFailed, match="died"):
            worker.ask({"text": LARGE}, 60)
    finally:
        worker.close()
