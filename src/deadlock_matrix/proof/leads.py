"""What suggests a wait that never ends, where nothing is proved: for people alone."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import POOL_RESULTS, Awaited
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.proof.awaited import awaited_object
from deadlock_matrix.proof.interpreter import stacks_of
from deadlock_matrix.proof.python_locks import left_behind, lock_of
from deadlock_matrix.proof.world import GONE, Key, World


def lead_of(world: World, key: Key) -> str:
    """Return the first lead found, as a clause; empty if there is none."""
    return next(_leads(world, key), "")


def _leads(world: World, key: Key) -> Iterator[str]:
    awaited = awaited_object(world, key)
    if awaited is not None:
        if awaited.detail.endswith("has ended"):
            yield awaited.detail
        yield from _taken_by_nobody(world, key, awaited)
        yield from _lost_by_a_worker(world, key, awaited)
        if isinstance(awaited.owner, Known) and not awaited.owner.value:
            yield "the thread that holds it has ended, or was left behind by a fork"
    lock = lock_of(world, key)
    if lock is not None and left_behind(world, key, lock) is not None:
        yield "the fork did not copy the thread that holds it"
    yield from _waits_in_turn(world, key)


def _taken_by_nobody(world: World, key: Key, awaited: Awaited) -> Iterator[str]:
    """Yield that its request is in a queue from which only a thread of the parent takes."""
    for queue in awaited.filled:
        if any(_takes(world, other, queue.address) for other in world.live(key[0])):
            continue
        above = world.after.get(world.after[key[0]].parent)
        while above is not None:
            for other in sorted(world.live(above.pid)):
                if _takes(world, other, queue.address):
                    items = "1 item" if queue.items == 1 else f"{queue.items} items"
                    yield (
                        f"its {queue.kind} {queue.name} holds {items}, and what takes from it is "
                        f"{world.name(other)}, which the fork did not copy"
                    )
                    return
            above = world.after.get(above.parent)


def _lost_by_a_worker(world: World, key: Key, awaited: Awaited) -> Iterator[str]:
    """Yield that no worker of a pool is at work, with all tasks handed out and all results in."""
    if awaited.kind not in POOL_RESULTS:
        return
    own = world.live(key[0])
    done = [
        any(_in_pool(world, other, function) for other in own)
        for function in ("_handle_tasks", "_handle_results")  # the latter calls back for the user
    ]
    workers = [
        _in_pool(world, other, "worker")
        for other in world.everyone
        if world.after[other[0]].parent == key[0] and world.threads[other].state not in GONE
    ]
    workers = [idle for idle in workers if idle is not None]
    if all(done) and workers and all(workers):
        yield (
            "all workers of the pool are idle, and none has its task: a worker that has ended may "
            "have taken it with it"
        )


def _in_pool(world: World, key: Key, function: str) -> bool | None:
    """Return whether a thread in this pool function waits for work; None if none is in it."""
    stack = stacks_of(world, key)
    frames = stack.python if stack is not None else ()
    at = [n for n, frame in enumerate(frames) if _of_pool(frame) and frame.function == function]
    if not at:
        return None
    inner = frames[at[-1] + 1 :]
    return world.threads[key].state == "S" and (not inner or inner[0].function in ("get", "recv"))


def _of_pool(frame: PythonFrame) -> bool:
    return frame.file.replace("\\", "/").endswith("/multiprocessing/pool.py")


def _takes(world: World, key: Key, queue: int) -> bool:
    awaited = awaited_object(world, key)
    return awaited is not None and (awaited.action, awaited.address) == ("get", queue)


def _waits_in_turn(world: World, key: Key) -> Iterator[str]:
    """Yield that both ends of a pair of sockets wait to read."""
    own = _read_socket(world, key)
    if not own:
        return
    if not world.socket_readers:
        for other in sorted(world.everyone):
            ends = _read_socket(world, other) if world.threads[other].state not in GONE else None
            if ends:
                world.socket_readers.setdefault(ends, []).append(other)
    for other in world.socket_readers.get((own[1], own[0]), ()):
        if other != key:
            yield f"{world.name(other)}, at the other end, is waiting to read too"
            return


def _read_socket(world: World, key: Key) -> tuple[str, str] | None:
    """Return the socket that a thread reads from, and its other end; for TCP, as addresses."""
    activity = world.threads[key].activity
    if not isinstance(activity, Known) or not isinstance(activity.value, SystemCall):
        return None
    call = activity.value
    if blocking(call.name).waits_for is not WaitsFor.READ or key[0] not in world.targets:
        return None
    target = world.targets[key[0]].get(call.arguments[0], "")
    peer = world.peers.get(key[0], {}).get(target)
    if peer is None:
        return None
    return (target if peer.protocol == "UNIX" else peer.own), peer.other
