"""Keep every processor busy, to bring out races that an idle machine hides."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Self

from deadlock_matrix.run.capacity import cores

ENDED_WITHIN_S = 2.0

# Ends with us, however we end: nobody else can write to the pipe that is its standard input.
_SPIN = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
while True:
    pass
"""


class Load:
    """One busy process for each processor, while the context lasts."""

    def __init__(self, wanted: bool) -> None:
        """Take ``wanted``: whether there is to be any load."""
        self._wanted = wanted
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        command = (sys.executable, "-I", "-S", "-c", _SPIN)
        for _ in range(cores() if self._wanted else 0):
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        return self

    def __exit__(self, *raised: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDED_WITHIN_S)
