"""How a run as a whole came out, and how it ended."""

from __future__ import annotations

from enum import StrEnum


class RunEnd(StrEnum):
    """What ended a run, whether or not every cell had its result by then."""

    FINISHED = "finished"  # nothing was left to do
    INTERRUPTED = "interrupted"  # by Ctrl-C or a signal
    STOPPED = "stopped"  # by an option such as -x, or by a test
    BROKEN = "broken"  # the test runner failed


class RunOutcome(StrEnum):
    """What the first line of every rendering says; the exit status and the colour follow from it.

    Only `AS_EXPECTED` is a success. If several hold, the first of them counts.
    """

    NOT_WRITTEN = "not-written"  # a result or the report could not be written
    INTERRUPTED = "interrupted"
    CONTROLS_WRONG = "controls-wrong"  # failed, or not run: the results prove nothing
    INCOMPLETE = "incomplete"  # some cells or controls have no result
    NOTHING_RAN = "nothing-ran"  # every cell is unavailable
    UNEXPECTED = "unexpected"  # complete and controlled, and some cells are not as expected
    AS_EXPECTED = "as-expected"
