"""Lines of source that frames name: which are read, and which are better left alone."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from deadlock_matrix.capture.source_lines import (
    CHANGED,
    LONGEST,
    MOST_BYTES,
    SourceLine,
    source_lines,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads procfs")


def written(folder: Path, text: str, name: str = "app.py") -> str:
    """A file that is older than this process."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    long_ago = time.time() - 10 * 86400
    os.utime(file, (long_ago, long_ago))
    return str(file)


def texts(*places: tuple[str, int]) -> list[str]:
    return [each.text for each in source_lines(os.getpid(), places)]


def test_lines_of_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, "first\n    with lock:\n\nlast é")
    found = source_lines(os.getpid(), [(file, 2), (file, 4), (file, 2)])
    assert found == (SourceLine(file, 2, "with lock:"), SourceLine(file, 4, "last é"))
    assert texts((file, 3), (file, 0), (file, 99)) == []


def test_a_file_that_is_younger_than_the_process_is_not_trusted(tmp_path: Path) -> None:
    file = written(tmp_path, "wait()\n")
    os.utime(file)
    assert texts((file, 1)) == [f"wait(){CHANGED}"]


def test_only_regular_files_of_a_bearable_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.py")
    large = written(tmp_path, "x" * (MOST_BYTES + 1), "large.py")
    long = written(tmp_path, "x" * 10_000, "long.py")
    link = tmp_path / "link.py"
    link.symlink_to("/dev/zero")
    assert texts((str(tmp_path / "fifo.py"), 1), (large, 1), (str(link), 1)) == []
    assert texts((str(tmp_path), 1), ("/nowhere/x.py", 1), ("<string>", 1), ("a\0b", 1)) == []
    assert texts((long, 1)) == ["x" * LONGEST]


def test_a_relative_path_is_the_processes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "wait()\n")
    monkeypatch.chdir(tmp_path)
    assert texts(("app.py", 1)) == ["wait()"]


def test_nothing_of_a_process_that_is_gone() -> None:
    assert source_lines(2**22 + 1, [(__file__, 1)]) == ()
