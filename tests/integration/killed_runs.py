"""Runs of the matrix that are killed at some moment, and what they leave behind."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.grid_hosts import make_interpreter

MARK = "KILLED_RUN_MARK"
GONE_WITHIN_S = 2.0

MATRIX = """
target = "json"
deadline-s = 60

[[entry]]
name = "counted"
statement = '''
import os, time
with open({counts!r}, "a") as file: file.write("counted\\n")
time.sleep(0.05)
'''

[[entry]]
name = "plain"
statement = '''
with open({counts!r}, "a") as file: file.write("plain\\n")
'''
"""


@dataclass
class KilledRun:
    """One run in its folder, started again after each kill; ``started`` counts entries begun."""

    folder: Path
    repeats: int
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self.counts = self.folder / "counts.txt"
        self.counts.touch()
        self.run = self.folder / "run"
        (self.folder / "matrix.toml").write_text(MATRIX.format(counts=str(self.counts)))
        # One with nothing to measure, so that most of a run is its cells.
        self.python = make_interpreter(self.folder / "python", "killed")
        scratch = self.folder / "tmp"
        scratch.mkdir()
        self.environment = {
            **os.environ,
            **self.environment,
            MARK: self.mark,
            "TMPDIR": str(scratch),
            "DEADLOCK_MATRIX_CACHE": str(self.folder / "cache"),
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "deadlock_matrix", "run"]
        if not arguments:
            arguments = (
                *(f"--config={self.folder / 'matrix.toml'}", "--profile=baseline"),
                *("--context=main", f"--repeat={self.repeats}"),
                *(f"--interpreter=py={self.python}", "--entry=counted", "--entry=plain"),
                *("--deadlock-matrix-report=run", "--jobs=2", "-q"),
            )
        with (self.folder / "out.txt").open("ab") as out:
            return subprocess.Popen(
                [*command, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def lines(self) -> Counter[bytes]:
        """Whole lines of the journals: results that are on the disk."""
        found: Counter[bytes] = Counter()
        for path in (self.run / "journal").glob("*.jsonl"):
            found.update(line for line in path.read_bytes().splitlines(True) if line[-1:] == b"\n")
        return found

    def ids(self) -> Counter[str]:
        """How many results each cell has."""
        counts: Counter[str] = Counter()
        for line in self.lines().elements():
            try:
                cell = json.loads(line)["cell"]
            except ValueError:
                continue  # it was cut by a kill, and ended by the next process
            parts = (cell["entry"]["name"], cell["layout"]["name"], cell.get("role"))
            counts[f"{parts} {cell.get('repeat', 1)}"] += 1
        return counts

    def left_behind(self) -> list[str]:
        """Processes of this run that live, and files outside its folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found.append(f"{entry.name} {state} {command.decode()[:150]}")
            except OSError:
                continue
        scratch = Path(self.environment["TMPDIR"])
        kept = (path for path in scratch.iterdir() if not path.name.startswith("pytest-of-"))
        return found + [str(path) for path in kept]

    def gone_after(self) -> tuple[float, list[str]]:
        """Seconds until nothing is left behind, and what is left if that takes too long."""
        began = time.monotonic()
        while left := self.left_behind():
            if time.monotonic() > began + GONE_WITHIN_S:
                return time.monotonic() - began, left
            time.sleep(0.02)
        return time.monotonic() - began, []
