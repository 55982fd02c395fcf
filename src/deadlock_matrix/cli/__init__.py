"""The command ``deadlock-matrix``: thin entry points that parse, call and print."""

from __future__ import annotations

import sys

from deadlock_matrix.cli.help import HELP, HELP_OPTIONS
from deadlock_matrix.cli.shell import discard_output, open_missing_streams
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus


def main() -> None:
    """Run the command; each of our errors prints one sentence and has its own exit status."""
    open_missing_streams()
    try:
        if sys.argv[1:] in ([option] for option in HELP_OPTIONS):
            print(HELP, flush=True)
        else:
            from deadlock_matrix.cli import parsing

            parsing.run()
    except DeadlockMatrixError as error:
        print(f"deadlock-matrix: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # `| head` has read enough
        discard_output()
        sys.exit(ExitStatus.FAILED)
    except OSError as error:
        # An error in a file that is read or written says so itself; this is our output or current
        # folder.
        named = f": {error.filename}" if error.filename else ""
        print(f"deadlock-matrix: {error.strerror or error}{named}", file=sys.stderr)
        discard_output()
        sys.exit(ExitStatus.TOOL_FAILED)
