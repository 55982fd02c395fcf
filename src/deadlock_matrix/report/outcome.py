"""The exit status of a command or of pytest, from how a run came out."""

from __future__ import annotations

from deadlock_matrix.errors import ExitStatus
from deadlock_matrix.model.outcome import RunOutcome

EXIT_STATUS: dict[RunOutcome, ExitStatus] = {
    RunOutcome.NOT_WRITTEN: ExitStatus.NOT_WRITTEN,
    RunOutcome.INTERRUPTED: ExitStatus.INTERRUPTED,
    RunOutcome.CONTROLS_WRONG: ExitStatus.CONTROLS_WRONG,
    RunOutcome.INCOMPLETE: ExitStatus.INCOMPLETE,
    RunOutcome.NOTHING_RAN: ExitStatus.NOTHING_RAN,
    RunOutcome.UNEXPECTED: ExitStatus.FAILED,
    RunOutcome.AS_EXPECTED: ExitStatus.OK,
}
"""Each outcome has its own status, and only one of them is 0."""
