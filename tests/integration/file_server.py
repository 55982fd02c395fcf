"""A file server that stops answering, as one behind a network does: a FUSE of our own, as root.

Only what a program needs to be run from it is there: one folder with one file. Source of the
structures: ``include/uapi/linux/fuse.h``.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOKUP, _GETATTR, _OPEN, _READ, _INIT, _OPENDIR = 1, 3, 14, 15, 26, 27
_FORGET, _BATCH_FORGET = 2, 42
_RELEASE, _FLUSH, _RELEASEDIR = 18, 25, 29
_MNT_FORCE, _MNT_DETACH = 1, 2
_ROOT, _FILE = 1, 2


def can_serve() -> bool:
    """Whether this system lets us."""
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and os.geteuid() == 0


class FileServer:
    """Serves ``content`` as the file ``program`` in a folder, until it is told to die."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self.program = folder / "program"
        self._folder = folder
        self._content = content
        self._dead = threading.Event()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if self._libc.mount(b"test", bytes(folder), b"fuse", 0, options.encode()) != 0:
            os.close(self._device)
            raise OSError(ctypes.get_errno(), "mount")
        threading.Thread(target=self._serve, daemon=True).start()

    def die(self) -> None:
        """Answer nothing from here on; whoever asks waits."""
        self._dead.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._libc.umount2(bytes(self._folder), _MNT_FORCE | _MNT_DETACH)
        # Whoever waits is told that the connection is gone.
        os.close(self._device)

    def _attributes(self, node: int) -> bytes:
        folder = node == _ROOT
        mode = stat.S_IFDIR | 0o755 if folder else stat.S_IFREG | 0o755
        size = 0 if folder else len(self._content)
        links = 2 if folder else 1
        return struct.pack("<6Q10I", node, size, 8, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 18)
            except OSError:
                return
            if self._dead.is_set():
                continue
            _, operation, unique, node = struct.unpack_from("<IIQQ", request)
            if operation in (_FORGET, _BATCH_FORGET):
                continue
            error, answer = self._answer(operation, node, request[40:])
            head = struct.pack("<IiQ", 16 + len(answer), error, unique)
            try:
                os.write(self._device, head + answer)
            except OSError:
                return

    def _answer(self, operation: int, node: int, body: bytes) -> tuple[int, bytes]:
        if operation == _INIT:
            return 0, struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, *[0] * 7)
        if operation == _LOOKUP:
            if body.rstrip(b"\0") != b"program":
                return -2, b""
            return 0, struct.pack("<QQQQII", _FILE, 0, 0, 0, 0, 0) + self._attributes(_FILE)
        if operation == _GETATTR:
            return 0, struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if operation in (_OPEN, _OPENDIR):
            return 0, struct.pack("<QII", 0, 0, 0)
        if operation == _READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return 0, self._content[offset : offset + size]
        return (0, b"") if operation in (_RELEASE, _FLUSH, _RELEASEDIR) else (-38, b"")
