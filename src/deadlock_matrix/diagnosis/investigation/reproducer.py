"""The text of a script that hangs without this tool: for a bug report, or for a debugger.

It uses only the standard library. It brings the variables, the files, the standard input and the
way of calling that the hang needs, and then executes the statement. The claims of its header were
measured: see `deadlock_matrix.app.reproduction`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from deadlock_matrix.diagnosis.investigation.calling_text import CALLS, INPUTS
from deadlock_matrix.diagnosis.investigation.sources import Source, without_future
from deadlock_matrix.model.cell import Calling, Context
from deadlock_matrix.model.statement import imported_package

NAME = "reproducer.py"

_FIRST = ("LD_", "DYLD_", "PYTHON", "GLIBC_TUNABLES", "MALLOC_")
"""Variables that are read before a script begins: it must restart itself with them."""

_MARK = "DEADLOCK_REPRODUCER"
FOLDER = "reproducer-files"
"""Where the script puts the files that it carries: beside itself."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What the script does.

    ``statement`` is the code, or the whole text of the user's script. ``environment`` are variables
    to set, ``unset`` those that must not be set. ``sources`` are files to bring along, of which
    ``builds`` are in C and must be compiled, into the files that they name; the program reads
    ``data`` from the folder in which it runs. ``path`` is a folder in which to look for modules, if
    the files cannot be brought along.
    """

    statement: str
    context: Context
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    unset: Sequence[str] = ()
    sources: Sequence[Source] = ()
    builds: Mapping[str, str] = {}
    data: Sequence[str] = ()
    path: str = ""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of the script has to know; every sentence says what was measured.

    ``first`` says what the script did when it was run alone. ``needs`` are distributions to
    install. ``again`` is for a script that does not hang every time: seconds after which a run that
    still goes on has hung.
    """

    first: str
    sentence: str
    python: str
    needs: Sequence[str]
    how_often: str
    tool: str
    missing: Sequence[str] = ()
    about_variables: str = ""
    about_statements: str = ""
    again: float = 0.0


def reproducer_text(script: Script, claims: Claims) -> str:
    """Return the whole script, with its header."""
    return "\n".join([*map(_printable, _comment(script, claims)), script_text(script)])


def script_text(script: Script) -> str:
    """Return what is executed: the script without its header."""
    return "\n".join([*_lines(script), ""])


def _lines(script: Script) -> Iterator[str]:
    context = script.context
    spawns = context.calling is Calling.SPAWN
    plain = context.calling is Calling.MAIN
    future, statement = without_future(script.statement) if plain else ("", script.statement)
    yield from future.splitlines()
    yield "import os"
    yield "import sys"
    yield ""
    yield from _environment(script)
    yield from _files(script.sources)
    yield from _compiling(script.builds)
    if script.data:
        yield "os.chdir(FOLDER)"
    if script.path:
        yield f"sys.path.insert(0, {script.path!r})"
    yield from (() if spawns else INPUTS[context.stdin])
    yield f"sys.argv[1:] = {list(script.arguments)!r}"
    yield ""
    if context.prelude and not spawns:
        yield context.prelude.strip("\n")
        yield ""
    if plain:
        yield statement.strip("\n")
        return
    yield ""
    yield 'NAMESPACE = {"__name__": "__main__"}'
    if context.calling in (Calling.CONCURRENT_IMPORTS, Calling.CONCURRENT_EXPORTS):
        yield f"PACKAGE = {imported_package(statement)!r}"
    yield ""
    yield ""
    yield "def entry():"
    yield f"    code = compile({statement!r}, '<entry>', 'exec')"
    yield "    exec(code, NAMESPACE)"
    yield ""
    yield ""
    if not spawns:
        yield from CALLS[context.calling]
        return
    yield 'if __name__ == "__main__":'
    first = [*INPUTS[context.stdin], *context.prelude.strip("\n").splitlines()]
    for line in (*first, *CALLS[context.calling]):
        yield f"    {line}" if line else ""


def _files(sources: Sequence[Source]) -> Iterator[str]:
    if not sources:
        return
    yield "FILES = {"
    for source in sources:
        yield f"    {source.name!r}: {_literal(source.text)},"
    yield "}"
    yield f'FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "{FOLDER}")'
    yield "for name, text in FILES.items():"
    yield "    path = os.path.join(FOLDER, *name.split('/'))"
    yield "    os.makedirs(os.path.dirname(path), exist_ok=True)"
    yield "    if not os.path.exists(path):"
    yield '        with open(path, "w", encoding="utf-8", newline="") as file:'
    yield "            file.write(text)"
    yield "sys.path.insert(0, FOLDER)"


def _compiling(builds: Mapping[str, str]) -> Iterator[str]:
    if not builds:
        return
    yield "import subprocess"
    yield "import sysconfig"
    yield f"for name, built in {dict(builds)!r}.items():"
    yield "    path = os.path.join(FOLDER, *name.split('/'))"
    yield "    module = os.path.join(FOLDER, *built.split('/'))"
    yield "    if module.endswith('.*'):"
    yield "        module = module[:-2] + sysconfig.get_config_var('EXT_SUFFIX')"
    yield "    include = sysconfig.get_paths()['include']"
    yield "    command = ['cc', '-shared', '-fPIC', '-pthread', '-I', include, path, '-o', module]"
    yield "    if not os.path.exists(module):"
    yield "        places = {'PATH': os.environ.get('PATH', os.defpath)}"
    yield "        subprocess.run(command, check=True, env=places)"


def _literal(text: str) -> str:
    """Return a text as a literal that people can read, wherever that is possible."""
    plain = all(each.isprintable() or each in "\n\t" for each in text)
    for quotes in ("'''", '"""'):
        if plain and quotes not in text and not text.endswith(quotes[0]):
            escaped = text.replace("\\", "\\\\")
            return f"{quotes}\\\n{escaped}{quotes}"
    return repr(text)


def _comment(script: Script, claims: Claims) -> Iterator[str]:
    yield from _wrapped(claims.first)
    yield "#"
    yield from _wrapped(claims.sentence)
    yield "#"
    yield f"# Run it with:  python {NAME}"
    yield f"# It hung with: {claims.python}"
    needs = " ".join(claims.needs)
    compiler = ", and a C compiler with Python's headers" if script.builds else ""
    what = "pip install " + needs if needs else "the standard library alone"
    yield f"# It needs:     {what}{compiler}"
    for each in claims.missing:
        yield from _wrapped(f"Missing here: {each}")
    if script.sources:
        names = ", ".join(each.name for each in script.sources)
        yield from _wrapped(f"It brings: {names} (written into {FOLDER}, beside it)")
    if claims.about_statements:
        yield from _wrapped(f"It is made of: {claims.about_statements}")
    if claims.about_variables:
        yield from _wrapped(f"It sets: {claims.about_variables}")
    yield f"# How often:    {claims.how_often}"
    if claims.again:
        yield "# Until it hangs:"
        yield f"#   while timeout {claims.again:.0f} python {NAME}; do :; done"
    yield f"# Written by {claims.tool}."
    yield ""


def _printable(line: str) -> str:
    """Escape a comment, which must not end before its line does."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )


def _wrapped(sentence: str) -> Iterator[str]:
    line = "#"
    for word in sentence.split():
        if len(line) + len(word) > 98 and line != "#":
            yield line
            line = "#"
        line += f" {word}"
    yield line


def _environment(script: Script) -> Iterator[str]:
    early = {name for name in script.environment if name.startswith(_FIRST)}
    changes = [f"os.environ[{name!r}] = {value!r}" for name, value in script.environment.items()]
    absent = [name for name in script.unset if name not in script.environment]
    if absent:
        changes += [f"for name in {tuple(absent)!r}:", "    os.environ.pop(name, None)"]
    if not early:
        yield from changes
        return
    yield "# Some of these are read as the interpreter starts, so it is started again with them."
    yield f"if {_MARK!r} not in os.environ:"
    for line in (*changes, f"os.environ[{_MARK!r}] = '1'"):
        yield f"    {line}"
    yield "    os.execv(sys.executable, [sys.executable, *sys.argv])"
