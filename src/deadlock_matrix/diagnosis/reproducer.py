"""The text of a script that hangs without this tool: for a bug report, or for a debugger.

Standard library only. It sets the environment, the standard input and the way of calling as the
cell had them, and then executes the statement, so that nothing of them can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from deadlock_matrix.model.cell import Calling, Cell, Stdin

_FIRST = ("LD_", "DYLD_", "PYTHON", "GLIBC_TUNABLES", "MALLOC_")
"""Variables that are read before a script begins: it has to start itself again with them."""

_MARK = "DEADLOCK_REPRODUCER"

_INPUTS = {
    Stdin.NULL: ("os.dup2(os.open(os.devnull, os.O_RDONLY), 0)",),
    Stdin.CLOSED_PIPE: (
        "end, other = os.pipe()",
        "os.dup2(end, 0)",
        "os.close(other)  # end of file at once",
    ),
    Stdin.SILENT_PIPE: ("end, other = os.pipe()  # nobody will ever write", "os.dup2(end, 0)"),
}

_CALLS: dict[Calling, tuple[str, ...]] = {
    Calling.THREAD: (
        "import threading",
        "",
        "thread = threading.Thread(target=entry)",
        "thread.start()",
        "thread.join()",
    ),
    Calling.TWO_THREADS: (
        "import threading",
        "",
        "gate = threading.Barrier(2)",
        "threads = [threading.Thread(target=lambda: (gate.wait(), entry())) for _ in range(2)]",
        "for thread in threads:",
        "    thread.start()",
        "for thread in threads:",
        "    thread.join()",
    ),
    Calling.FORK: (
        "child = os.fork()",
        "if child == 0:",
        "    entry()",
        "    os._exit(0)",
        "os.waitpid(child, 0)",
    ),
    Calling.FORK_AGAIN: (
        "entry()",
        "child = os.fork()",
        "if child == 0:",
        "    entry()",
        "    os._exit(0)",
        "os.waitpid(child, 0)",
    ),
    Calling.SPAWN: (
        "import multiprocessing",
        "",
        'child = multiprocessing.get_context("spawn").Process(target=entry)',
        "child.start()",
        "child.join()",
    ),
}


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of the script has to know, and what the script has to set.

    ``environment`` are the variables to set, ``unset`` those that must not be there. ``path`` is a
    folder to put first where modules are looked for. ``how_often`` says how often it hangs;
    ``again`` is for one that does not always: seconds after which a run that goes on has hung.
    """

    sentence: str
    python: str
    packages: Mapping[str, str]
    environment: Mapping[str, str]
    unset: Sequence[str]
    path: str
    how_often: str
    tool: str
    again: float = 0.0


def make_reproducer(cell: Cell, about: Circumstances) -> str:
    """The whole script; it hangs when it is run alone by the cell's interpreter."""
    return "\n".join([*_lines(cell, about), ""])


def _lines(cell: Cell, about: Circumstances) -> Iterator[str]:
    spawns = cell.context.calling is Calling.SPAWN
    yield from map(_printable, _comment(cell, about))
    yield "import os"
    yield "import sys"
    yield ""
    yield from _environment(about)
    if about.path:
        yield f"sys.path.insert(0, {about.path!r})"
    yield from (() if spawns else _INPUTS[cell.context.stdin])
    yield "sys.argv[1:] = []"
    yield ""
    if cell.context.prelude and not spawns:
        yield cell.context.prelude.strip("\n")
        yield ""
    if cell.context.calling is Calling.MAIN:
        yield cell.entry.statement.strip("\n")
        return
    yield ""
    yield 'NAMESPACE = {"__name__": "__main__"}'
    yield ""
    yield ""
    yield "def entry():"
    yield f"    code = compile({cell.entry.statement!r}, '<entry>', 'exec')"
    yield "    exec(code, NAMESPACE)"
    yield ""
    yield ""
    if not spawns:
        yield from _CALLS[cell.context.calling]
        return
    yield 'if __name__ == "__main__":'
    first = [*_INPUTS[cell.context.stdin], *cell.context.prelude.strip("\n").splitlines()]
    for line in (*first, *_CALLS[cell.context.calling]):
        yield f"    {line}" if line else ""


def _comment(cell: Cell, about: Circumstances) -> Iterator[str]:
    yield "# This script hangs: it never ends by itself. It needs nothing but the package."
    yield from _wrapped(about.sentence)
    yield "#"
    yield f"# Run it with:  {cell.interpreter.executable} reproducer.py"
    yield f"# It hung with:  {about.python}"
    for name, version in about.packages.items():
        yield f"#                {name} {version}"
    if about.path:
        yield f"# The package lies in:  {about.path}"
    yield f"# How often:     {about.how_often}"
    if about.again:
        executable = cell.interpreter.executable
        yield "# Until it hangs:"
        yield f"#   while timeout {about.again:.0f} {executable} reproducer.py; do :; done"
    yield f"# Written by {about.tool}."
    yield ""


def _printable(line: str) -> str:
    """A comment must not end before its line does."""
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


def _environment(about: Circumstances) -> Iterator[str]:
    early = {name for name in about.environment if name.startswith(_FIRST)}
    changes = [f"os.environ[{name!r}] = {value!r}" for name, value in about.environment.items()]
    absent = [name for name in about.unset if name not in about.environment]
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
