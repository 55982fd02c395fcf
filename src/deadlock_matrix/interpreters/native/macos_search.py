"""Where macOS's loader looks, by dyld's manual page. Not tried on a Mac."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deadlock_matrix.interpreters.native.file import NativeFile

_FALLBACK = "/usr/local/lib:/usr/lib"


class MacosSearch:
    """DYLD_LIBRARY_PATH, then the path as written with its ``@`` words, then the fallbacks."""

    def __init__(self, variables: Mapping[str, str], executable: str) -> None:
        self._first = _split(variables.get("DYLD_LIBRARY_PATH", ""))
        self._last = _split(variables.get("DYLD_FALLBACK_LIBRARY_PATH", "") or _FALLBACK)
        self._executable = str(Path(os.path.realpath(executable)).parent)

    def inherit(self, file: NativeFile, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Return the folders that ``@rpath`` means: those of the file and of all who loaded it."""
        own = (self._expand(folder, file) for folder in file.rpath)
        return tuple(dict.fromkeys((*own, *folders)))

    def candidates(self, name: str, file: NativeFile, inherited: tuple[str, ...]) -> list[str]:
        """Return paths for ``name``, which is a path with ``/`` or begins with ``@``."""
        leaf = name.rpartition("/")[2]
        paths = [f"{folder}/{leaf}" for folder in self._first]
        if name.startswith("@rpath/"):
            inside = name.removeprefix("@rpath/")
            paths += [f"{folder}/{inside}" for folder in inherited]
        else:
            paths.append(self._expand(name, file))
        return paths + [f"{folder}/{leaf}" for folder in self._last]

    def is_system(self, name: str) -> bool:
        """Return whether it is the system's own: those are in the loader's cache, not in files."""
        return name.startswith(("/System/Library/", "/usr/lib/"))

    def _expand(self, text: str, file: NativeFile) -> str:
        for word, folder in (
            ("@loader_path", file.folder),
            ("@executable_path", self._executable),
        ):
            if text == word or text.startswith(word + "/"):
                return os.path.normpath(folder + text.removeprefix(word))
        return text


def _split(text: str) -> tuple[str, ...]:
    return tuple(folder for folder in text.split(":") if folder)
