"""A temporary folder of a run, removed soon after the run ends, even if it is killed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from deadlock_matrix.closing import Closing
from deadlock_matrix.errors import RunError
from deadlock_matrix.interpreters.bounded import SCRATCH_VARIABLE

SCRIPT = Path(__file__).with_name("janitor_script.py")
ENDS_WITHIN_S = 5.0


class Janitor(Closing):
    """Owns a folder; see ``janitor_script.py``. While it is open, `run_bounded` writes there too.

    Attributes:
        folder: It exists, empty, and only this user may open it.
    """

    def __init__(self) -> None:
        """Make the folder.

        Raises:
            RunError: It cannot be made.
        """
        folder = Path(tempfile.gettempdir(), f"deadlock-matrix-{secrets.token_hex(8)}").absolute()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SCRIPT), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            if not pipe.read():
                raise RunError(f"{folder} cannot be made")
        self.folder = folder
        os.environ[SCRATCH_VARIABLE] = str(folder)

    def close(self) -> None:
        """Remove the folder; may be called twice. Nobody may still be using it."""
        os.environ.pop(SCRATCH_VARIABLE, None)
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDS_WITHIN_S)
