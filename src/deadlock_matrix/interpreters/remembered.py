"""What interpreters were found to be, kept for as long as their files stay as they are."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from deadlock_matrix.decoding import decode
from deadlock_matrix.interpreters.fingerprint import metadata_folders
from deadlock_matrix.interpreters.native.running import DISTRIBUTIONS, did_not_end, is_of_a_kind
from deadlock_matrix.interpreters.question import Answer, clean_environment
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint, Running

_FORMAT = 3
_FOLDER = "interpreters"

_SEARCHED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
_LOADING = (*_SEARCHED, "LD_PRELOAD", "DYLD_INSERT_LIBRARIES")
"""Variables, besides an interpreter's own, that make it load other libraries."""

_NO_USER_SITE = "PYTHONNOUSERSITE"  # decides about a folder of packages
_SYSTEM = ("/etc/ld.so.cache", "/etc/alternatives") if sys.platform == "linux" else ()
"""They change when a library of the system is installed, or another one is chosen."""


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """A file or folder as it was: where it really lies, and what changes when it does.

    All numbers are zero if nothing is there.
    """

    path: str
    real: str
    device: int
    inode: int
    changed_ns: int
    size: int


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """One interpreter: what it was found to be, and the files on which that depends.

    ``deadline_s`` is how long we waited for it, if it did not answer; ``waited_s``, by module, how
    long for those of its `Running` that did not end.
    """

    format: int = _FORMAT
    stamps: tuple[Stamp, ...]
    fingerprint: Known[Fingerprint] | Unknown
    deadline_s: float = 0.0
    waited_s: dict[str, float] = {}


def recall(interpreter: Interpreter, cache: Path, deadline_s: float) -> Memory | None:
    """Return what is remembered of ``interpreter``; ``None`` if nothing, or its files changed.

    One that did not answer is asked again only if it gets more time.
    """
    try:
        memory = decode(_file(interpreter, cache).read_bytes(), Memory)
    except (OSError, msgspec.DecodeError):
        return None  # a cache may be missing, of another version, or damaged
    if memory.format != _FORMAT or not holds(memory):
        return None
    if isinstance(memory.fingerprint, Unknown) and memory.deadline_s < deadline_s:
        return None
    return memory


def holds(memory: Memory) -> bool:
    """Return whether all files are still as they were."""
    return all(_stamp(stamp.path) == stamp for stamp in memory.stamps)


def remember(interpreter: Interpreter, cache: Path, memory: Memory) -> None:
    """Keep ``memory`` for `recall`, in a file of its own, at once or not at all.

    Of two that know different modules the later one stays, and the other is asked again. A cache
    that cannot be written costs only time.
    """
    file = _file(interpreter, cache)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(memory))
            Path(draft).replace(file)
        except BaseException:
            Path(draft).unlink()
            raise


def silence(interpreter: Interpreter, reason: Unknown, deadline_s: float) -> Memory:
    """Remember that it did not answer within ``deadline_s`` seconds."""
    return Memory(
        stamps=_stamps(_own_files(interpreter)), fingerprint=reason, deadline_s=deadline_s
    )


def stamps_of(interpreter: Interpreter, answer: Answer) -> tuple[Stamp, ...] | None:
    """Return the files its answer and metadata depend on; ``None`` if more than files decide.

    More than files decide for a wrapper, which may choose another interpreter next time.
    """
    if os.path.realpath(answer.executable) != os.path.realpath(_executable(interpreter)):
        return None
    folders = metadata_folders(answer)
    prefixes = dict.fromkeys((answer.prefix, answer.base_prefix))
    files = [
        *_own_files(interpreter),
        *(str(Path(prefix, "conda-meta")) for prefix in prefixes),
        *answer.site_packages,
        *folders,
        *(file for folder in folders for file in _edited_files(Path(folder))),
        *_searched_files(interpreter),
    ]
    return _stamps((*files, *_SYSTEM))


def first_memory(stamps: tuple[Stamp, ...], fingerprint: Known[Fingerprint]) -> Memory:
    """Return what is known without a run: valid as long as ``stamps`` and its libraries are."""
    libraries = fingerprint.value.libraries
    paths = [each.path for each in libraries.value] if isinstance(libraries, Known) else []
    return Memory(stamps=_merge(stamps, _stamps(paths)), fingerprint=fingerprint)


def add_running(
    memory: Memory, found: dict[str, Known[Running] | Unknown], deadline_s: float
) -> Memory:
    """Add to ``memory`` what running modules showed within ``deadline_s`` seconds.

    One that failed is left out, since what it lacks may be outside its own files; one that did not
    end stays: it would cost its deadline again.
    """
    if isinstance(memory.fingerprint, Unknown):
        return memory
    late = {module for module, each in found.items() if did_not_end(each)}
    kept = {
        module: each for module, each in found.items() if isinstance(each, Known) or module in late
    }
    fingerprint = memory.fingerprint.value
    whole = msgspec.structs.replace(fingerprint, running=fingerprint.running | kept)
    others = {name: waited for name, waited in memory.waited_s.items() if name not in kept}
    return msgspec.structs.replace(
        memory,
        stamps=_merge(memory.stamps, _stamps(_mapped(kept.values()))),
        fingerprint=msgspec.structs.replace(memory.fingerprint, value=whole),
        waited_s=others | dict.fromkeys(sorted(late), deadline_s),
    )


def is_remembered(memory: Memory, module: str, deadline_s: float) -> bool:
    """Return whether running ``module`` was seen, or waited for at least ``deadline_s`` long."""
    known = memory.fingerprint
    if isinstance(known, Unknown) or module not in known.value.running:
        return False
    return memory.waited_s.get(module, deadline_s) >= deadline_s


def _file(interpreter: Interpreter, cache: Path) -> Path:
    """Return one file for each interpreter, named by everything that distinguishes it."""
    environment = clean_environment() | interpreter.set
    loading = {name: environment[name] for name in _LOADING if name in environment}
    if _NO_USER_SITE in os.environ:
        loading[_NO_USER_SITE] = "1"
    key = [_executable(interpreter), sorted(interpreter.set.items()), sorted(loading.items())]
    name = hashlib.sha256(ascii(key).encode()).hexdigest()[:32]  # a variable need not be text
    return cache / _FOLDER / f"{name}.json"


def _executable(interpreter: Interpreter) -> str:
    return str(Path(interpreter.executable).absolute())


def _own_files(interpreter: Interpreter) -> tuple[str, ...]:
    executable = _executable(interpreter)
    return (executable, *(str(each / "pyvenv.cfg") for each in Path(executable).parents[:2]))


def _edited_files(folder: Path) -> list[str]:
    """Return files that affect an import and may be edited in place, without changing a folder."""
    modules = [f"{module}/__init__.py" for module in DISTRIBUTIONS]
    names = (*modules, "sitecustomize.py", "usercustomize.py")
    return [*(str(folder / name) for name in names), *map(str, sorted(folder.glob("*.pth")))]


def _searched_files(interpreter: Interpreter) -> Iterator[str]:
    """Yield folders that the loader must search, and what in them matters and may be a link."""
    environment = clean_environment() | interpreter.set
    folders = [each for name in _SEARCHED for each in environment.get(name, "").split(os.pathsep)]
    for folder in filter(os.path.isabs, folders):
        yield folder
        with suppress(OSError):
            names = sorted(path.name for path in Path(folder).iterdir())
            yield from (str(Path(folder, name)) for name in names if is_of_a_kind(name))


def _mapped(found: Iterable[Known[Running] | Unknown]) -> Iterator[str]:
    for each in found:
        if isinstance(each, Known):
            mapped, pools = each.value.mapped, each.value.pools
            yield from mapped.or_else(())
            yield from (pool.path for pool in pools.value) if isinstance(pools, Known) else ()


def _merge(old: tuple[Stamp, ...], new: tuple[Stamp, ...]) -> tuple[Stamp, ...]:
    return tuple({stamp.path: stamp for stamp in (*new, *old)}.values())


def _stamps(paths: Iterable[str]) -> tuple[Stamp, ...]:
    return tuple(_stamp(path) for path in dict.fromkeys(paths))


def _stamp(path: str) -> Stamp:
    real = os.path.realpath(path)
    try:
        found = Path(path).stat()
    except OSError:
        return Stamp(path, real, 0, 0, 0, 0)
    return Stamp(path, real, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
