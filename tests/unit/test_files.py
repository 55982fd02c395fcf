"""Files are whole or not there, for their owner alone, and take nobody's place."""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
from pathlib import Path

import pytest

from deadlock_matrix.errors import ReportError
from deadlock_matrix.report.files import check_writable, write_atomically

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such modes and nodes")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_atomically(tmp_path / "new" / "file", b"data")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new" / "file") == 0o600


def test_an_old_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and mode(path) == 0o640


def test_a_link_is_written_through(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"much longer than the new content")
    link = tmp_path / "link"
    link.symlink_to(there)
    check_writable(link)
    write_atomically(link, b"new")
    assert link.is_symlink() and there.read_bytes() == b"new"


def test_a_device_stays_one() -> None:
    check_writable(Path("/dev/null"))
    write_atomically(Path("/dev/null"), b"data")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_is_written_into_if_somebody_reads(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ReportError, match="nobody reads"):
        write_atomically(pipe, b"data")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    data = b"data" * 100_000  # more than a pipe holds
    writer = threading.Thread(target=write_atomically, args=(pipe, data), daemon=True)
    writer.start()
    waiter = select.poll()  # it says that there is no writer only once there was one
    waiter.register(reader, select.POLLIN)
    got = b""
    while len(got) < len(data) and waiter.poll(30_000):
        got += os.read(reader, 1 << 16)
    writer.join(30)
    os.close(reader)
    assert got == data and stat.S_ISFIFO(pipe.stat().st_mode)
