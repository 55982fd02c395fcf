"""What a thread waits for, in words and as data: for people, never for a proof."""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import Awaited, PythonLock
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.proof.interpreter import stacks_of
from deadlock_matrix.proof.python_locks import lock_of
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.words import base_name
from deadlock_matrix.proof.world import Key, World

_PHRASES = {
    ("Event", "wait"): "waits until {} is set",
    ("multiprocessing.Event", "wait"): "waits until {} is set",
    ("Condition", "wait"): "waits to be notified by {}",
    ("multiprocessing.Condition", "wait"): "waits to be notified by {}",
    ("Connection", "recv"): "waits for a message from {}",
    ("Connection", "send"): "waits to send through {}",
    ("Future", "result"): "waits for the result of {}",
    ("Future", "exception"): "waits for the end of {}",
    ("Process", "join"): "waits for the end of {}",
    ("Popen", "wait"): "waits for the end of {}",
}
_BY_ACTION = {
    "get": "waits for an item in {}",
    "put": "waits for room in {}",
    "join": "waits until everything in {} is done",
    "lock": "waits for the lock of {}",
}
_RESULTS = ("MapResult", "ApplyResult", "IMapIterator")


def awaited_object(world: World, key: Key) -> Awaited | None:
    """Return the Python object that a thread waits for, if it was read and is more than a lock."""
    stack = stacks_of(world, key)
    if stack is None or not isinstance(stack.awaits, Known):
        return None
    return stack.awaits.value


def awaited_by(world: World, key: Key, wait: Wait | None) -> Awaited | None:
    """Return what a thread waits for, whether an object of Python or something of the kernel."""
    found = awaited_object(world, key)
    if found is not None:
        return found
    lock = lock_of(world, key)
    if lock is not None:
        return _of_lock(lock)
    if wait is not None and wait.node.kind != "futex":
        kind = _KINDS.get(wait.node.kind, wait.node.kind)
        return Awaited(kind=kind, name=wait.node.label)
    return _of_call(world, key)


_KINDS = {"lock": "native lock", "end": "thread", "python-lock": "thread or import lock"}


def _of_lock(lock: PythonLock) -> Awaited:
    return Awaited(
        kind=lock.kind,
        action="acquire",
        address=lock.address,
        name=lock.name,
        of=lock.of,
        function=lock.function,
        file=lock.file,
        line=lock.line,
        owner=lock.owner,
    )


def _of_call(world: World, key: Key) -> Awaited | None:
    activity = world.threads[key].activity
    if not isinstance(activity, Known) or not isinstance(activity.value, SystemCall):
        return None
    call = activity.value
    if call.name == "futex":
        return Awaited(kind="futex", action="wait", address=call.arguments[0])
    return None


def phrase_of_object(awaited: Awaited) -> str:
    """Return ``waits for an item in Queue 0x7f.. (jobs, empty) in take (store.py:3)``."""
    place = f" in {awaited.function} ({base_name(awaited.file)}:{awaited.line})"
    if awaited.kind == "Thread":
        named = f"thread {awaited.detail!r}" if awaited.detail else label_of_object(awaited)
        if awaited.action == "_shutdown":
            return f"waits at the end of the program for {named}{place}"
        return f"joins {named}{place}"
    if awaited.kind in _RESULTS:
        return f"waits for the result of a pool, {label_of_object(awaited)}{place}"
    phrase = _PHRASES.get((awaited.kind, awaited.action)) or _BY_ACTION.get(
        awaited.action, "waits for {}"
    )
    return phrase.format(label_of_object(awaited)) + place


def label_of_object(awaited: Awaited) -> str:
    """Name the object, with its state: ``Queue 0x7f.. (self._jobs of Store, holds 3 of 3)``."""
    name = f"{awaited.name} of {awaited.of}" if awaited.name and awaited.of else awaited.name
    state = "" if awaited.kind in _RESULTS else awaited.detail  # mentioned as what keeps it waiting
    told = ", ".join(each for each in (name, state) if each)
    return f"{awaited.kind} {awaited.address:#x}" + (f" ({told})" if told else "")
