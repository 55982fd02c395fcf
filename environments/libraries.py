"""Lays out a folder with another BLAS: ``python -m environments.libraries NAME PYTHON``.

``PYTHON`` is one with pip, for libraries from wheels. Packages of Debian are fetched and unpacked,
not installed: that needs no root, and changes nothing outside the folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from environments import debian, locks
from environments.recipes import LIBRARIES, Library


def lay_out(library: Library, python: str) -> None:
    """Make the folder of ``library``; an older one is replaced when the new one is whole.

    Raises:
        subprocess.SubprocessError: A package cannot be fetched or unpacked.
    """
    draft = library.folder.with_name(f".{library.name}")
    for folder in (draft, library.folder):
        shutil.rmtree(folder, ignore_errors=True)
    unpacked = draft / "unpacked"
    unpacked.mkdir(parents=True)
    if library.lock:
        options = ("--quiet", "--ignore-installed", "--no-compile", f"--prefix={unpacked}")
        install = [python, "-m", "pip", "install", *options, *locks.arguments(library.lock)]
        subprocess.run(install, check=True)
    else:
        for archive in debian.fetch(library.system_packages, draft):
            debian.unpack(archive, unpacked)
            archive.unlink()
    # One flat folder: the unpacked libraries look for each other beside themselves.
    for path in sorted(unpacked.rglob("*.so*")):
        if not path.is_dir() and "site-packages" not in path.parts:
            path.rename(draft / path.name)
    shutil.rmtree(unpacked)
    for link, target in library.links.items():
        (draft / link).symlink_to(target)
    if not (draft / "libblas.so.3").exists():
        raise SystemExit(f"there is no libblas.so.3 in {library.name}")
    draft.rename(library.folder)


if __name__ == "__main__":
    lay_out(LIBRARIES[sys.argv[1]], sys.argv[2])
