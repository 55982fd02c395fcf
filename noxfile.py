"""The project's sessions. ``nox`` alone runs lint, types and tests.

``deadlock_matrix`` is the main job: the harness in its own environment, each interpreter under
test in *its* own, made by the session environment-NAME and reused from run to run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from environments import conda_channel as channel  # noqa: E402
from environments import debian  # noqa: E402
from environments import numpy_on_mkl as numpy  # noqa: E402
from environments.recipes import LIBRARIES, NOX, RECIPES, THIS_PYTHON, Recipe  # noqa: E402

nox.needs_version = ">=2026.10.20"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

RATTLER = "nox[rattler]>=2026.10.20"


@nox.session
def deadlock_matrix(session: nox.Session) -> None:
    """Run the matrix; what follows ``--`` goes to pytest: --preset smoke, -k eager, ...

    ``--recipe NAME`` may be given several times; else all are built that have torch.
    """
    options, rest = own_options(session.posargs)
    session.install("-e", ".")
    if options.recipe or not has_option(rest, "--interpreter"):
        chosen = options.recipe or [name for name, each in RECIPES.items() if each.default]
        strict = ["--all-needed"] if options.recipe else []
        found = collect(session, chosen, NOX / "interpreters.json", *strict)
        rest = [f"--interpreters-file={found}", *rest]
    workers = [] if has_option(rest, "-n", "--numprocesses") else ["-n", "auto"]
    session.run("pytest", "tests/matrix", "--deadlock-matrix", *workers, *rest)


@nox.session(default=False)
def scenarios(session: nox.Session) -> None:
    """Run every scenario once on every CPython that is found here."""
    session.install("-e", ".[test]")
    names = [name for name, each in RECIPES.items() if each.backend == "found"]
    found = collect(session, names, NOX / "pythons.json")
    pythons = [each["executable"] for each in json.loads(found.read_bytes())]
    chosen = [f"--python={python}" for python in pythons if python]
    soak = ("tests/integration", "-m", "soak", "--runs=1", "-k", "as-it-is")
    session.run("pytest", *soak, *chosen, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, the ones of the package under test on real torch and transformers."""
    torch = RECIPES["pip-torch"]
    session.install("-e", ".[test,browser]", *torch.torch_index, *torch.packages)
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
def docs(session: nox.Session) -> None:
    """Build the site into site/, strictly: a broken link is an error."""
    session.install("-e", ".[docs]")
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", *session.posargs, env=quiet)


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure what the harness costs and how fast it finds a deadlock; prints tables."""
    session.install("-e", ".")
    for script in sorted((ROOT / "benchmarks").glob("bench_*.py")):
        session.run("python", str(script), *session.posargs)


# --- environments -------------------------------------------------------------------------------


@nox.session(
    default=False,
    reuse_venv=False,
    allow_parallel=True,
    venv_backend="none" if numpy.find() else "virtualenv",
)
def numpy_on_mkl(session: nox.Session) -> None:
    """Build numpy on MKL from source; its wheel is kept in the user's cache."""
    if numpy.find():
        return
    if lacking := numpy.lacking():
        session.error(lacking)
    session.install(*numpy.NEEDED)
    drafts = Path(session.create_tmp())
    variables = numpy.variables(Path(session.virtualenv.location).absolute())
    session.run("pip", *numpy.arguments(drafts), env=variables, silent=True)
    numpy.keep(drafts)


@nox.session(default=False, reuse_venv=False, allow_parallel=True, requires=["numpy_on_mkl"])
def conda_channel(session: nox.Session) -> None:
    """Pack this CPython, MKL and numpy on MKL into a conda channel of our own."""
    session.install(*channel.NEEDED)
    wheels = Path(session.create_tmp())
    session.run("pip", "download", "--quiet", "-d", str(wheels), *channel.WHEELS, silent=True)
    shutil.copy(str(numpy.find()), wheels)
    session.run("python", "-m", "environments.conda_channel", str(channel.CHANNEL), str(wheels))
    shutil.rmtree(wheels)


def add_environment(recipe: Recipe) -> None:
    """Make the session that builds a recipe. What is built is kept; what is half built is not."""

    def environment(session: nox.Session) -> None:
        if recipe.built():
            return
        if refusal := recipe.refusal():
            session.skip(refusal)
        if recipe.lacks_conda:
            session.skip("it needs conda, or py-rattler beside nox, as nox[rattler] brings it")
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
    if recipe.built() or recipe.environment or recipe.refusal() or recipe.lacks_conda:
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
    need_system_packages(session, recipe)
    wheels = [str(numpy.find())] if recipe.wheels else []
    session.install(*recipe.torch_index, *recipe.packages, *wheels)
    recipe.record(str(shutil.which("python", path=session.bin)), {})


def build_on_another(session: nox.Session, recipe: Recipe) -> None:
    """Lay out the library that goes in front in another recipe's environment."""
    base = RECIPES[recipe.environment].built()
    if base is None:
        session.skip(f"there is no {recipe.environment}")
    folder = LIBRARIES[recipe.library].folder
    lay_out = ("-m", "environments.libraries", recipe.library, base["executable"])
    session.run(sys.executable, *lay_out, external=True, silent=True)
    recipe.record(base["executable"], {**base["set"], "LD_LIBRARY_PATH": str(folder)})


def need_system_packages(session: nox.Session, recipe: Recipe) -> None:
    """Skip a recipe that needs packages of Debian: to install them is the user's to decide."""
    if missing := debian.missing(recipe.system_packages):
        session.skip(f"{', '.join(missing)} are not installed")


def collect(session: nox.Session, names: list[str], file: Path, *options: str) -> Path:
    """Build what is to be built; ``file`` will say what there is, and what is not there and why."""
    if unknown := sorted(set(names) - RECIPES.keys()):
        session.error(f"no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    todo = [RECIPES[name] for name in names if RECIPES[name].is_to_be_built()]
    # What others wait for begins first: it takes longest.
    sessions = [
        *(name for each in todo for name in each.requires),
        *(each.session for each in todo),
    ]
    report = NOX / "environments.json"
    report.unlink(missing_ok=True)
    if sessions:
        # In a nox of its own, so that what fails there does not fail the run.
        session.install(RATTLER)
        command = ("-m", "nox", "--parallel", "2", "--report", str(report), "--sessions")
        session.run("python", *command, *dict.fromkeys(sessions), success_codes=range(256))
    options = (*options, "--output", str(file))
    session.run("python", "-m", "environments.collect", *options, *names)
    return file


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
