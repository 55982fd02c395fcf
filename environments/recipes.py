"""The recipes as types, read from ``recipes.toml``; what was built of them, as records."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from environments import locks

FOLDER = Path(__file__).parent
NOX = FOLDER.parent / ".nox"
CHANNEL_VARIABLE = "DEADLOCK_MATRIX_CONDA_CHANNEL"
TORCH_INDEX_VARIABLE = "DEADLOCK_MATRIX_TORCH_INDEX"

BACKENDS = ("venv", "conda", "found")
THIS_PLATFORM = f"{sys.platform}-{platform.machine()}"
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_STANDARD_LIBRARY = f"{sys.base_prefix}/lib/python{THIS_PYTHON}"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to get one interpreter, and the name it has in a report.

    ``backend``: "venv" and "conda" are built, "found" is looked for. ``python`` is what it is built
    from, a path, or which is looked for, a version; empty: this one. ``environment`` names another
    recipe whose environment it is, with ``library`` in front. ``obtain`` is the command that makes
    it available where it is not. ``promises`` are what `environments.promises` checks.
    """

    name: str
    summary: str = ""
    backend: str = "venv"
    python: str = ""
    pythons: str = ""  # a PEP 440 specifier of those that it can be built with
    platforms: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()  # sessions of the noxfile
    environment: str = ""
    library: str = ""
    system_packages: tuple[str, ...] = ()  # of Debian
    locks: tuple[str, ...] = ()  # of environments/locks; "torch" brings torch along
    wheels: tuple[str, ...] = ()  # that are built here
    conda: tuple[str, ...] = ()
    local_conda: tuple[str, ...] = ()
    obtain: str = ""
    first: bool = False  # whether the first answer waits for it
    promises: Mapping[str, Any] = field(default_factory=dict)

    @property
    def session(self) -> str:
        """The nox session that builds it."""
        return f"environment-{self.name}"

    @property
    def default(self) -> bool:
        """Whether it is a row of the matrix if none is named: those with torch are."""
        return self.backend != "found"

    @property
    def checked(self) -> bool:
        """Whether its promises hold for this machine; elsewhere wheels have other libraries."""
        return bool(self.promises) and THIS_PLATFORM == "linux-x86_64"

    @property
    def command(self) -> str:
        """What makes it available where it is not."""
        if self.environment and not self.obtain:
            return RECIPES[self.environment].command
        found = f"install CPython {self.python}, with pyenv for instance"
        return self.obtain or (
            found if self.backend == "found" else f"nox -s environments -- {self.name}"
        )

    @property
    def channel(self) -> str:
        """The conda channel that the user names; empty: the one that is made here."""
        return os.environ.get(CHANNEL_VARIABLE, "") if self.backend == "conda" else ""

    @property
    def torch(self) -> tuple[str, ...]:
        """Arguments of pip for torch, if it comes by pip; from the user's index too."""
        if "torch" not in self.locks:
            return ()
        index = os.environ.get(TORCH_INDEX_VARIABLE)
        return (*(("--extra-index-url", index) if index else ()), *locks.TORCH)

    def refusal(self) -> str:
        """Why it cannot even be tried on this machine, or nothing."""
        if self.platforms and THIS_PLATFORM not in self.platforms:
            return f"it is for {' and '.join(self.platforms)}, not for {THIS_PLATFORM}"
        if not _admits(self.pythons):
            return f"it needs Python {self.pythons}, nox runs on {THIS_PYTHON}"
        if self.backend == "conda" and not self.channel and not self.local_conda:
            return f"it needs a real conda channel, and {CHANNEL_VARIABLE} names none"
        if self.local_conda and not self.channel and not Path(_STANDARD_LIBRARY).exists():
            return f"there is no {_STANDARD_LIBRARY}, so this Python cannot be packed for conda"
        if self.system_packages and not shutil.which("dpkg-deb"):
            return "it needs Debian or Ubuntu"
        if self.python.startswith("/") and not Path(self.python).exists():
            return f"there is no {self.python}"
        return ""

    @cached_property
    def stamp(self) -> str:
        """Changes with everything that it is built from, so that it is built again."""
        library = LIBRARIES[self.library] if self.library else None
        below = RECIPES[self.environment].stamp if self.environment else ""
        built_from = (
            asdict(self) | {"summary": "", "promises": {}, "obtain": "", "first": False},
            asdict(library) if library else "",
            below,
            (sys.version, sys.base_prefix, *_stat(self.python)),
            (*self.torch, self.channel),
            [locks.file(name).read_text() for name in self._locks],
            [(FOLDER / f"{name}.py").read_text() for name in self._builders],
        )
        return hashlib.sha256(json.dumps(built_from, sort_keys=True).encode()).hexdigest()

    @property
    def _builders(self) -> list[str]:
        return [
            *self.requires,
            *(["libraries"] if self.library else []),
            *(["debian"] if self.system_packages else []),
            *(["mkl"] if "mkl" in self.locks else []),
        ]

    @property
    def _locks(self) -> list[str]:
        library = LIBRARIES[self.library].lock if self.library else ""
        return [*self.locks, *filter(None, (library,))]

    @property
    def _record(self) -> Path:
        return NOX / "interpreters" / f"{self.name}.json"

    def built(self) -> dict[str, Any] | None:
        """The interpreter as it was recorded; ``None``: it is to be built, or built again."""
        try:
            record: dict[str, Any] = json.loads(self._record.read_bytes())
        except (OSError, ValueError):
            return None
        interpreter: dict[str, Any] = record["interpreter"]
        folders = interpreter["set"].get("LD_LIBRARY_PATH", "").split(os.pathsep)
        needed = (interpreter["executable"], *filter(None, folders))
        there = record["stamp"] == self.stamp and all(Path(path).exists() for path in needed)
        return interpreter if there else None

    def is_to_be_built(self) -> bool:
        """Whether there is something to try."""
        return self.backend != "found" and not self.refusal() and self.built() is None

    @property
    def before(self) -> tuple[str, ...]:
        """The sessions that must have ended before its own begins."""
        if not self.is_to_be_built() or self.channel:
            return ()
        return (RECIPES[self.environment].session,) if self.environment else self.requires

    def record(self, executable: str, variables: Mapping[str, str]) -> None:
        """Say that it is built. This comes last, so that a half-built one is never taken."""
        interpreter = asdict(Record(name=self.name, executable=executable, set=dict(variables)))
        self._record.parent.mkdir(parents=True, exist_ok=True)
        draft = self._record.with_suffix(".draft")
        draft.write_text(json.dumps({"stamp": self.stamp, "interpreter": interpreter}))
        draft.replace(self._record)

    def forget(self) -> None:
        """Have it built again."""
        self._record.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Record:
    """`deadlock_matrix.model.cell.Interpreter`, which nox's own environment does not have."""

    name: str
    executable: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    unavailable: str = ""


@dataclass(frozen=True, kw_only=True)
class Library:
    """A folder with another ``libblas.so.3``, from packages of Debian or from wheels."""

    name: str
    system_packages: tuple[str, ...] = ()
    lock: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it is, once it is laid out."""
        return NOX / "libraries" / self.name


def read(path: Path = FOLDER / "recipes.toml") -> tuple[dict[str, Recipe], dict[str, Library]]:
    """The recipes and the libraries of a file, by name.

    Raises:
        ValueError: A field, a name or a backend is not known, or a name is there twice.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    recipes = _by_name([_make(Recipe, entry) for entry in document.get("recipe", [])])
    libraries = _by_name([_make(Library, entry) for entry in document.get("library", [])])
    for recipe in recipes.values():
        if recipe.backend not in BACKENDS:
            raise ValueError(f"{recipe.name}: backend {recipe.backend!r} is none of {BACKENDS}")
        if recipe.environment and recipe.environment not in recipes:
            raise ValueError(f"{recipe.name}: there is no recipe {recipe.environment!r}")
        if recipe.library and recipe.library not in libraries:
            raise ValueError(f"{recipe.name}: there is no library {recipe.library!r}")
        if unlocked := set(recipe.locks) - locks.LOCKS.keys():
            raise ValueError(f"{recipe.name}: there is no lock {', '.join(sorted(unlocked))}")
    return recipes, libraries


def _make(kind: type[T], entry: dict[str, Any]) -> T:
    given = {key.replace("-", "_"): value for key, value in entry.items()}
    if unknown := given.keys() - {each.name for each in fields(kind)}:  # type: ignore[arg-type]
        raise ValueError(f"{entry.get('name')}: unknown fields {', '.join(sorted(unknown))}")
    return kind(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    )


def _by_name(items: list[T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for item in items:
        name: str = item.name  # type: ignore[attr-defined]
        if name in found:
            raise ValueError(f"the name {name!r} is there twice")
        found[name] = item
    return found


def _admits(specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet  # nox has it

    return THIS_PYTHON in SpecifierSet(specifier)


def _stat(path: str) -> tuple[object, ...]:
    if not path.startswith("/") or not Path(path).exists():
        return (path,)
    found = Path(path).resolve()
    return (str(found), found.stat().st_mtime_ns, found.stat().st_size)


RECIPES, LIBRARIES = read()
