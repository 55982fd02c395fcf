"""Where the loader of Linux looks: glibc's rules, and musl's folders."""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from deadlock_matrix.interpreters.native.file import NativeFile

CACHE = "/etc/ld.so.cache"
DEFAULT_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("=II")  # number of entries, size of the texts
_HEADER_BYTES = 48
_ENTRY = struct.Struct("=iIIIQ")  # kind, offset of the name, of the path, system, processors


class LinuxSearch:
    """RPATH of the file and of whoever loaded it, LD_LIBRARY_PATH, RUNPATH, cache, defaults.

    Of two builds of a library in the cache, this takes the one for any processor; the loader may
    prefer one made for the processor it runs on.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        executable: str = "",
        cache: str = CACHE,
        defaults: tuple[str, ...] = DEFAULT_FOLDERS,
    ) -> None:
        # An empty folder means the current one, and which one that will be is not known here.
        # $ORIGIN here means the executable's folder, not that of the file that needs something.
        text = variables.get("LD_LIBRARY_PATH", "").replace(";", ":")
        folders = tuple(folder for folder in text.split(":") if folder)
        self._library_path = _expand(folders, str(Path(os.path.realpath(executable)).parent))
        self._cache = read_cache(cache)
        self._defaults = (*defaults, *(() if self._cache else _musl_folders()))

    def inherit(self, file: NativeFile, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Return its RPATH, which a RUNPATH beside it makes void, and those of its loaders."""
        own = () if file.runpath else _expand(file.rpath, file.folder)
        return tuple(dict.fromkeys((*own, *folders)))

    def candidates(self, name: str, file: NativeFile, inherited: tuple[str, ...]) -> list[str]:
        """Return paths for ``name``. A name with a slash is a path."""
        if "/" in name:
            return list(_expand((name,), file.folder))
        folders = (
            *(() if file.runpath else inherited),
            *self._library_path,
            *_expand(file.runpath, file.folder),
        )
        paths = [f"{folder}/{name}" for folder in folders]
        paths += self._cache.get(name, ())
        return paths + [f"{folder}/{name}" for folder in self._defaults]

    def is_system(self, name: str) -> bool:
        """Return False: every library has its file."""
        return False


def read_cache(path: str = CACHE) -> dict[str, tuple[str, ...]]:
    """Read where the loader's cache says that libraries lie: name -> paths, in its order.

    Returns:
        Nothing if there is no cache, as with musl, or if its format is unknown.
    """
    try:
        data = Path(path).read_bytes()
    except OSError:
        return {}
    start = data.find(_MAGIC)  # an older table may precede it
    found: dict[str, list[str]] = {}
    try:
        for name, where in _entries(data[start:] if start >= 0 else b""):
            found.setdefault(name, []).append(where)
    except (struct.error, UnicodeDecodeError):
        return {}
    return {name: tuple(paths) for name, paths in found.items()}


def _entries(data: bytes) -> Iterator[tuple[str, str]]:
    if not data:
        return
    count, _ = _HEADER.unpack_from(data, len(_MAGIC))
    for at in range(count):
        _, name, path, _, processors = _ENTRY.unpack_from(data, _HEADER_BYTES + at * _ENTRY.size)
        if processors == 0:
            yield _text(data, name), _text(data, path)


def _text(data: bytes, at: int) -> str:
    return os.fsdecode(data[at : data.index(b"\0", at)] if at < len(data) else b"")


def _expand(folders: tuple[str, ...], origin: str) -> tuple[str, ...]:
    # What $LIB stands for was chosen when glibc was built; this is the usual word.
    words = {"ORIGIN": origin, "LIB": "lib64", "PLATFORM": platform.machine()}
    expanded = []
    for folder in folders:
        for word, value in words.items():
            folder = folder.replace(f"${{{word}}}", value).replace(f"${word}", value)
        expanded.append(folder)
    return tuple(expanded)


def _musl_folders() -> tuple[str, ...]:
    for path in sorted(Path("/etc").glob("ld-musl-*.path")):
        try:
            return tuple(path.read_text().replace(":", "\n").split())
        except (OSError, UnicodeDecodeError):
            break
    return ("/usr/local/lib",)
