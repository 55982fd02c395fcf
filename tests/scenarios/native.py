"""Compiles the few lines of C or C++ that some scenarios bring, for one given interpreter."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from deadlock_matrix.errors import ConfigurationError, Unavailable
from deadlock_matrix.interpreters.bounded import run_bounded

COMPILE_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 30.0
SHOWN_LINES = 12

_C_SUFFIXES = frozenset({".c"})
_CXX_SUFFIXES = frozenset({".cc", ".cpp", ".cxx"})
SOURCE_SUFFIXES = _C_SUFFIXES | _CXX_SUFFIXES

_ASK_INTERPRETER = """\
import json, sys, sysconfig
var = sysconfig.get_config_var
suffix = var("EXT_SUFFIX") or var("SO") or ".so"
print(json.dumps({
    "include": [sysconfig.get_path("include"), sysconfig.get_path("platinclude")],
    "suffix": suffix,
    "abi": "%s %s %s" % (sys.implementation.cache_tag, var("SOABI") or "", suffix),
    "version": "%d.%d" % sys.version_info[:2],
}))
"""


class NativeKind(StrEnum):
    """What a native part is built into."""

    LIBRARY = "library"  # lib<name>.so: needs no Python headers, loaded with ctypes or linked
    EXTENSION = "extension"  # <name><EXT_SUFFIX>: an importable module


class NativePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shared object: ``flags`` come last on the compiler's command line.

    The compiler runs inside the built folder, so ``-L.`` finds parts that stand before this one.
    """

    name: str
    kind: NativeKind
    sources: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def is_cxx(self) -> bool:
        """Whether any source needs the C++ compiler."""
        return any(Path(source).suffix in _CXX_SUFFIXES for source in self.sources)


class Compiler(msgspec.Struct, frozen=True, kw_only=True):
    """A compiler that answered: ``version`` is the first line of its ``--version``."""

    command: tuple[str, ...]
    version: str


class ExtensionTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says about building extension modules for it."""

    include: tuple[str, ...]
    suffix: str
    abi: str


def find_compiler(*, cxx: bool) -> Compiler:
    """The compiler in ``CC`` (``CXX``), else the first of the usual names on ``PATH``.

    Raises:
        Unavailable: there is none, or the one that the variable names cannot be run.
    """
    variable, usual = ("CXX", ("c++", "g++", "clang++")) if cxx else ("CC", ("cc", "gcc", "clang"))
    language = "C++" if cxx else "C"
    wanted = os.environ.get(variable, "").strip()
    if wanted:
        command = tuple(shlex.split(wanted))
        if shutil.which(command[0]) is None:
            raise Unavailable(
                f"{variable}={wanted} names a {language} compiler that cannot be run; "
                f"correct it, or `unset {variable}` to use {', '.join(usual)}"
            )
        return _identify(command)
    for name in usual:
        if path := shutil.which(name):
            return _identify((path,))
    raise Unavailable(
        f"no {language} compiler found (neither {variable} nor {', '.join(usual)}); "
        f"make one available with `{_compiler_command(cxx)}`"
    )


def compile_part(
    part: NativePart,
    *,
    folder: Path,
    final: Path,
    compiler: Compiler,
    target: ExtensionTarget | None,
) -> Path:
    """Compiles ``part``, whose sources lie in ``folder``, into ``folder``.

    Args:
        part: what to compile.
        folder: where sources are read, the compiler runs and the shared object is written.
        final: where ``folder`` will stand afterwards; debug information names that place.
        compiler: from `find_compiler`.
        target: from `ask_interpreter`; needed for an extension only.

    Raises:
        ConfigurationError: the compiler rejects the sources; its first lines are in the message.
        Unavailable: the compiler did not end within `COMPILE_TIMEOUT_S`.
    """
    if target is not None and part.kind is NativeKind.EXTENSION:
        output, include = part.name + target.suffix, target.include
    else:
        output, include = f"lib{part.name}.so", ()
    command = [*compiler.command, "-shared", "-fPIC", "-O1", "-g"]
    command += [f"-ffile-prefix-map={folder}={final}"]
    if sys.platform == "darwin":
        command += ["-undefined", "dynamic_lookup"]
    command += [f"-I{path}" for path in include]
    command += ["-o", output, *part.sources, *part.flags]
    status, text = _run_bounded(command, cwd=folder, timeout=COMPILE_TIMEOUT_S)
    if status is None:
        raise Unavailable(
            f"`{shlex.join(command)}` did not end within {COMPILE_TIMEOUT_S:.0f} s; "
            "run it by hand, or set CC or CXX to another compiler"
        )
    if status != 0:
        lines = [line for line in text.splitlines() if line.strip()][:SHOWN_LINES]
        said = "\n".join(lines) or "(no output)"
        raise ConfigurationError(
            f"{part.name} ({', '.join(part.sources)}) does not compile; "
            f"`{shlex.join(command)}` ended with status {status}:\n{said}"
        )
    return folder / output


@functools.cache
def ask_interpreter(executable: str) -> ExtensionTarget:
    """Asks ``executable``, once in the life of this process, how to build extensions for it.

    Raises:
        Unavailable: it cannot be run, does not answer, or its ``Python.h`` is not installed.
    """
    # -S: the site-packages of the interpreter under test may be what hangs.
    command = (executable, "-I", "-S", "-c", _ASK_INTERPRETER)
    status, text = _run_bounded(command, cwd=Path("/"), timeout=ANSWER_TIMEOUT_S)
    try:
        answer = json.loads(text.splitlines()[-1]) if status == 0 else None
    except (ValueError, IndexError):
        answer = None
    if answer is None:
        how = "within 30 s" if status is None else f"(exit status {status}): {text.strip()[:200]}"
        raise Unavailable(
            f"{executable} did not say how to build extension modules for it {how}; "
            f"try `{shlex.join(command[:3])} -m sysconfig`"
        )
    include = tuple(dict.fromkeys(path for path in answer["include"] if path))
    if not any((Path(path) / "Python.h").is_file() for path in include):
        raise Unavailable(
            f"{executable} has no Python.h in {' or '.join(include)}; make it available with "
            f"`apt-get install python{answer['version']}-dev` (Debian's Python; other "
            "distributions bring the headers along or have a -devel package)"
        )
    return ExtensionTarget(include=include, suffix=answer["suffix"], abi=answer["abi"])


@functools.cache
def _identify(command: tuple[str, ...]) -> Compiler:
    question = (*command, "--version")
    status, text = _run_bounded(question, cwd=Path("/"), timeout=ANSWER_TIMEOUT_S)
    if status != 0 or not text.strip():
        raise Unavailable(
            f"the compiler {shlex.join(command)} does not answer to --version; "
            "set CC or CXX to one that does"
        )
    return Compiler(command=command, version=text.splitlines()[0].strip())


def _compiler_command(cxx: bool) -> str:
    if sys.platform == "darwin":
        return "xcode-select --install"
    return f"apt-get install {'g++' if cxx else 'gcc'} libc6-dev"


def _run_bounded(command: Sequence[str], *, cwd: Path, timeout: float) -> tuple[int | None, str]:
    """Exit status (``None``: had to be ended) and what was written to both streams."""
    try:
        ended = run_bounded(command, {**os.environ, "LC_ALL": "C"}, timeout, folder=str(cwd))
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror or error}"
    return ended.status if ended.in_time else None, ended.complained + ended.said
