"""Waits that only the interpreter's own state explains: the GIL, joins, import locks.

The stacks are read between the two snapshots without stopping the process. They are the truth for a
thread that slept all that time, and for no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ProcessStacks, ThreadStack
from deadlock_matrix.model.thread_facts import SystemCall, TimeLimit
from deadlock_matrix.model.verdict import Condition, Gap, Node
from deadlock_matrix.proof.cancellation import not_cancelled
from deadlock_matrix.proof.wait import thread_id
from deadlock_matrix.proof.world import BegunByObjects, Key, World, between_snapshots

IMPORTLIB = "<frozen importlib._bootstrap>"
_ADDRESS = re.compile(r" at (0x[0-9a-fA-F]+)>")
_AT_END = "waits at the end of the program for"


class GilWait(msgspec.Struct, frozen=True, kw_only=True):
    """A thread that asks for the GIL again and again, and the thread that has it."""

    node: Node
    holder: Key
    held_source: str
    conditions: tuple[Condition, ...]


class PythonWait(msgspec.Struct, frozen=True, kw_only=True):
    """A wait with an owner that only Python's objects show."""

    node: Node
    owner: Key
    source: str
    held_source: str
    phrase: str
    names_owner: bool  # the phrase already says who it is
    conditions: tuple[Condition, ...]


def gil_wait(world: World, key: Key, call: SystemCall) -> GilWait | Gap | None:
    """Recognise a wait for the GIL; None if it is another wait, a Gap if its holder is unknown.

    CPython waits for the GIL on a condition variable inside the exported object ``_PyRuntime``, 5
    ms at a time (``take_gil`` in ``ceval_gil.c``), so such a wait has a time limit that ends
    nothing. No other timed wait of the interpreter is on a word inside that object.
    """
    thread = world.threads[key]
    earlier = world.threads_before[key]
    python = world.after[key[0]].python
    if not isinstance(python, Known) or not isinstance(thread.timeout, Known):
        return None
    if not isinstance(thread.timeout.value, TimeLimit):
        return None
    address = call.arguments[0]
    if not python.value.may_be_gil(address):
        return None
    name = world.name(key)
    was = earlier.activity.value if isinstance(earlier.activity, Known) else None
    if not isinstance(was, SystemCall) or was.name != "futex" or was.arguments[0] != address:
        return Gap(kind="does-not-hold", subject=name, detail="has only begun to wait for the GIL")
    if key[0] not in world.gil_holders:
        world.gil_holders[key[0]] = _gil_holder(world, key[0])
    holder = world.gil_holders[key[0]]
    if isinstance(holder, Gap):
        return holder
    if holder[0] == key:
        return Gap(kind="unknown", subject=name, detail="holds the GIL and waits for it at once")
    return GilWait(
        node=Node(id=f"gil-{key[0]}", kind="gil", label="the GIL"),
        holder=holder[0],
        held_source=holder[1],
        conditions=(
            Condition(
                name="waits-for-gil",
                subject=thread_id(key),
                detail=f"its 5 ms waits are on {address:#x}, inside _PyRuntime, in both snapshots",
                source=python.source,
            ),
            _by_thread_state(world, key),
            not_cancelled(world, key),
        ),
    )


def _gil_holder(world: World, pid: int) -> tuple[Key, str] | Gap:
    subject = f"process {pid}"
    old_calls = world.after[pid].old_gil_calls
    # PyEval_AcquireLock takes the GIL and leaves the current thread as it was.
    if not isinstance(old_calls, Known):
        detail = f"who holds the GIL: {old_calls.reason}"
        return Gap(kind="unknown", subject=subject, detail=detail)
    if old_calls.value:
        detail = f"who holds the GIL: {old_calls.value[0]} names PyEval_AcquireLock"
        return Gap(kind="unknown", subject=subject, detail=detail)
    fact = world.stacks.get(pid)
    if not isinstance(fact, Known):
        reason = fact.reason if fact is not None else "no stacks were read"
        return Gap(kind="unknown", subject=subject, detail=f"who holds the GIL: {reason}")
    stacks = fact.value
    if not between_snapshots(world, stacks):
        return Gap(
            kind="unknown",
            subject=subject,
            detail="who held the GIL between the snapshots: the stacks are from another moment",
        )
    holders = [
        (pid, thread.tid)
        for thread in stacks.threads
        if isinstance(thread.holds_gil, Known) and thread.holds_gil.value
    ]
    if len(holders) != 1 or holders[0] not in world.threads:
        return Gap(
            kind="unknown",
            subject=subject,
            detail=f"who holds the GIL: {stacks.tool} names {len(holders)} threads",
        )
    return holders[0], f"{stacks.tool}: has the GIL"


def _by_thread_state(world: World, key: Key) -> Condition:
    old_calls = world.after[key[0]].old_gil_calls
    assert isinstance(old_calls, Known)  # otherwise the holder is unknown
    return Condition(
        name="gil-by-thread-state",
        subject=thread_id(key),
        detail="its holder is the current thread, and no library names PyEval_AcquireLock, which "
        "would take the GIL for nobody",
        source=old_calls.source,
    )


def stacks_of(world: World, key: Key) -> ThreadStack | None:
    """Return a thread's stacks, if they are from between the snapshots."""
    stack = world.stack_by_thread.get(key)
    if stack is None:
        return None
    fact = world.stacks[key[0]]
    if not isinstance(fact, Known) or not between_snapshots(world, fact.value):
        return None
    return stack


def may_be_main(world: World, key: Key) -> bool:
    """Return whether a thread may be Python's main one, the only one that runs Python handlers.

    That is the thread that initialised the interpreter, or forked: not always the process's main
    thread, even if that one runs Python. But it is never one that ``threading`` started, with
    ``Thread._bootstrap`` as its outermost line: then the interpreter was there already. A fork
    makes the calling thread the process's main one.
    """
    stack, fact = stacks_of(world, key), world.stacks.get(key[0])
    if key[0] == key[1] or stack is None or not stack.python or not isinstance(fact, Known):
        return True
    outermost = stack.python[0]
    return outermost.function != "_bootstrap" or outermost.file not in _own_threading(fact.value)


def _own_threading(stacks: ProcessStacks) -> set[str]:
    """Return the standard library's own ``threading.py``: others have that name, too."""
    standard = stacks.standard_library
    folders = standard.value if isinstance(standard, Known) else ()
    return {f"{folder}/threading.py" for folder in folders}


def python_wait(world: World, key: Key) -> PythonWait | None:
    """Recognise ``Thread.join`` and the import lock of a module, if their owner can be found out.

    The innermost Python line alone does not show it: a profiler, a destructor or a debugger may
    hold the thread up in it. So the memory must show that the futex is that of the line's own lock.
    """
    stack, fact = stacks_of(world, key), world.stacks.get(key[0])
    if stack is None or not stack.python or not isinstance(fact, Known):
        return None
    own = stack.waits_on_lock_of_line
    if not isinstance(own, Known) or not own.value:
        return None
    condition = Condition(
        name="lock-of-that-line",
        subject=thread_id(key),
        detail=f"the futex is that of the lock which {stack.python[-1].function} waits for",
        source=own.source,
    )
    return _thread_join(world, key, stack, fact.value, condition) or _module_lock(
        world, key, stack, condition
    )


def _thread_join(
    world: World, key: Key, stack: ThreadStack, stacks: ProcessStacks, condition: Condition
) -> PythonWait | None:
    """Recognise ``Thread.join``, which only the end of that thread releases.

    3.8 to 3.12 wait in ``_wait_for_tstate_lock``, later ones in ``join`` itself. An ident shows who
    is joined, or the same ``self`` in that thread's ``_bootstrap_inner``. At the end of the program
    ``_shutdown`` waits for the same; only an ident or a lock shows for whom.
    """
    frame = stack.python[-1]
    if frame.function not in ("join", "_wait_for_tstate_lock", "_shutdown"):
        return None
    own_files = _own_threading(stacks)
    at_end = frame.function == "_shutdown"
    awaited = stack.awaits.value if isinstance(stack.awaits, Known) else None
    target = f"{awaited.address:#x}" if at_end and awaited is not None else _address(frame)
    if frame.file not in own_files or not target:
        return None
    found = _by_ident(world, key, stack, target)
    if found is None and not at_end:
        found = _by_object(world, key, own_files, target)
    if found is None:
        return None
    other, held_source = found
    return PythonWait(
        node=Node(
            id=f"join-{other[0]}-{other[1]}",
            kind="python-lock",
            label=f"end of {world.name(other)}",
        ),
        owner=other,
        source=f"{stacks.tool}: {frame.function}, {'thread' if at_end else 'self'} at {target}",
        held_source=held_source,
        phrase=f"{_AT_END if at_end else 'joins'} {world.name(other)}",
        names_owner=True,
        conditions=(condition,),
    )


def _by_ident(world: World, key: Key, stack: ThreadStack, target: str) -> tuple[Key, str] | None:
    """Find the thread that the join's lock or event names by its ident, even the main thread."""
    awaited = stack.awaits.value if isinstance(stack.awaits, Known) else None
    if awaited is None or awaited.kind != "Thread" or not isinstance(awaited.owner, Known):
        return None
    other = key[0], awaited.owner.value
    if awaited.address != int(target, 16) or other == key or other not in world.live(key[0]):
        return None
    return other, awaited.owner.source


def _by_object(world: World, key: Key, own_files: set[str], target: str) -> tuple[Key, str] | None:
    """Find the one thread that was started by the object that is joined."""
    if key[0] not in world.begun_by_objects:
        world.begun_by_objects[key[0]] = _begun_by_objects(world, key[0], own_files)
    by_object, of_none = world.begun_by_objects[key[0]]
    joined = [other for other in by_object.get(target, []) if other != key]
    # A thread on its way out has left its frame. If it was this one, and the object is used for a
    # second thread, then both have the same object, and the end of this one counts.
    if len(joined) != 1 or of_none - {key}:
        return None
    return joined[0], f"{_tool(world, key)}: _bootstrap_inner, self at {target}"


def _begun_by_objects(world: World, pid: int, own_files: set[str]) -> BegunByObjects:
    by_object: dict[str, list[Key]] = {}
    of_none: set[Key] = set()
    for key, stack in _stacks_of_process(world, pid):
        selves = {
            _address(frame)
            for frame in stack.python
            if frame.file in own_files and frame.function == "_bootstrap_inner"
        }
        for address in selves:
            by_object.setdefault(address, []).append(key)
        if not selves and key[1] != key[0]:
            of_none.add(key)
    return by_object, frozenset(of_none)


def _module_lock(
    world: World, key: Key, stack: ThreadStack, condition: Condition
) -> PythonWait | None:
    """Recognise an import lock, held by the thread that is inside that module's import."""
    module = waited_module(stack)
    if not module:
        return None
    if key[0] not in world.importing:
        world.importing[key[0]] = _importing(world, key[0])
    holders = [other for other in world.importing[key[0]].get(module, []) if other != key]
    if len(holders) != 1:
        return None
    tool = _tool(world, key)
    return PythonWait(
        node=Node(
            id=f"module-{key[0]}-{module}",
            kind="python-lock",
            label=f"import lock of module {module!r}",
        ),
        owner=holders[0],
        source=f"{tool}: _ModuleLock.acquire for {module!r}",
        held_source=f"{tool}: _find_and_load_unlocked for {module!r}",
        phrase=f"waits for the import lock of module {module!r}",
        names_owner=False,
        conditions=(condition,),
    )


def _importing(world: World, pid: int) -> dict[str, list[Key]]:
    """Return who is inside the import of each module."""
    found: dict[str, list[Key]] = {}
    for key, stack in _stacks_of_process(world, pid):
        for module in dict.fromkeys(modules_held(stack)):
            found.setdefault(module, []).append(key)
    return found


def waited_module(stack: ThreadStack) -> str:
    """Return the module whose import lock the innermost frames wait for, or an empty text."""
    frames = stack.python
    if not frames or (frames[-1].file, frames[-1].function) != (IMPORTLIB, "acquire"):
        return ""
    for frame in reversed(frames[:-1]):
        if frame.file != IMPORTLIB:
            return ""
        if frame.function in ("_find_and_load", "_lock_unlock_module"):
            return frame.values.get("name", "").strip("'\"")
    return ""


def modules_held(stack: ThreadStack) -> tuple[str, ...]:
    """Return the modules that this thread is importing, outermost first: it holds their locks."""
    return tuple(
        outer.values.get("name", "").strip("'\"")
        for outer, inner in zip(stack.python, stack.python[1:], strict=False)
        if outer.file == inner.file == IMPORTLIB
        and outer.function == "_find_and_load"
        and inner.function == "_find_and_load_unlocked"
    )


def describe(world: World, key: Key) -> str:
    """Say what the innermost Python line waits in: ``waits in acquire (m.py:3)``."""
    stack = world.stack_by_thread.get(key)
    if stack is None or not stack.python:
        return ""
    module = waited_module(stack)
    if module:
        return f"waits for the import lock of module {module!r}"
    frame = stack.python[-1]
    return f"waits in {frame.function} ({frame.file.rpartition('/')[2]}:{frame.line})"


def _stacks_of_process(world: World, pid: int) -> Iterator[tuple[Key, ThreadStack]]:
    for key, stack in world.stack_by_thread.items():
        if key[0] == pid and key in world.threads:
            yield key, stack


def _tool(world: World, key: Key) -> str:
    fact = world.stacks[key[0]]
    assert isinstance(fact, Known)
    return fact.value.tool


def _address(frame: PythonFrame) -> str:
    match = _ADDRESS.search(frame.values.get("self", ""))
    return match.group(1) if match else ""
