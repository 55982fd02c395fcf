"""The project's sessions. ``nox`` alone runs lint, types and tests.

``deadlock_matrix`` is the main job: the harness in its own environment, each interpreter under
test in *its* own, under ``.nox/targets``, reused from run to run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
TARGETS = ROOT / ".nox" / "targets"
TORCH_INDEX = "DEADLOCK_MATRIX_TORCH_INDEX"

TARGET_PACKAGES = (
    "torch==2.13.0" if sys.platform == "linux" else "torch",
    "transformers>=5,<6",
    "lazy-loader>=0.4",
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make an environment to test, and the name it has in a report."""

    name: str
    python: str
    packages: tuple[str, ...]


RECIPES = (Recipe(name="pip-torch", python=sys.executable, packages=TARGET_PACKAGES),)


@nox.session
def deadlock_matrix(session: nox.Session) -> None:
    """Run the matrix; what follows ``--`` goes to pytest: --preset smoke, -k eager, ..."""
    session.install("-e", ".")
    chosen: list[str] = []
    if not any(option.startswith("--interpreter") for option in session.posargs):
        for recipe in RECIPES:
            chosen += ["--interpreter", f"{recipe.name}={build(session, recipe)}"]
    workers = [] if has_option(session.posargs, "-n", "--numprocesses") else ["-n", "auto"]
    session.run("pytest", "tests/matrix", "--deadlock-matrix", *workers, *chosen, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, the ones of the package under test on real torch and transformers."""
    session.install("-e", ".[test]", *torch_index(), *TARGET_PACKAGES)
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style with ruff."""
    session.install("ruff>=0.11")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    session.install("-e", ".", "mypy>=1.15")
    session.run("mypy")


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure what the harness costs and how fast it finds a deadlock; prints tables."""
    session.install("-e", ".")
    for script in sorted((ROOT / "benchmarks").glob("bench_*.py")):
        session.run("python", str(script), *session.posargs)


def build(session: nox.Session, recipe: Recipe) -> Path:
    """Make the environment of a recipe, unless it is there already; returns its Python."""
    wanted = hashlib.sha256(
        "\n".join((sys.version, recipe.python, *torch_index(), *recipe.packages)).encode()
    ).hexdigest()
    folder = TARGETS / recipe.name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "recipe.sha256"
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    if folder.exists():
        shutil.rmtree(folder)
    session.log(f"building the environment {recipe.name}: {', '.join(recipe.packages)}")
    session.run(recipe.python, "-m", "venv", str(folder), external=True)
    install = ("-m", "pip", "install", "--quiet", *torch_index(), *recipe.packages)
    session.run(str(python), *install, external=True)
    stamp.write_text(wanted)
    return python


def torch_index() -> tuple[str, ...]:
    """An index that the user names for torch, such as one with builds for another processor."""
    index = os.environ.get(TORCH_INDEX)
    return ("--extra-index-url", index) if index else ()


def has_option(arguments: list[str], *names: str) -> bool:
    """Whether one of these options is among the arguments."""
    return any(argument.startswith(names) for argument in arguments)
