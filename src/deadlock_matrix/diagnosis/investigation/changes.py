"""Changes of the user's own source that fit a hang: the line, what it becomes, and why.

Each rule says when it makes sense. Its change is tried like any other remedy, by running a copy of
the package with that one change.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from deadlock_matrix.diagnosis.investigation.clues import Clues, Wait
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.diagnosis import Change, SourceLine, Stuck
from deadlock_matrix.model.stack_facts import Awaited, HeldLock
from deadlock_matrix.model.verdict import Doing

AFTER = "finish_import"
AFTER_IMPORT = "after-import"
_CALLS_WITHOUT_LIMIT = frozenset({"urlopen", "create_connection"})
_REQUESTS = frozenset({"open", "get", "post", "put", "patch", "head", "delete", "request"})
_OF_REQUESTS = frozenset({"requests", "httpx", "Session", "session", "build_opener"})
"""Modules whose functions take a time limit, and what makes objects whose methods do."""

_CONNECTIONS = frozenset(
    {"HTTPConnection", "HTTPSConnection", "create_connection", "FTP", "FTP_TLS", "SMTP",
     "SMTP_SSL", "POP3", "POP3_SSL", "IMAP4", "IMAP4_SSL", "Client"}
)  # fmt: skip
"""What makes a connection with a time limit for all that is done with it."""

_STARTS_PROCESSES = frozenset({"Pool", "Process", "set_start_method"})
_RUNS_MAIN_AGAIN = "spawned-child-runs-main-again"
MAIN_GUARD = "main-guard"
_TAKEN = re.compile(r"\bwith\s+([\w.]+)\s*:|([\w.]+)\.acquire\(")
_BLOCKING = frozenset({Wait.NETWORK, Wait.FILE, Wait.CHILD, Wait.PYTHON_LOCK, Wait.JOIN})


def changes_for(
    clues: Clues, stuck: Sequence[Stuck], doings: Sequence[Doing], texts: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return the changes that fit.

    Args:
        clues: What the threads wait for.
        stuck: The lines in which they wait.
        doings: The same threads, with the locks that they wait for and have.
        texts: The user's files by their path.
    """
    reentrant = tuple(_reentrant(doings, texts))
    return (
        # A thread that takes a lock twice does so after the import, too.
        *(() if reentrant else _after_import(clues, stuck, texts)),
        *reentrant,
        *_new_lock_in_child(clues, doings, texts),
        *main_guard(clues.causes, stuck, texts),
        *_time_limit(clues, stuck, texts),
    )


def lock_order(doings: Sequence[Doing], text_of: Callable[[str, int], str]) -> tuple[str, ...]:
    """Say which line takes which lock, where threads take them crosswise, and what to do.

    Args:
        doings: The stuck threads.
        text_of: The text of a line of source; empty where it cannot be read.
    """

    def shown(lock: Awaited | HeldLock) -> str:
        name = text_of(lock.file, lock.line) or lock.name
        return f"{base_name(lock.file)}:{lock.line}" + (f" (`{name}`)" if name else "")

    crossed = [(each.name, each.holds[-1], each.waits_for) for each in doings
               if each.waits_for is not None and each.holds]  # fmt: skip
    if len(crossed) < 2:
        return ()
    places = {_places(held, wanted) for _, held, wanted in crossed}
    _, held, wanted = crossed[-1]
    if len(places) == 1:
        return (
            f"Each of these threads takes a lock at {shown(held)} and then another at "
            f"{shown(wanted)}: the same two lines, and different locks each time.",
            "Take them in an order that does not depend on the caller: sort the objects to which "
            "they belong, by a number or a name of their own, and take both locks in that order.",
        )
    told = [f"{name} takes one at {shown(held)} and then one at {shown(wanted)}"
            for name, held, wanted in crossed]  # fmt: skip
    return (
        "The locks are taken in opposite orders: " + "; ".join(told) + ".",
        f"Take them in the same order everywhere: in the last of these, take the lock of "
        f"{shown(wanted)} before that of {shown(held)}.",
    )


def _places(*locks: Awaited | HeldLock) -> tuple[tuple[str, int], ...]:
    return tuple((each.file, each.line) for each in locks)


def _after_import(
    clues: Clues, stuck: Sequence[Stuck], texts: Mapping[str, str]
) -> Iterator[Change]:
    """Yield, for a module's own code that waits during import, that it wait afterwards."""
    if not clues.waits & (_BLOCKING | {Wait.IMPORT}):
        return
    if Wait.IMPORT not in clues.waits and len(stuck) > 1:
        return  # threads that wait for each other do so after the import, too
    yield from after_import(stuck, texts, call=Wait.IMPORT in clues.waits)


def after_import(
    stuck: Sequence[Stuck], texts: Mapping[str, str], *, call: bool = False
) -> Iterator[Change]:
    """Put the current statement of a module's own code into a function of its own.

    Args:
        stuck: Threads with their lines; the first that is in a module's own code counts.
        texts: The files by their path.
        call: Whether to call that function after the import when the change is tried.
    """
    for each in stuck:
        line = _import_line(each, texts)
        if line is None:
            continue
        lines = texts[line.file].splitlines()
        node = _statement_at(texts[line.file], line.line)
        if node is None or isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        before = lines[first:last]
        indent = before[0][: len(before[0]) - len(before[0].lstrip())]
        names = sorted(_assigned(node))
        after = [
            f"{indent}def {AFTER}():  # to be called when the import has ended",
            *([f"{indent}    global {', '.join(names)}"] if names else []),
            *(f"    {text}" if text.strip() else text for text in before),
        ]
        what = one(before)
        yield Change(
            name=AFTER_IMPORT,
            file=line.file,
            line=node.lineno,
            before=tuple(before),
            after=tuple(after),
            why=f"`{what}` is run while the module is imported; run it in a function that is "
            "called after the import",
            call=AFTER if call else "",
        )
        return


def _reentrant(doings: Sequence[Doing], texts: Mapping[str, str]) -> Iterator[Change]:
    """Yield, for a thread that takes a lock twice, a lock that allows it."""
    for each in doings:
        wanted = each.waits_for
        if wanted is None or wanted.kind != "Lock":
            continue
        if any(held.address == wanted.address for held in each.holds):
            name = _name_of(wanted, texts)
            found = _definition(name, texts, r"(threading\.)?Lock\(\)")
            if found is not None:
                file, number, text = found
                yield Change(
                    name="reentrant-lock",
                    file=file,
                    line=number,
                    before=(text,),
                    after=(text.replace("Lock()", "RLock()"),),
                    why=f"{each.name} takes {name} a second time; an RLock allows it",
                )
                return


def _new_lock_in_child(
    clues: Clues, doings: Sequence[Doing], texts: Mapping[str, str]
) -> Iterator[Change]:
    """Yield, for a forked child that waits for its parent's lock, a new lock in the child."""
    if not clues.forked or Wait.PYTHON_LOCK not in clues.waits:
        return
    for each in doings:
        wanted = each.waits_for
        name = _name_of(wanted, texts) if wanted is not None else ""
        if not name.isidentifier():
            continue
        found = _definition(name, texts, r"(threading\.)?R?Lock\(\)")
        if found is not None:
            file, number, text = found
            making = text.partition("=")[2].strip()
            yield Change(
                name="new-lock-in-child",
                file=file,
                line=number,
                before=(text,),
                after=(
                    text,
                    *([] if re.search(r"^import os$", texts[file], re.M) else ["import os"]),
                    "os.register_at_fork(",
                    f"    after_in_child=lambda: globals().update({name}={making})",
                    ")",
                ),
                why=f"the child has a copy of {name} that nobody will release; give the child a "
                "new one",
            )
            return


def main_guard(
    causes: Collection[str], stuck: Sequence[Stuck], texts: Mapping[str, str]
) -> Iterator[Change]:
    """Yield, for a main file that its children execute too, that they do not start processes.

    Args:
        causes: The names of the known causes that were recognised.
        stuck: Threads with their lines; the first line of the first is in the main file.
        texts: The files by their path.
    """
    line = stuck[0].lines[0] if stuck and stuck[0].lines else None
    if _RUNS_MAIN_AGAIN not in causes or line is None or line.file not in texts:
        return
    text = texts[line.file]
    body = ast.parse(text).body
    at = next((n for n, each in enumerate(body) if _starts_processes(each)), None)
    if at is None or any(map(_is_shared, body[at:])) or any(map(_has_long_text, body[at:])):
        return  # children need what is defined there, or a text would get other spaces
    first, last = body[at].lineno - 1, body[-1].end_lineno or body[-1].lineno
    before = text.splitlines()[first:last]
    yield Change(
        name=MAIN_GUARD,
        file=line.file,
        line=first + 1,
        before=tuple(before),
        after=(
            'if __name__ == "__main__":',
            *(f"    {each}" if each.strip() else each for each in before),
        ),
        why="the children execute this file too, and must not start processes themselves",
    )


def _starts_processes(node: ast.stmt) -> bool:
    return not _is_shared(node) and any(
        isinstance(each, ast.Call) and _called(each) in _STARTS_PROCESSES for each in ast.walk(node)
    )


def _is_shared(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _has_long_text(node: ast.stmt) -> bool:
    return any(
        isinstance(each, (ast.Constant, ast.JoinedStr)) and each.lineno != each.end_lineno
        for each in ast.walk(node)
    )


def _called(call: ast.Call) -> str:
    """Return the last name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _time_limit(clues: Clues, stuck: Sequence[Stuck], texts: Mapping[str, str]) -> Iterator[Change]:
    """Yield, for a request without a time limit, one that has it."""
    if Wait.NETWORK not in clues.waits:
        return
    for each in stuck:
        for line in reversed(each.lines):
            text = texts.get(line.file)
            call = _call_without_limit(text, line.line) if text is not None else None
            if text is None or call is None:
                continue
            lines = text.splitlines()
            end, column = (call.end_lineno or call.lineno) - 1, (call.end_col_offset or 1) - 1
            old = lines[end]
            comma = ", " if call.args or call.keywords else ""
            yield Change(
                name="time-limit",
                file=line.file,
                line=end + 1,
                before=(old,),
                after=(f"{old[:column]}{comma}timeout=10{old[column:]}",),
                why="the request has no time limit; with one it fails instead of hanging",
                tried=False,
            )
            return


def one(lines: Sequence[str]) -> str:
    """Return lines of source on one line."""
    return " ".join(" ".join(lines).split())


def _import_line(stuck: Stuck, texts: Mapping[str, str]) -> SourceLine | None:
    """Return the innermost line of a module's own code: what its import executes."""
    for line in reversed(stuck.lines):
        if line.function == "<module>" and line.file in texts:
            return line
    return None


def _statement_at(text: str, number: int) -> ast.stmt | None:
    """Return the smallest statement outside functions to which a line belongs."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    found: ast.stmt | None = None
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if not node.lineno <= number <= (node.end_lineno or node.lineno):
            continue
        found = node
        if isinstance(node, (ast.If, ast.Try, ast.For, ast.While)):
            todo = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)]
    return found


def _assigned(node: ast.stmt) -> set[str]:
    return {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }


def _name_of(lock: Awaited, texts: Mapping[str, str]) -> str:
    """Return the code's name for a lock: as it was read, or else as its line shows it."""
    lines = texts.get(lock.file, "").splitlines()
    line = lines[lock.line - 1] if 0 < lock.line <= len(lines) else ""
    found = _TAKEN.search(line)
    return lock.name or (found[1] or found[2] if found else "")


def _definition(name: str, texts: Mapping[str, str], making: str) -> tuple[str, int, str] | None:
    """Return where a lock is made: the file, the line's number and its text."""
    if not name:
        return None
    pattern = re.compile(rf"^\s*(self\.|cls\.)?{re.escape(name.rpartition('.')[2])}\s*=\s*{making}")
    for file, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.match(line):
                return file, number, line
    return None


def _call_without_limit(text: str, number: int) -> ast.Call | None:
    """Return the call in this line, or the one that made its connection, that takes a limit."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return None
    made = {
        ast.unparse(target): each.value
        for each in nodes
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Call)
        for target in each.targets
    }
    for node in nodes:
        if not isinstance(node, ast.Call) or not node.lineno <= number <= (node.end_lineno or 0):
            continue
        call = _with_limit(node, made)
        if call is not None and not any(each.arg in ("timeout", None) for each in call.keywords):
            return call
    return None


def _with_limit(call: ast.Call, made: Mapping[str, ast.Call]) -> ast.Call | None:
    """Return the call that takes a time limit: this one, or the one that made its object."""
    name = _called(call)
    if name in _CALLS_WITHOUT_LIMIT:
        return call
    if not isinstance(call.func, ast.Attribute):
        return call if name in _CONNECTIONS else None
    maker = made.get(ast.unparse(call.func.value))
    if maker is not None and _called(maker) in _CONNECTIONS:
        return maker
    of = ast.unparse(call.func.value) if maker is None else _called(maker)
    return call if name in _REQUESTS and of in _OF_REQUESTS else None
