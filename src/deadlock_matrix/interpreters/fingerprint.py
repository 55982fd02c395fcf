"""What an interpreter is, put together from its answer and from files, importing nothing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from deadlock_matrix.interpreters.distribution import recognise
from deadlock_matrix.interpreters.native.libraries import read_libraries
from deadlock_matrix.interpreters.question import Answer
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fingerprint import Fingerprint


def take_fingerprint(interpreter: Interpreter, answer: Answer) -> Fingerprint:
    """Read what is installed from metadata and native files, besides what the interpreter said.

    Args:
        interpreter: Its name, its executable and the variables that it runs with.
        answer: What it said about itself.
    """
    installed = list(_installed(answer))
    packages = {name: version for name, version, _ in reversed(installed)}
    return Fingerprint(
        name=interpreter.name,
        executable=interpreter.executable,
        version=answer.version,
        implementation=answer.implementation,
        build=_describe_build(answer),
        distribution=recognise(answer),
        free_threaded=answer.free_threaded,
        packages=dict(sorted(packages.items())),
        libraries=read_libraries(answer, installed, interpreter.set),
    )


def metadata_folders(answer: Answer) -> tuple[str, ...]:
    """Return the folders in which the interpreter finds installed packages, in its order."""
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


def _describe_build(answer: Answer) -> str:
    flags = [f"{answer.bits} bit"]
    flags += ["free-threaded"] if answer.free_threaded else []
    flags += ["debug"] if answer.debug else []
    flags += ["shared"] if answer.shared else []
    return f"{answer.described}; {', '.join(flags)}"
