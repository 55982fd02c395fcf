"""What an interpreter is, put together from its answer and from files, importing nothing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from deadlock_matrix.matrix.distribution import recognise
from deadlock_matrix.matrix.libraries import list_libraries, read_blas, read_openmp
from deadlock_matrix.matrix.question import Answer
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.report import Fingerprint


def take_fingerprint(interpreter: Interpreter, answer: Answer) -> Fingerprint:
    """Read the metadata of what is installed, and put it beside what the interpreter said.

    Args:
        interpreter: Its name and executable.
        answer: What it said of itself.
    """
    installed = list(_installed(answer))
    packages = {name: version for name, version, _ in reversed(installed)}
    listed = [each for _, _, found in installed for each in _listed_files(found)]
    libraries = list_libraries(answer, listed)
    return Fingerprint(
        name=interpreter.name,
        executable=interpreter.executable,
        version=answer.version,
        implementation=answer.implementation,
        build=_describe_build(answer),
        distribution=recognise(answer),
        free_threaded=answer.free_threaded,
        packages=dict(sorted(packages.items())),
        blas=read_blas(answer, packages, libraries),
        openmp=read_openmp(answer, packages, libraries),
    )


def metadata_folders(answer: Answer) -> tuple[str, ...]:
    """The folders in which the interpreter finds installed packages, in its order."""
    user = (answer.user_site,) if answer.user_site and "PYTHONNOUSERSITE" not in os.environ else ()
    folders = (*user, *answer.site_packages)
    return tuple(dict.fromkeys(folder for folder in folders if Path(folder).is_dir()))


def _installed(answer: Answer) -> Iterator[tuple[str, str, Distribution]]:
    for found in distributions(path=list(metadata_folders(answer))):
        try:
            name, version = found.metadata["Name"], found.version
        except (KeyError, OSError, ValueError):
            continue  # a half-removed package
        if name and version:
            yield canonicalize_name(name), version, found


def _listed_files(found: Distribution) -> Iterator[tuple[str, str]]:
    """The files of a distribution, from its RECORD: (site-packages, path from there)."""
    record = found.read_text("RECORD")
    folder = str(found.locate_file(""))
    for line in (record or "").splitlines():
        # A comma or quote in a path is quoted; no library's name has one.
        yield folder, line.partition(",")[0]


def _describe_build(answer: Answer) -> str:
    flags = [f"{answer.bits} bit"]
    flags += ["free-threaded"] if answer.free_threaded else []
    flags += ["debug"] if answer.debug else []
    flags += ["shared"] if answer.shared else []
    return f"{answer.described}; {', '.join(flags)}"
