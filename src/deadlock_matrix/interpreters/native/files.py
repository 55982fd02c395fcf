"""Read native files, each by the module that knows its format."""

from __future__ import annotations

import os
from pathlib import Path

from deadlock_matrix.interpreters.native.elf_files import read_elf
from deadlock_matrix.interpreters.native.file import Malformed, NativeFile
from deadlock_matrix.interpreters.native.mach_o_files import read_mach_o
from deadlock_matrix.interpreters.native.pe_files import read_pe

_UNIVERSAL = b"\xca\xfe\xba\xbe"  # also the first bytes of a Java class
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", _UNIVERSAL)


class NativeFiles:
    """Reads files of one system's format, each once.

    ``refused`` are those that could not be opened, ``malformed`` those that nobody understands, by
    path, with the reason.
    """

    def __init__(self, system: str) -> None:
        self.system = system  # as in ``sys.platform``
        self.refused: dict[str, str] = {}
        self.malformed: dict[str, str] = {}
        self._known: dict[str, NativeFile | None] = {}

    def read(self, path: str) -> NativeFile | None:
        """Return the file behind ``path``; ``None`` if missing, foreign, or not understood."""
        real = os.path.realpath(path)
        if real not in self._known:
            self._known[real] = self._read(real)
        return self._known[real]

    def _read(self, path: str) -> NativeFile | None:
        try:
            with Path(path).open("rb") as stream:
                start = stream.read(4)
            return self._parse(path, start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            self.refused[path] = os.strerror(error.errno or 0)
        except Malformed as error:
            self.malformed[path] = str(error)
        return None

    def _parse(self, path: str, start: bytes) -> NativeFile | None:
        if start == b"\x7fELF" and self.system not in ("darwin", "win32"):
            return read_elf(path)
        if start in _MACH_O and self.system == "darwin":
            return read_mach_o(path)
        if start[:2] == b"MZ" and self.system == "win32":
            return read_pe(path)
        return None
