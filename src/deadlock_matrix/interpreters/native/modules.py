"""The native modules of installed distributions, from their lists of files or their folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

_NATIVE = re.compile(r"\.(?:so(?:\.[\w.]+)?|pyd|dll|dylib)$", re.IGNORECASE)
# What repair tools put beside a package is loaded by its modules, or by nobody.
_CARRIED = re.compile(r"\.(?:libs|dylibs)$|^(?:\.libs|\.\.)$")


def list_modules(distribution: Distribution) -> list[Path]:
    """Return the native files inside its packages: modules, and libraries that its code may open.

    Libraries beside the packages (``numpy.libs``, the environment's ``lib``) are not among them:
    they count once a module needs them.
    """
    listed = list(list_native(distribution))
    modules = [path for path in listed if not any(map(_CARRIED.search, path.parts[:-1]))]
    return [Path(str(distribution.locate_file(path))) for path in modules]


def list_native(distribution: Distribution) -> Iterator[PurePosixPath]:
    """Yield all its native files, by their paths from the folder in which it is installed."""
    # Distribution.files makes an object for each of 15,000 lines.
    record = distribution.read_text("RECORD")
    if record is None:
        yield from _scan(distribution)
    for line in (record or "").splitlines():
        # A path with a comma or a quote is quoted; no native file has one.
        path = line.partition(",")[0]
        if _NATIVE.search(path):
            yield PurePosixPath(path.replace("\\", "/"))


def _scan(distribution: Distribution) -> Iterator[PurePosixPath]:
    """Search without a list of files, as in Debian: the folders and modules that it names."""
    site = Path(str(distribution.locate_file("")))
    for top in _top_levels(distribution):
        for path in (*site.glob(f"{top}.*"), *(site / top).rglob("*")):
            if _NATIVE.search(path.name) and path.is_file():
                yield PurePosixPath(path.relative_to(site).as_posix())


def _top_levels(distribution: Distribution) -> list[str]:
    text = distribution.read_text("top_level.txt")
    if text:
        return [name for name in text.split() if re.fullmatch(r"\w[\w/]*", name)]
    name = re.sub(r"[-.]+", "_", distribution.metadata["Name"] or "")
    return list(dict.fromkeys((name, name.lower()))) if name else []
