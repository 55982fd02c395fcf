"""Where Windows's loader looks for what a Python module needs. Not tried on Windows.

Python loads a module with its own folder, the folders that packages add and the system's folder.
What packages add is in their code, not in files, so the usual places are assumed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deadlock_matrix.interpreters.native.file import NativeFile
from deadlock_matrix.interpreters.question import Answer


class WindowsSearch:
    """The file's folder, ``PACKAGE.libs`` beside its package, the interpreter's, system, PATH."""

    def __init__(self, answer: Answer, variables: Mapping[str, str]) -> None:
        self._listings: dict[str, dict[str, str]] = {}
        self._sites = answer.site_packages
        prefixes = dict.fromkeys((answer.prefix, answer.base_prefix))
        self._folders = (
            *(str(Path(prefix, "Library", "bin")) for prefix in prefixes),
            *prefixes,
            str(Path(variables.get("SYSTEMROOT", r"C:\Windows"), "System32")),
            *(folder for folder in variables.get("PATH", "").split(os.pathsep) if folder),
        )

    def inherit(self, file: NativeFile, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Return the module's folder, which is searched for everything that the module needs."""
        return tuple(dict.fromkeys((*folders, file.folder)))

    def candidates(self, name: str, file: NativeFile, inherited: tuple[str, ...]) -> list[str]:
        """Return paths for ``name``, ignoring the case of letters."""
        folders = (file.folder, *inherited, *self._added(file), *self._folders)
        listings = (self._listing(folder) for folder in dict.fromkeys(folders))
        return [listing[name.lower()] for listing in listings if name.lower() in listing]

    def is_system(self, name: str) -> bool:
        """Return False: every library has its file, except the system's sets of functions."""
        return False

    def _added(self, file: NativeFile) -> tuple[str, ...]:
        path = Path(file.path)
        for site in self._sites:
            if path.is_relative_to(site):
                package = Path(site, path.relative_to(site).parts[0].partition(".")[0])
                return f"{package}.libs", str(package / ".libs"), str(package / "lib")
        return ()

    def _listing(self, folder: str) -> dict[str, str]:
        if folder not in self._listings:
            try:
                names = {path.name.lower(): str(path) for path in Path(folder).iterdir()}
            except OSError:
                names = {}
            self._listings[folder] = names
        return self._listings[folder]
