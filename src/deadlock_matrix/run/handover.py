"""Give a document to a command of the user's, and end that if it takes too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

WITHIN_S = 30.0
REAPED_WITHIN_S = 2.0


def hand_over(command: Sequence[str], document: bytes, within_s: float = WITHIN_S) -> str:
    """Run a command with ``document`` as its standard input; its output goes to our error stream.

    The command has its own process group, all of which is ended when its time is up.

    Args:
        command: The program and its arguments; no shell reads them.
        document: What it gets as input.
        within_s: Seconds it may take.

    Returns:
        What went wrong, in a few words; empty if nothing did.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno(), start_new_session=True
        )
    except OSError as error:
        return f"{command[0]} could not be started: {error.strerror or error}"
    try:
        process.communicate(document, timeout=within_s)
    except subprocess.TimeoutExpired:
        return f"{command[0]} was ended, as it took more than {within_s:g} s"
    finally:  # at Ctrl-C too
        if process.poll() is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(REAPED_WITHIN_S)
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
    if process.returncode:
        how = "ended with status" if process.returncode > 0 else "was ended by signal"
        return f"{command[0]} {how} {abs(process.returncode)}"
    return ""
