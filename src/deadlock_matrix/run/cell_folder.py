"""The folder in which a cell runs, and in which its probe leaves what it has to say."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from deadlock_matrix.closing import Closing


class CellFolder(Closing):
    """An empty folder for each cell of a workspace, one after another.

    A cell that has left it as it was gets no new one after it. To make and remove folders is not
    only work: it waits for the disk whenever another thread has something written there.

    Attributes:
        home: Where the probe runs.
        progress: Where it notes how far it is.
        result: Where it writes what it has found.
    """

    def __init__(self, parent: Path) -> None:
        """Prepare; nothing is made before it is needed."""
        self._parent = parent
        self._folder: Path | None = None
        self._made: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        """Make it, unless it is there."""
        if self._folder is None:
            self._parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="probe-", dir=self._parent))
            self.home = self._folder / "cwd"
            self.progress = self._folder / "progress"
            self.result = self._folder / "result.json"
            self.home.mkdir()
            self._made = _state(self._folder, self.home)
        return self

    def __exit__(self, *raised: object) -> None:
        """Remove what the cell has written, and the folder too, unless it is as it was."""
        with suppress(OSError):  # it is no longer what it was
            for file in (self.progress, self.result):
                file.unlink(missing_ok=True)
            if raised[0] is None and self._folder and _state(self._folder, self.home) == self._made:
                return
        self.close()

    def close(self) -> None:
        """Remove it; may be called twice."""
        folder, self._folder = self._folder, None  # somebody else may do so at the same moment
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _state(folder: Path, home: Path) -> tuple[object, ...]:
    """Return something that no change of the folders leaves alone, be it of their rights."""
    outer, inner = folder.lstat(), home.lstat()
    return (
        *([each.name for each in folder.iterdir()], [*home.iterdir()]),
        *(outer.st_ino, outer.st_mode, outer.st_uid, outer.st_gid),
        *(inner.st_ino, inner.st_mode, inner.st_uid, inner.st_gid),
        *(inner.st_mtime_ns, inner.st_ctime_ns),
    )
