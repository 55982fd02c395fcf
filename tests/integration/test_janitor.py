"""A run's folder for what it writes meanwhile is gone soon after the run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deadlock_matrix.run.janitor import SCRIPT

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sessions are Unix's"),
    pytest.mark.timeout(60),
]


def start(folder: Path, out: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out)


def test_the_run_is_killed_before_it_hears_of_the_folder(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    janitor = start(tmp_path / "folder", write_end)
    os.close(write_end)
    janitor.communicate()
    assert janitor.returncode == 0
    assert not (tmp_path / "folder").exists()


def test_somebody_still_writes_when_the_run_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    janitor = start(folder, subprocess.PIPE)
    assert janitor.stdin is not None and janitor.stdout is not None
    assert janitor.stdout.read() == b"ready\n"
    until = time.monotonic() + 2

    def write() -> None:
        number = 0
        while time.monotonic() < until:
            number += 1
            inner = folder / f"late-{number}"
            try:
                inner.mkdir(parents=True)
                (inner / "result").write_bytes(b"x")
            except OSError:
                continue

    writer = threading.Thread(target=write)
    writer.start()
    janitor.stdin.close()
    writer.join()
    janitor.wait()
    janitor.stdout.close()
    assert not folder.exists()
