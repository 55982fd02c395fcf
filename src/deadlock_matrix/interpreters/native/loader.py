"""Which files a loader would map for one native module: what it needs, and what that needs.

Only the search differs between systems: `linux_search`, `macos_search`, `windows_search`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from deadlock_matrix.interpreters.native.file import NativeFile
from deadlock_matrix.interpreters.native.files import NativeFiles
from deadlock_matrix.interpreters.question import Answer


class Search(Protocol):
    """Where one system's loader looks for a library that a file needs."""

    def inherit(self, file: NativeFile, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Return the folders to search for what ``file`` loads, and for what that loads."""

    def candidates(self, name: str, file: NativeFile, inherited: tuple[str, ...]) -> list[str]:
        """Return where ``name``, needed by ``file``, may lie, in the loader's order."""

    def is_system(self, name: str) -> bool:
        """Return whether the system loads ``name`` from elsewhere than a file of that name."""


class Loader:
    """Resolves needed libraries, and keeps what it has found.

    ``links`` maps a file to the files that were loaded for it. A library of the operating system
    may have no file: macOS keeps its own in a cache.
    """

    def __init__(self, search: Search, files: NativeFiles, executable: NativeFile | None) -> None:
        self._search, self._files, self._first_file = search, files, executable
        self._executable = search.inherit(executable, ()) if executable else ()
        self._machine = executable.machine if executable else ""
        self.links: dict[str, dict[str, NativeFile]] = {}
        self._found: dict[tuple[str, str, tuple[str, ...]], NativeFile | None] = {}

    def load(self, path: str) -> list[NativeFile]:
        """Return the module at ``path`` and all that comes with it, in the order of loading.

        Empty for a file that this interpreter cannot load, of another format or machine.
        """
        first = self._files.read(path)
        if first is None or (self._machine and first.machine != self._machine):
            return []
        loaded = {first.path: first}
        # A library already loaded under a name is not searched for again: the first one stays.
        by_name = {first.name or Path(path).name: first}
        waiting = deque([(first, self._executable)])
        while waiting:
            file, above = waiting.popleft()
            inherited = self._search.inherit(file, above)
            links = self.links.setdefault(file.path, {})
            for name in file.needs:
                found = by_name.get(name) or self.find(name, file, inherited)
                if found is None:
                    continue  # its loading fails, or the program does without it
                links[found.path] = found
                by_name.setdefault(name, found)
                by_name.setdefault(found.name, found)
                if found.path not in loaded:
                    loaded[found.path] = found
                    waiting.append((found, inherited))
        return list(loaded.values())

    def preload(self, name: str) -> list[NativeFile]:
        """Return what the loader adds before all others, by its path or only by its name."""
        if "/" in name:
            return self.load(name)
        found = self._first_file and self.find(name, self._first_file, self._executable)
        return self.load(found.path) if found else []

    def find(self, name: str, file: NativeFile, inherited: tuple[str, ...]) -> NativeFile | None:
        """Return the library that ``file`` gets when it asks for ``name``, or ``None``."""
        key = name, file.path, inherited
        if key not in self._found:
            paths = self._search.candidates(name, file, inherited)
            found = self._first(paths, file)
            if found is None and self._search.is_system(name):
                found = NativeFile(path=name, name=name, machine=file.machine, needs=())
            self._found[key] = found
        return self._found[key]

    def find_beside(self, name: str, file: NativeFile) -> NativeFile | None:
        """Return the library ``name`` that ``file`` opens, from its folder or as it finds any."""
        inherited = self._search.inherit(file, self._executable)
        return self._first([str(Path(file.folder, name))], file) or self.find(name, file, inherited)

    def _first(self, paths: list[str], asking: NativeFile) -> NativeFile | None:
        for path in paths:
            found = self._files.read(path) if _is_file(path) else None
            if found is not None and found.machine == asking.machine:
                return found
        return None


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # a folder that may not be searched, or a name that is too long
        return False


def make_loader(answer: Answer, variables: Mapping[str, str], files: NativeFiles) -> Loader:
    """Return the loader of the interpreter's system.

    Args:
        answer: The interpreter's answer; its executable's search paths apply to all modules.
        variables: The environment that it runs in.
        files: The reader of files; its ``system`` says whose rules apply.
    """
    executable = files.read(answer.executable) if answer.executable else None
    search: Search
    if files.system == "darwin":
        from deadlock_matrix.interpreters.native.macos_search import MacosSearch

        search = MacosSearch(variables, answer.executable)
    elif files.system == "win32":
        from deadlock_matrix.interpreters.native.windows_search import WindowsSearch

        search = WindowsSearch(answer, variables)
    else:
        from deadlock_matrix.interpreters.native.linux_search import LinuxSearch

        search = LinuxSearch(variables, answer.executable)
    return Loader(search, files, executable)
