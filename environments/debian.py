"""Packages of Debian and its relatives, fetched and unpacked, not installed.

apt works in folders of its own under ``.nox``, with the sources and the keys of this system: that
needs no root, and changes nothing outside. What is installed already is not fetched.

``python -m environments.debian FOLDER PACKAGE...`` unpacks packages and all that they need.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from environments.recipes import NOX

APT = NOX / "apt"
UNPACKED = NOX / "debian"  # what the recipes with system-packages need
TOOLS = ("apt-get", "dpkg-deb", "dpkg-query")
UPDATE_TIMEOUT_S = 300
FETCH_TIMEOUT_S = 900
UNPACK_TIMEOUT_S = 120


def lacking() -> str:
    """Why packages cannot be had here, or nothing."""
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"there is no {', '.join(absent)}: it needs Debian or Ubuntu" if absent else ""


def unpack_all(packages: Sequence[str], folder: Path) -> None:
    """Lay out packages and all that they need and that is not installed, under ``folder``.

    An older folder is replaced when the new one is whole.

    Raises:
        subprocess.SubprocessError: apt or dpkg failed, or took too long.
    """
    installed = _installed()
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with _lists():
        _apt("install", "--download-only", "--yes", "--no-install-recommends", *packages)
        archives = sorted((APT / "cache" / "archives").glob("*.deb"))
        for archive in archives:
            # A newer version of something installed, such as libc6, must not come before it.
            if _ask("dpkg-deb", "--field", str(archive), "Package").strip() not in installed:
                unpack(archive, draft)
            archive.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def fetch(packages: Sequence[str], folder: Path) -> list[Path]:
    """Put the archives of these packages alone into ``folder``, installed or not.

    Raises:
        subprocess.SubprocessError: apt failed, or took too long.
    """
    with _lists():
        _apt("download", *packages, cwd=folder)
    return sorted(folder.glob("*.deb"))


def unpack(archive: Path, folder: Path) -> None:
    """Lay out the files of one archive."""
    command = ["dpkg-deb", "--extract", str(archive), str(folder)]
    subprocess.run(command, check=True, timeout=UNPACK_TIMEOUT_S)


def library_folders(folder: Path) -> list[Path]:
    """The folders of what was unpacked that the loader would search, were it installed."""
    inside = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib", "lib")
    found = [path for pattern in inside for path in sorted(folder.glob(pattern))]
    return [path for path in found if path.is_dir() and any(path.glob("lib*.so*"))]


def link_packages(folder: Path, site_packages: Path) -> None:
    """Let an environment of Debian's Python have the packages for Python that were unpacked.

    What the environment has itself stays. A ``.pth`` file would do for the interpreter, but not for
    those who read what is installed without running it.
    """
    there = {path.name.partition("-")[0].lower() for path in site_packages.iterdir()}
    for path in sorted((folder / "usr/lib/python3/dist-packages").glob("*")):
        if path.name.partition("-")[0].lower() not in there:
            (site_packages / path.name).symlink_to(path)


@contextmanager
def _lists() -> Iterator[None]:
    """Apt's folders, with lists of today, for one process at a time."""
    for part in ("lists/partial", "cache/archives/partial"):
        (APT / part).mkdir(parents=True, exist_ok=True)
    with (APT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any((APT / "lists").glob("*_Packages*")):
            _apt("update")
        yield


def _apt(*arguments: str, cwd: Path | None = None) -> None:
    places = {
        "Dir::State::Lists": APT / "lists",
        "Dir::Cache": APT / "cache",
        "Dir::Log": APT,
        "APT::Sandbox::User": "root",  # as root, it would give up rights that it needs here
        "Debug::NoLocking": "true",  # dpkg's own lock is root's; ours is held
        "Acquire::Retries": "3",
    }
    options = [part for key, value in places.items() for part in ("-o", f"{key}={value}")]
    limit = UPDATE_TIMEOUT_S if "update" in arguments else FETCH_TIMEOUT_S
    command = ["apt-get", "-qq", *options, *arguments]
    subprocess.run(command, check=True, cwd=cwd, timeout=limit, stdin=subprocess.DEVNULL)


def _installed() -> frozenset[str]:
    listed = _ask("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n")
    rows = (line.split() for line in listed.splitlines())
    return frozenset(row[1] for row in rows if row[0] == "installed")


def _ask(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    return done.stdout


if __name__ == "__main__":
    unpack_all(sys.argv[2:], Path(sys.argv[1]))
