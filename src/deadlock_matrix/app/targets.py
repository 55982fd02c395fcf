"""From the words of a command line to a target: what to run, with what, and what else to try."""

from __future__ import annotations

import os
import shutil
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from deadlock_matrix.diagnosis.investigation.statements import FILE_IS, RUN_FILE
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import check_names, to_name
from deadlock_matrix.matrix.configuration import INSTALLED, Configuration
from deadlock_matrix.matrix.interpreters import resolve
from deadlock_matrix.model.cell import Calling, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.diagnosis import Target
from deadlock_matrix.model.statement import imported_package
from deadlock_matrix.wording import suggestion

AS_IT_IS = "as-it-is"
RUNS = 10
CONCURRENT = (
    Context(
        name="concurrent-imports",
        calling=Calling.CONCURRENT_IMPORTS,
        summary="several threads that import different submodules at the same moment",
    ),
    Context(
        name="concurrent-exports",
        calling=Calling.CONCURRENT_EXPORTS,
        summary="several threads that use different lazy exports for the first time, at once",
    ),
)
"""Where a package that is fine by itself is used by a program with threads."""

HASTY = "import sys; sys.setswitchinterval(1e-6)"
ONE_CORE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
"""What brings out a race, as the prelude of a cell, so that it is in the reproducer too."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The command line. ``words`` are a module, or the arguments of a script."""

    words: tuple[str, ...]
    statement: str
    script: Path | None
    path: Path | None
    layouts: tuple[str, ...]
    pythons: tuple[str, ...]
    context: str
    repeat: int | None
    deadline_s: float
    budget_s: float
    perturb: bool


def make_target(asked: Asked, configuration: Configuration, here: Path) -> Target:
    """Return what is to be diagnosed.

    Args:
        asked: What was asked for.
        configuration: Has the profiles and contexts; its layouts and entries are tried, too, if it
            is about the requested package.
        here: The folder to which a path is relative, and the first one in which modules are looked
            for.

    Raises:
        ConfigurationError: One sentence about what is wrong.
        Unavailable: There is no such interpreter.
    """
    folder = asked.path.absolute() if asked.path else (None if asked.script else here)
    for given in (
        asked.statement,
        *asked.words,
        *asked.layouts,
        asked.script or "",
        folder or here,
    ):
        _check_text(str(given))
    name, statement = _statement(asked, here)
    interpreters = _interpreters(asked.pythons, configuration)
    for each in interpreters:
        _check_text(each.executable)
    known = _is_about(configuration, statement) and not asked.path and not asked.layouts
    layouts = configuration.layouts if known else (INSTALLED, *_layouts(asked.layouts))
    layout = layouts[0]
    if layout.overlays:
        folder = None  # it brings its own
    if folder is not None:
        interpreters = [_with_folder(each, folder) for each in interpreters]
    package = imported_package(statement)
    entries = [
        each
        for each in configuration.entries
        if known and imported_package(each.statement) == package and each.statement != statement
    ]
    return Target(
        name=name,
        interpreter=interpreters[0],
        other_interpreters=tuple(interpreters[1:]),
        profile=Profile(name=AS_IT_IS, summary="the caller's environment"),
        layout=layout,
        entry=Entry(name="asked", statement=statement),
        contexts=_contexts(asked, configuration),
        other_profiles=tuple(_profiles(configuration)),
        other_layouts=layouts[1:],
        other_entries=tuple(entries),
        watch_modules=configuration.watch_modules,
        path=str(folder) if folder else "",
        script=str(asked.script) if asked.script else "",
        script_text=_text_of(asked.script),
        arguments=asked.words if asked.script else (),
        deadline_s=asked.deadline_s,
        budget_s=asked.budget_s,
        runs=asked.repeat or RUNS,
        thorough=bool(asked.repeat or asked.context or asked.perturb),
    )


def _with_folder(interpreter: Interpreter, folder: Path) -> Interpreter:
    """Return the interpreter with a folder in which modules are looked for before any other."""
    further = interpreter.set.get("PYTHONPATH")
    path = os.pathsep.join([str(folder), *([further] if further else [])])
    return replace(interpreter, set={**interpreter.set, "PYTHONPATH": path})


def _check_text(given: str) -> None:
    """Refuse a file name that is not text: no report and no reproducer could contain it."""
    if not given.isprintable() and any("\udc80" <= each <= "\udcff" for each in given):
        raise ConfigurationError(f"{given!a} is not UTF-8: rename it, or use another path")


def _statement(asked: Asked, here: Path) -> tuple[str, str]:
    given = [bool(asked.statement), asked.script is not None, bool(asked.words)]
    if asked.script is not None and not asked.statement:
        return asked.script.name, script_statement(asked.script.absolute(), asked.words, here)
    if sum(given) != 1 or len(asked.words) > 1:
        raise ConfigurationError(
            "give one of these: a MODULE, --statement CODE, or --script FILE with its arguments"
        )
    if asked.statement:
        return imported_package(asked.statement) or "statement", asked.statement
    (module,) = asked.words
    if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
        hint = f"; for a file, --script {module}" if module.endswith(".py") else ""
        raise ConfigurationError(
            f"{module!r} is not the name of a module, such as package or package.module{hint}"
        )
    return module, f"import {module}"


def script_statement(script: Path, arguments: Sequence[str], here: Path) -> str:
    """Return code that does what ``python script arguments`` does in the folder ``here``."""
    return "\n".join(
        [
            "import os, sys",
            f"os.chdir({str(here)!r})",
            f"sys.argv[:] = {[str(script), *arguments]!r}",
            f"sys.path.insert(0, {str(script.parent)!r})",
            f"{FILE_IS}{str(script)!r}",
            RUN_FILE,
        ]
    )


def _text_of(script: Path | None) -> str:
    """Return the text of a script as Python reads it; empty if it cannot be read as such."""
    if script is None:
        return ""
    try:
        with tokenize.open(script) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeError):
        return ""


def _interpreters(pythons: Sequence[str], configuration: Configuration) -> list[Interpreter]:
    """Return those that were requested, or the one that a shell would start here."""
    if pythons:
        return list(resolve(pythons, configuration))
    found = shutil.which("python") or shutil.which("python3") or sys.executable
    return [Interpreter(name="python", executable=found)]


def _contexts(asked: Asked, configuration: Configuration) -> tuple[Context, ...]:
    """Return the requested context; otherwise all, those that call from the main thread first."""
    known = {each.name for each in configuration.contexts}
    further = [each for each in CONCURRENT if each.name not in known]
    contexts = (*configuration.contexts, *further)
    if asked.context:
        names = [each.name for each in contexts]
        if asked.context not in names:
            raise ConfigurationError(
                f"no context is called {asked.context!r}{suggestion(asked.context, names)}"
            )
        chosen = tuple(each for each in contexts if each.name == asked.context)
    else:
        chosen = tuple(sorted(contexts, key=lambda each: each.name != "main"))
    if not asked.perturb:
        return chosen
    preludes = {"hasty": HASTY}
    if hasattr(os, "sched_setaffinity"):
        preludes["one-core"] = ONE_CORE
    return (
        chosen[0],
        *(
            replace(each, name=f"{name}-{each.name}", prelude=f"{prelude}\n{each.prelude}")
            for name, prelude in preludes.items()
            for each in chosen
        ),
        *chosen[1:],
    )


def _layouts(given: Sequence[str]) -> tuple[Layout, ...]:
    layouts = []
    for text in given:
        name, _, folder = text.rpartition("=")
        path = Path(folder).absolute()
        if not path.is_dir():
            raise ConfigurationError(
                f"layout {text!r}: {path} is not a folder; give --layout NAME=FOLDER or --layout "
                "FOLDER"
            )
        layouts.append(Layout(name=name or to_name(path.name), overlays=(str(path),)))
    check_names("layout", layouts)
    return tuple(layouts)


def _is_about(configuration: Configuration, statement: str) -> bool:
    """Return whether the configured layouts and entries belong to the diagnosed package."""
    package = imported_package(statement)
    return bool(package) and package == configuration.target


def _profiles(configuration: Configuration) -> Iterator[Profile]:
    """Yield what each profile sets, on top of the environment, and without what is in it."""
    there = {name for each in configuration.profiles for name in each.set} & set(os.environ)
    if there:
        yield Profile(
            name="without-variables",
            unset=tuple(sorted(there)),
            summary="without the variables of this kind that are set here",
        )
    for profile in configuration.profiles:
        if profile.set and any(os.environ.get(name) != v for name, v in profile.set.items()):
            yield replace(profile, unset=())
