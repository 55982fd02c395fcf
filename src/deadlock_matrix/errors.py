"""Every error that the tool raises on purpose, each with the exit status of the command.

A message is one sentence that says what was given, what is allowed, and what to do.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the ``deadlock-matrix`` command returns to its caller, and pytest with the matrix on."""

    OK = 0  # for a run: complete, with right controls, and nothing unexpected
    FAILED = 1  # a cell or a gate did not come out as expected
    USAGE = 2  # as for click: the command line is wrong
    DEADLOCK = 35  # EDEADLK on Linux; the same number everywhere, so that scripts can rely on it
    LIKELY = 36  # a likely deadlock: the same, under named assumptions
    NOTHING_RAN = 69  # EX_UNAVAILABLE of sysexits.h: every cell is unavailable
    CONTROLS_WRONG = 70  # EX_SOFTWARE: controls failed or were not run, so nothing is proved
    NOT_WRITTEN = 74  # EX_IOERR: results could not be written, as on a full disk
    INCOMPLETE = 75  # EX_TEMPFAIL: some cells have no result; run it again
    TIMEOUT = 124  # as timeout(1)
    TOOL_FAILED = 125  # as timeout(1)
    INTERRUPTED = 130  # as a shell reports SIGINT


class DeadlockMatrixError(Exception):
    """Root of the tree; never raised itself."""

    exit_status: ExitStatus = ExitStatus.TOOL_FAILED


class ConfigurationError(DeadlockMatrixError):
    """A configuration file, an axis value or a scenario file says something impossible."""

    exit_status = ExitStatus.USAGE


class Unavailable(DeadlockMatrixError):
    """Something is needed that this machine does not have: a compiler, an interpreter, a tool.

    The message names it and the command that would make it available.
    """


class MissingExtra(Unavailable):
    """A library is needed that the small install does not include."""

    @classmethod
    def of(cls, library: str, extra: str) -> MissingExtra:
        """Say what is missing, and the command that installs it."""
        command = f"pip install 'deadlock-matrix[{extra}]'"
        return cls(f"this needs {library}, which is not installed: {command}")


class CaptureError(DeadlockMatrixError):
    """A process could not be looked at: gone, not ours, or of a kind that is not supported."""


class OutOfTime(CaptureError):
    """A process could not be read within the time available."""


class RunError(DeadlockMatrixError):
    """The harness itself failed to run or to end a process."""


class StartError(RunError):
    """The program that was asked for could not be started."""


class NotFound(StartError):
    """There is no such program."""


class ReportError(DeadlockMatrixError):
    """A report could not be read or written."""
