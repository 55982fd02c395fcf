"""Read the user's own files, so that a script can carry them instead of naming a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from deadlock_matrix.diagnosis.investigation.sources import Source, imported_packages, strings_in

MOST_BYTES = 200_000
MOST_FILES = 80
MOST_DATA = 20_000  # bytes of a file that the code reads
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_SECRET = (".pem", ".key", ".p12", ".pfx")
_CACHE = "__pycache__"


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What of a folder can be carried as text, why not the rest, and what else is imported."""

    sources: tuple[Source, ...]
    builds: Mapping[str, str]  # sources in C from which compiled files are built
    missing: tuple[str, ...]
    installed: tuple[str, ...]  # top-level modules that are neither here nor Python's own
    data: tuple[str, ...] = ()  # sources that the code names, and reads


def carry(
    texts: Sequence[str],
    folders: Sequence[Path],
    data_folder: Path | None = None,
    arguments: Sequence[str] = (),
) -> Carried:
    """Find the files that some code imports, and those that these import, in the user's folders.

    Args:
        texts: The code with which to begin.
        folders: Where modules are looked for first, in this order.
        data_folder: The folder in which the code runs, if it is one of the user's: a file in it
            that the code names is carried too.
        arguments: The code's own arguments, which may name such files as well.
    """
    sources: dict[str, Source] = {}
    missing: list[str] = []
    builds: dict[str, str] = {}
    installed: dict[str, None] = {}
    seen: set[str] = set()
    todo = list(imported_packages(texts))
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        paths = next((found for each in folders if (found := _files_of(each, name))), None)
        if paths is None:
            if name not in sys.stdlib_module_names:
                installed.setdefault(name)
            continue
        for relative, path in paths:
            if path.suffix in _COMPILED and (source := _c_source_of(relative, path)):
                builds[source] = _built_as(relative, path)
            elif reason := _add(sources, relative, path):
                missing.append(reason)
        todo += imported_packages(each.text for each in sources.values())
    given = [part for each in arguments for part in (each, each.partition("=")[2]) if part]
    data = _add_data(sources, texts, given, data_folder) if data_folder is not None else ()
    return Carried(
        sources=tuple(sources[name] for name in sorted(sources)),
        builds={each: built for each, built in builds.items() if each in sources},
        missing=tuple(missing),
        installed=tuple(installed),
        data=data,
    )


def _c_source_of(name: str, path: Path) -> str:
    """Return the C file beside a compiled one from which it is built; empty if there is none."""
    stem = path.name.partition(".")[0]
    for each in (stem, stem.removeprefix("lib")):
        source = path.with_name(f"{each}.c")
        if source.is_file():
            return name.removesuffix(path.name) + source.name
    return ""


def _built_as(name: str, path: Path) -> str:
    """Return the name of a compiled file; ``module.*`` for a module, as each Python has its own."""
    suffixes = path.name.split(".")[1:]
    return name if len(suffixes) < 2 else name.removesuffix(".".join(suffixes)) + "*"


def _add_data(
    sources: dict[str, Source], texts: Sequence[str], given: Sequence[str], folder: Path
) -> tuple[str, ...]:
    """Add the small files below a folder whose names occur as whole strings in some code.

    Or are among those ``given``.

    It skips files whose names begin with a dot, or that hold keys: the script is made to be shared.
    """
    code = [*texts, *(each.text for each in sources.values() if each.name.endswith(".py"))]
    found = []
    for name in dict.fromkeys([*given, *strings_in(code)]):
        path, relative = folder / name, Path(name).as_posix()
        if (
            not Path(name).is_absolute()
            and not any(part.startswith(".") for part in Path(name).parts)
            and path.suffix not in _SECRET
            and relative not in sources
            and path.is_file()
            and path.stat().st_size <= MOST_DATA
            and not _add(sources, relative, path)
        ):
            found.append(relative)
    return tuple(found)


def _add(sources: dict[str, Source], name: str, path: Path) -> str:
    """Add a file; return what speaks against it, or an empty text."""
    if path.suffix in _COMPILED:
        return f"{name} is compiled, not text"
    if len(sources) >= MOST_FILES:
        return f"{name} is left out: at most {MOST_FILES} files are carried"
    try:
        if sum(len(each.text) for each in sources.values()) + path.stat().st_size > MOST_BYTES:
            return f"{name} is too large"
        # As Python reads it: a line ends in a line feed.
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return f"{name} is not UTF-8 text"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror or error}"
    sources[name] = Source(name=name, text=text)
    return ""


def _files_of(folder: Path, name: str) -> list[tuple[str, Path]] | None:
    """Return the files of a module or package in a folder; ``None`` if it is not there."""
    package = folder / name
    # A package without a file of its own, which has others below it, is one too.
    find = package.glob if name in sys.stdlib_module_names else package.rglob
    if package.is_dir() and (any(find("*.py")) or any(_compiled(package))):
        return [
            (path.relative_to(folder).as_posix(), path)
            for path in sorted(package.rglob("*"))
            if path.is_file() and _CACHE not in path.parts and path.suffix != ".pyc"
        ]
    module = folder / f"{name}.py"
    if module.is_file():
        return [(module.name, module)]
    compiled = [path for path in _compiled(folder) if path.name.partition(".")[0] == name]
    return [(path.name, path) for path in compiled] or None


def _compiled(folder: Path) -> Iterator[Path]:
    for suffix in _COMPILED:
        yield from folder.glob(f"*{suffix}")
