"""CPythons that a Debian machine does not have: newer ones unpacked, free-threaded ones compiled.

``python -m environments.pythons VERSION...`` puts each into ``.nox/cpythons/bin`` as
``pythonVERSION``, where ``nox -s scenarios`` and the tests look. Nothing is installed and nobody
has to be root: apt resolves and downloads into a folder of its own, ``dpkg-deb`` unpacks, and
``patchelf`` makes the executable use the C library that came with it. The archive moves on: what
it does not have today is told and left out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NOX = Path(__file__).parent.parent / ".nox"
FOLDER = NOX / "cpythons"  # "pythons" is the environment of the session itself
BIN = FOLDER / "bin"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "DEADLOCK_MATRIX_DEBIAN_MIRROR"
TRIPLE = f"{platform.machine()}-linux-gnu"

# Beside the interpreter: headers, and what native scenarios are linked with.
WITH_IT = ("libpython{0}-dev", "libstdc++6", "libgomp1")
CONFIGURE = ("--disable-gil", "--without-ensurepip", "--disable-test-modules", "CFLAGS=-O2")


@dataclass(frozen=True, kw_only=True)
class Python:
    """One that Debian has built: in which of its releases, as which package."""

    suite: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """The authors' own source, as Debian keeps it beside its patches: no index lists older ones."""

    package: str
    release: str
    sha256: str

    @property
    def path(self) -> str:
        """Where an archive of Debian has it."""
        return f"pool/main/p/{self.package}/{self.package}_{self.release}.orig.tar.xz"


PYTHONS: dict[str, Python | Source] = {
    "3.13-trixie": Python(suite="trixie", version="3.13"),  # the last 3.13, to a pyenv's first
    "3.14": Python(suite="sid", version="3.14"),
    "3.15": Python(suite="sid", version="3.15"),
    "3.13t": Source(
        package="python3.13",
        release="3.13.5",
        sha256="93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
    ),
    "3.14t": Source(
        package="python3.14",
        release="3.14.7",
        sha256="3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81",
    ),
}


class Failed(Exception):
    """It cannot be had here: why."""


def lacking() -> str:
    """What is not here that all of them need, or nothing."""
    if sys.platform != "linux":
        return "they are Debian's, for Linux"
    missing = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if missing:
        return f"there is no {missing[0]}"
    return "" if KEYRING.exists() else f"there is no {KEYRING}, of debian-archive-keyring"


def make(name: str) -> Path:
    """Put one of `PYTHONS` into `BIN`, unless it is there.

    Raises:
        Failed: the archive does not have it today, or it cannot be built.
    """
    link = BIN / f"python{name}"
    if not link.exists():
        python = PYTHONS[name]
        if isinstance(python, Source):
            executable = compiled(name, python)
        else:
            executable = unpacked(name, python)
        _run([str(executable), "-c", "import ctypes, ssl, threading"])
        BIN.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(executable)
    return link


# --- unpacked -----------------------------------------------------------------------------------


def unpacked(name: str, python: Python) -> Path:
    """The executable of a root of its own under `FOLDER`."""
    root = FOLDER / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with _apt(python.suite) as apt:
        packages = [f"python{python.version}", *(each.format(python.version) for each in WITH_IT)]
        _run([*apt.command, "--yes", "--download-only", "install", *packages])
        for package in sorted(apt.folder.glob("cache/archives/*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(root)])
    executable = root / "usr" / "bin" / f"python{python.version}"
    headers = root / "usr" / "include"
    # The one beside Python.h includes the other, which only Debian's own compiler finds.
    configuration = Path(f"python{python.version}", "pyconfig.h")
    shutil.copy(headers / TRIPLE / configuration, headers / configuration)
    libraries = [str(root / "usr" / "lib" / TRIPLE), str(root / "lib" / TRIPLE)]
    (loader,) = (root / "usr" / "lib" / TRIPLE).glob("ld-linux-*.so.*")
    _run(["patchelf", "--set-interpreter", str(loader), str(executable)])
    # The old kind of path, which what it loads inherits.
    _run(["patchelf", "--force-rpath", "--set-rpath", ":".join(libraries), str(executable)])
    return executable


# --- compiled -----------------------------------------------------------------------------------


def compiled(name: str, source: Source) -> Path:
    """The executable of an installation in the user's cache, where it survives ``.nox``."""
    prefix = _kept(name, source)
    executable = prefix / "bin" / f"python{name}"
    done = prefix / "complete"
    if not done.exists():
        if not shutil.which("cc") or not shutil.which("make"):
            raise Failed("there is no C compiler, or no make")
        shutil.rmtree(prefix, ignore_errors=True)
        with tempfile.TemporaryDirectory() as place:
            folder = _fetched(source, Path(place))
            _run(["./configure", f"--prefix={prefix}", *CONFIGURE], folder)
            _run(["make", f"-j{os.cpu_count() or 1}"], folder)
            _run(["make", "install"], folder)
        done.touch()
    return executable


def _fetched(source: Source, place: Path) -> Path:
    """The unpacked source, whose archive has the hash that stands here."""
    address = f"{_mirror().rstrip('/')}/{source.path}"
    archive = place / "source.tar.xz"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, archive.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise Failed(f"{address}: {error}") from None
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != source.sha256:
        raise Failed(f"{address}: its SHA-256 is {sha256}, not {source.sha256}")
    with tarfile.open(archive) as opened:
        opened.extractall(place, filter="tar")
    (folder,) = (each for each in place.iterdir() if each.is_dir())
    return folder


def _kept(name: str, source: Source) -> Path:
    given = os.environ.get("DEADLOCK_MATRIX_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_of = "\n".join((platform.platform(), source.sha256, *CONFIGURE))
    key = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return (Path(given) if given else base / "deadlock-matrix") / "pythons" / f"{name}-{key}"


# --- apt, beside the one of this machine --------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Apt:
    """``apt-get`` with a state of its own, for which nothing is installed yet."""

    folder: Path
    command: tuple[str, ...]


@contextmanager
def _apt(suite: str) -> Iterator[Apt]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for each in ("lists/partial", "cache/archives/partial"):
            (folder / each).mkdir(parents=True)
        sources = folder / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
        options = {
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",  # else apt wants to write as a user who may not
            "Debug::NoLocking": "true",
            "Acquire::Check-Valid-Until": "false",  # a mirror may lag behind
        }
        command = ("apt-get", "--quiet", *(f"-o{name}={value}" for name, value in options.items()))
        _run([*command, "update"])
        yield Apt(folder=folder, command=command)


def _mirror() -> str:
    """Where this machine gets its own packages from, if it is Debian; or what the user names."""
    if given := os.environ.get(MIRROR_VARIABLE):
        return given
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    found = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" Debian")]
    if not found:
        raise Failed(f"this machine's packages are not Debian's; {MIRROR_VARIABLE} names a mirror")
    return found[0]


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("E: ")]
        said = (errors or done.stdout.splitlines() or [f"exit status {done.returncode}"])[0]
        raise Failed(f"{Path(command[0]).name}: {said}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make those that are named, or all; 1 if one that is named cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m environments.pythons")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=", ".join(PYTHONS))
    named = parser.parse_args(arguments).versions
    if unknown := sorted(set(named) - PYTHONS.keys()):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(PYTHONS)}")
    status = 0
    for name in named or PYTHONS:
        try:
            if lack := lacking():
                raise Failed(lack)
            print(f"{name}: {make(name)}")
        except Failed as reason:
            print(f"{name}: unavailable: {reason}")
            status = 1 if named else 0
    return status


if __name__ == "__main__":
    sys.exit(main())
