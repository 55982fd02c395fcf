"""What a hang shows that decides which remedies make sense: what it waits for, what it has loaded.

A remedy is tried only if something suggests it. For a variable that means that its name is in code
that has to do with the hang; for a way of calling, that the hang comes from that way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

import msgspec

from deadlock_matrix.diagnosis.frames import package_of
from deadlock_matrix.diagnosis.imports import is_importlib
from deadlock_matrix.diagnosis.involved import involved_libraries
from deadlock_matrix.diagnosis.stuck import heaviest
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.diagnosis import Sample
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.stack_facts import ThreadStack
from deadlock_matrix.model.system_calls import WaitsFor, blocking


class Wait(StrEnum):
    """What stuck threads wait for."""

    PYTHON_LOCK = "a lock of Python's"
    IMPORT = "the end of an import"
    JOIN = "the end of a thread"
    NATIVE = "something inside a native library"
    GIL = "the GIL"
    CHILD = "a child process"
    NETWORK = "the network"
    FILE = "a file or pipe"


_TOLD = {Wait.NETWORK: "the network", Wait.FILE: "data from", Wait.CHILD: "a child process"}
"""How the detail of a sample begins."""

_OF_IMPORTS = ("acquire", "_lock_unlock_module", "_get_module_lock", "cb")
"""Functions of importlib in which a thread waits for an import lock, or for the lock of those."""


_LOOK_UP = "getaddrinfo"
"""The function in which Python's own code waits for a name server."""


class Clues(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a hang when remedies are chosen.

    ``pools`` are the files of all loaded thread pools, if one of them is involved; ``involved``
    those of the libraries in which threads wait. ``packages`` are the top-level packages on the
    stuck stacks; ``files`` are the Python files there.
    """

    proved: bool
    waits: frozenset[Wait]
    forked: bool
    forked_by_multiprocessing: bool
    calling: Calling
    involved: tuple[str, ...]
    pools: tuple[str, ...]
    packages: frozenset[str]
    files: tuple[str, ...]
    causes: frozenset[str]


def clues_of(
    result: CellResult,
    causes: frozenset[str],
    is_pool: Callable[[str], bool],
    samples: Sequence[Sample] = (),
) -> Clues:
    """Read them off a run that hung.

    Args:
        result: The run.
        causes: The names of the known causes that were recognised.
        is_pool: Whether a library computes with threads of its own, by its path.
        samples: Where it was before, in case nobody could look in the end.
    """
    evidence = result.evidence
    judgement = result.judgement
    doings = judgement.threads if judgement is not None else ()
    stuck = {(each.pid, each.tid) for each in doings if each.stuck or each.likely}
    stacks = evidence.python() if evidence is not None else {}
    if not stuck:
        stuck = {key for key in stacks if key[0] == key[1]}
        # What a main thread waits for may be a thread that waits for its import.
        stuck |= {key for key, stack in stacks.items() if _wait_of(stack) is Wait.IMPORT}
    concerned = [stack for key, stack in stacks.items() if key in stuck]
    by_thread = {
        key: _wait_of(stack) for key, stack in stacks.items() if key in stuck and stack.python
    }
    calls = dict(_calls(evidence, stuck))
    waits = {each for each in by_thread.values() if each is not None} | set(calls.values())
    # If each of them waits for something of Python's, or outside, no library is involved.
    native = not by_thread or any(w is None and k not in calls for k, w in by_thread.items())
    involved = involved_libraries(result) if native else ()
    if judgement is not None and judgement.proof is not None:
        kinds = {node.kind for node in judgement.proof.nodes}
        waits |= {Wait.GIL} if "gil" in kinds else set()
        waits |= {Wait.CHILD} if "child" in kinds else set()
        labels = {node.label for node in judgement.proof.nodes if node.kind in ("pipe", "polled")}
        # An event loop that waits for its own self-pipe waits for no file.
        waits |= {Wait.FILE} if any("pipe:" in label for label in labels) else set()
    if involved:
        waits.add(Wait.NATIVE)
    frames = [frame for stack in concerned for frame in stack.python]
    if not frames and (place := heaviest(samples)) is not None:
        frames = list(place.frames)
        waits |= {wait for wait, words in _TOLD.items() if place.detail.startswith(words)}
    mapped = evidence.after.libraries() if evidence is not None else ()
    pools = tuple(filter(is_pool, mapped)) if any(map(is_pool, involved)) else ()
    calling = result.cell.context.calling
    return Clues(
        proved=judgement is not None and judgement.outcome == "deadlock",
        waits=frozenset(waits),
        forked=calling in (Calling.FORK, Calling.FORK_AGAIN) or len({pid for pid, _ in stuck}) > 1,
        forked_by_multiprocessing=any(
            frame.file.replace("\\", "/").endswith("multiprocessing/popen_fork.py")
            for frame in frames
        ),
        calling=calling,
        involved=involved,
        pools=pools,
        packages=frozenset(filter(None, map(package_of, frames))),
        files=tuple(
            dict.fromkeys(frame.file for frame in frames if not frame.file.startswith("<"))
        ),
        causes=causes,
    )


def looks_up_a_name(result: CellResult) -> bool:
    """Return whether a main thread waits for a name server."""
    evidence = result.evidence
    stacks = evidence.python() if evidence is not None else {}
    return any(
        stack.python[-1].function == _LOOK_UP
        for (pid, tid), stack in stacks.items()
        if pid == tid and stack.python
    )


def loaded_libraries(result: CellResult) -> tuple[str, ...]:
    """Return the libraries that a run loaded, whether it ended or hung."""
    facts = result.probe
    ended = facts.native_libraries.or_else(()) if facts is not None else ()
    evidence = result.evidence
    return (*ended, *(evidence.after.libraries() if evidence is not None else ()))


def _wait_of(stack: ThreadStack) -> Wait | None:
    """Return what a thread waits for, if that is something of Python's."""
    inner = stack.python[-3:]
    if any(frame.function in _OF_IMPORTS and is_importlib(frame) for frame in inner):
        return Wait.IMPORT
    if any(
        frame.function in ("join", "_wait_for_tstate_lock", "_join")
        and base_name(frame.file) == "threading.py"
        for frame in inner
    ):
        return Wait.JOIN
    if any(frame.function == _LOOK_UP and base_name(frame.file) == "socket.py" for frame in inner):
        return Wait.NETWORK
    if isinstance(stack.waits_for, Known) or (stack.waits_on_lock_of_line.or_else(False)):
        return Wait.PYTHON_LOCK
    return None


def _calls(
    evidence: Evidence | None, stuck: set[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], Wait]]:
    """Yield what threads wait for according to their system calls, by process and thread."""
    for process in evidence.after.processes if evidence is not None else ():
        files = {each.number: each.target for each in process.descriptors.or_else(())}
        peers = process.peers.or_else(())
        for thread in process.threads:
            key, call = (process.pid, thread.tid), thread.call
            if key not in stuck or call is None:
                continue
            target = files.get(call.arguments[0], "")
            on_network = any(peer.protocol == "TCP" for peer in peers)
            row = blocking(call.name)
            if row.of_sockets or (row.polls and on_network):
                yield key, Wait.NETWORK
            elif row.waits_for in (WaitsFor.READ, WaitsFor.FILE):
                socket = target.startswith("socket:")
                yield key, Wait.NETWORK if socket and on_network else Wait.FILE
            elif row.waits_for is WaitsFor.CHILD:
                yield key, Wait.CHILD
