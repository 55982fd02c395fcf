"""Lays out a folder with another BLAS: ``python -m environments.libraries NAME PYTHON``.

``PYTHON`` is one with pip, for libraries from wheels. Packages of Debian are downloaded and
unpacked, not installed: that needs no root, and changes nothing outside the folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from environments.recipes import LIBRARIES, Library


def lay_out(library: Library, python: str) -> None:
    """Make the folder of ``library``; an older one is replaced when the new one is whole.

    Raises:
        subprocess.CalledProcessError: A package cannot be downloaded or unpacked.
    """
    draft = library.folder.with_name(f".{library.name}")
    for folder in (draft, library.folder):
        shutil.rmtree(folder, ignore_errors=True)
    unpacked = draft / "unpacked"
    unpacked.mkdir(parents=True)
    if library.wheels:
        _install(library.wheels, python, unpacked)
    else:
        _unpack(library.system_packages, draft, unpacked)
    # One flat folder: the unpacked libraries look for each other beside themselves.
    for path in sorted(unpacked.rglob("*.so*")):
        if not path.is_dir() and "site-packages" not in path.parts:
            path.rename(draft / path.name)
    shutil.rmtree(unpacked)
    for path in draft.glob("*.deb"):
        path.unlink()
    for link, target in library.links.items():
        (draft / link).symlink_to(target)
    if not (draft / "libblas.so.3").exists():
        raise SystemExit(f"there is no libblas.so.3 in {library.name}")
    draft.rename(library.folder)


def _install(wheels: tuple[str, ...], python: str, prefix: Path) -> None:
    options = ("--quiet", "--ignore-installed", f"--prefix={prefix}")
    subprocess.run([python, "-m", "pip", "install", *options, *wheels], check=True)


def _unpack(packages: tuple[str, ...], drafts: Path, folder: Path) -> None:
    download = ["apt-get", "download", "-qq", *packages]
    if subprocess.run(download, cwd=drafts, check=False).returncode:
        # The lists of packages may be missing, as in a fresh container, or old.
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(download, cwd=drafts, check=True)
    for package in drafts.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)


if __name__ == "__main__":
    lay_out(LIBRARIES[sys.argv[1]], sys.argv[2])
