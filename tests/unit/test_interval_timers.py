"""What the kernel's list of timers tells of everybody's alarms."""

from __future__ import annotations

from pathlib import Path

import pytest

from deadlock_matrix.capture import interval_timers
from deadlock_matrix.capture.interval_timers import alarms_of_machine
from deadlock_matrix.model.fact import Known, Unknown

HEAD = """Timer List Version: v0.10
now at 1 nsecs
active timers:
 #0: <0000000012345678>, tick_nohz_handler, S:01
 # expires at 2-2 nsecs [in 1 to 1 nsecs]
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return tmp_path / "timer_list"


def test_no_alarm_on_the_whole_machine(listed: Path) -> None:
    listed.write_text(HEAD + " #1: <0000000012345679>, hrtimer_wakeup, S:01\n")
    found = alarms_of_machine(str(listed))
    assert isinstance(found, Known) and found.value == ()


@pytest.mark.parametrize(
    "text",
    [
        HEAD + " #1: <0000000012345679>, it_real_fn, S:01\n",
        "",  # as containers show it
        " #0: <0000000012345678>, 0xffffffff81123450, S:01\n",  # without the kernel's symbols
    ],
)
def test_otherwise_it_is_not_known(listed: Path, text: str) -> None:
    listed.write_text(text)
    assert isinstance(alarms_of_machine(str(listed)), Unknown)


def test_not_ours_to_read(tmp_path: Path) -> None:
    assert isinstance(alarms_of_machine(str(tmp_path / "nothing")), Unknown)


def test_alarm_counts_that_not_every_reading_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that goes off while the kernel lists them makes it skip another."""
    alarm = " #1: <0000000012345679>, it_real_fn, S:01\n"
    readings = iter([HEAD, HEAD, HEAD + alarm])
    monkeypatch.setattr(interval_timers, "read_whole", lambda path: next(readings).encode())
    assert isinstance(alarms_of_machine(), Unknown)
