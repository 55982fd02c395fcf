"""All native files that an interpreter's packages load, and which package loads which."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from deadlock_matrix.interpreters.native.file import NativeFile
from deadlock_matrix.interpreters.native.files import NativeFiles
from deadlock_matrix.interpreters.native.loader import make_loader
from deadlock_matrix.interpreters.native.modules import list_modules
from deadlock_matrix.interpreters.question import Answer

# What MKL opens when it is first used, by the layer that must be beside it.
_OPENED_BY_MKL = {
    "mkl_intel_thread": ("libiomp5.so", "libiomp5.dylib", "libiomp5md.dll"),
    "mkl_tbb_thread": ("libtbb.so.12", "libtbb.12.dylib", "tbb12.dll"),
}


class Loaded:
    """Files that are loaded, by their real paths.

    ``users`` are the names of the distributions whose modules load a file; empty for one that is
    loaded before all others (LD_PRELOAD). ``modules`` is how many were looked at.
    """

    def __init__(
        self,
        answer: Answer,
        distributions: Mapping[str, Distribution],
        variables: Mapping[str, str],
        files: NativeFiles,
    ) -> None:
        self.files: dict[str, NativeFile] = {}
        self.users: dict[str, set[str]] = {}
        self.modules = 0
        self._native = files
        self._loader = make_loader(answer, variables, files)
        added = "DYLD_INSERT_LIBRARIES" if files.system == "darwin" else "LD_PRELOAD"
        for path in filter(None, re.split(r"[:\s]+", variables.get(added, ""))):
            self._add(self._loader.preload(path), set())
        for name, distribution in distributions.items():
            for module in list_modules(distribution):
                self.modules += 1
                self._add(self._loader.load(str(module)), {name})
        for file in list(self.files.values()):
            self._add(list(self._opened_by(file)), self.users[file.path])

    def needed_by(self, file: NativeFile) -> list[NativeFile]:
        """Return what was found for the names that a file needs."""
        return list(self._loader.links.get(file.path, {}).values())

    def beside(self, file: NativeFile, stem: str) -> NativeFile | None:
        """Return a file with this name, such as "mkl_core", in the same folder, loaded or not."""
        name = re.compile(rf"(lib)?{stem}\.(so|\d+|dylib|dll)\b")
        folder = Path(file.folder)
        try:
            beside = sorted(folder.iterdir())
        except OSError:
            return None
        for path in beside:
            if name.match(path.name.lower()):
                return self._native.read(str(path))
        return None

    def _add(self, files: list[NativeFile], users: set[str]) -> None:
        for file in files:
            self.files.setdefault(file.path, file)
            self.users.setdefault(file.path, set()).update(users)

    def _opened_by(self, file: NativeFile) -> Iterator[NativeFile]:
        if not re.match(r"(lib)?mkl_rt\b", file.base):
            return
        for layer, names in _OPENED_BY_MKL.items():
            if self.beside(file, layer):
                found = (self._loader.find_beside(name, file) for name in names)
                yield from (each for each in found if each)
