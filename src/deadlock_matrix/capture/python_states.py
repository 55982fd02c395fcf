"""The state of what a thread waits for, in a few words: "holds 3 of 3", "1 of 2 parties are there".

Only numbers and the states of futures: no item, no argument, no user's data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_strings import read_string
from deadlock_matrix.capture.python_values import text_of_value

_SIZED = ("deque", "collections.deque", "list")
_FUTURE_STATES = ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")


def state_of(objects: LockObjects, kind: str, action: str, attributes: Mapping[str, int]) -> str:
    """Say what is worth knowing about an object, by its attributes; empty if nothing is known.

    Args:
        objects: The process's objects.
        kind: Its class.
        action: The function that waits.
        attributes: Addresses by name.

    Raises:
        Unreadable: The memory cannot be read.
    """
    tell = _STATES.get(kind)
    return tell(objects, action, attributes) if tell is not None else ""


def _number(objects: LockObjects, attributes: Mapping[str, int], name: str) -> str:
    address = attributes.get(name)
    if not address:
        raise Unreadable(f"no {name}")
    memory, python = objects.memory, objects.python
    if objects.type(address) not in ("int", "bool"):
        raise Unreadable(f"{name} is no number")
    return text_of_value(memory, python.layout, address, python.version >= (3, 12))


def _queue(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    if action == "join":
        return f"{_number(objects, attributes, 'unfinished_tasks')} not done"
    items = attributes.get("queue", 0)
    if not items or objects.type(items) not in _SIZED:
        return ""
    size = objects.memory.number(items + objects.python.layout.header)
    most = _number(objects, attributes, "maxsize")
    return f"holds {size} of {most}" if most != "0" else "empty" if not size else f"holds {size}"


def _semaphore(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    return f"value {_number(objects, attributes, '_value')}"


def _barrier(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    there = _number(objects, attributes, "_count")
    parties = _number(objects, attributes, "_parties")
    return f"{there} of {parties} parties there"


def _event(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    return "not set" if _number(objects, attributes, "_flag") == "False" else ""


def _future(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    address = attributes.get("_state", 0)
    text = read_string(objects.memory, objects.python.layout, address, 40) if address else ""
    return text.lower() if text in _FUTURE_STATES else ""


def _thread(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    address = attributes.get("_name", 0)
    return read_string(objects.memory, objects.python.layout, address, 80) if address else ""


def _popen(objects: LockObjects, action: str, attributes: Mapping[str, int]) -> str:
    return f"process {_number(objects, attributes, 'pid')}"


_STATES: Mapping[str, Callable[[LockObjects, str, Mapping[str, int]], str]] = {
    "Queue": _queue,
    "LifoQueue": _queue,
    "PriorityQueue": _queue,
    "Semaphore": _semaphore,
    "BoundedSemaphore": _semaphore,
    "Barrier": _barrier,
    "Event": _event,
    "Future": _future,
    "Thread": _thread,
    "Process": _thread,
    "Popen": _popen,
}
