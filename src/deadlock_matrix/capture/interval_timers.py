"""Alarms that ``alarm`` and ``setitimer(ITIMER_REAL)`` have set; ``/proc/PID`` shows none of them.

Two sources tell:

- ``/proc/timer_list``, for root: all timers of the machine, by the function that they will call. An
  alarm is one that calls ``it_real_fn``; its process is not named. So as long as nobody on the
  machine has an alarm, this shows for every process at once that it has none.
- ``interval_timers_script``: makes a thread of the process itself ask. That interrupts the process
  for a fraction of a millisecond, so it is done only where the process is about to be ended.

The other two interval timers count processor time: they stand still where no thread runs.
"""

from __future__ import annotations

import re
from pathlib import Path

from deadlock_matrix.capture.proc_files import read_whole, reason_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

SCRIPT = Path(__file__).with_name("interval_timers_script.py")
"""Loaded by path, by an ancestor of the processes: ``look_in_a_thread(pids)``."""

TIMER_LIST = "/proc/timer_list"
_FUNCTION = re.compile(rb"^ #\d+: <[^>]*>, (\S+?),", re.MULTILINE)
_OF_AN_ALARM = b"it_real_fn"

READINGS = 6
"""The kernel counts its way to each timer anew (``print_active_timers``), so a timer that goes off
meanwhile makes it skip another. On a busy machine one reading in two hundred misses an alarm.
"""

Alarms = Known[tuple[float, ...]] | Unknown


def alarms_of_machine(path: str = TIMER_LIST) -> Alarms:
    """Return that no alarm is set on the whole machine, or that it is unknown whose they are.

    Read this *before* the processes: an alarm that fires meanwhile has ended its process by then.
    """
    functions: set[bytes] = set()
    for _ in range(READINGS):
        try:
            functions.update(_FUNCTION.findall(read_whole(path)))
        except OSError as error:
            return unknown(reason_of(error, path))
        if _OF_AN_ALARM in functions:
            break
    # Containers show an empty file in its place, some kernels addresses instead of names.
    if not any(b"tick" in name or b"hrtimer" in name for name in functions):
        return unknown(f"{path} does not name what its timers call")
    if _OF_AN_ALARM in functions:
        return unknown(
            f"alarms are pending on this machine, and {path} does not say for which processes"
        )
    return known((), f"{path}: no alarm is pending on the whole machine")


def from_answer(answer: float | str) -> Alarms:
    """Turn what `SCRIPT` answers for one process into a fact."""
    if isinstance(answer, str):
        return unknown(f"it could not be asked for its alarm: {answer or 'no answer'}")
    source = "getitimer, called by one of its own threads"
    return known((answer,) if answer > 0 else (), source)
