"""From evidence to a judgement: the proof as data, or what is missing for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.stack_facts import HeldLock
from deadlock_matrix.model.verdict import Doing, Gap, HeldBy, Judgement, Proof
from deadlock_matrix.proof.activity import activity_of
from deadlock_matrix.proof.awaited import awaited_by, awaited_object
from deadlock_matrix.proof.closure import Readings, Stuck, find_stuck, reachable, read_all
from deadlock_matrix.proof.leads import lead_of
from deadlock_matrix.proof.python_locks import (
    held_locks,
    holder_of,
    inside_of,
    left_behind,
    lock_of,
)
from deadlock_matrix.proof.sentence import phrase_of, who_goes_on
from deadlock_matrix.proof.shared_words import holder_of_semaphore
from deadlock_matrix.proof.task_closure import stuck_tasks, task_doings, write_task_proof
from deadlock_matrix.proof.tasks import Tasks, index_tasks
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.world import Key, World, index
from deadlock_matrix.proof.writing import write_proof

MOST_GAPS = 20

MOST_TRIED = 20
"""How many assumptions are tested for being needed; each takes one pass."""


def judge(evidence: Evidence) -> Judgement:
    """Decide whether the evidence proves a deadlock, or makes one likely.

    What facts alone prove comes first. A whole process stuck by facts is a ``deadlock``; anything
    less is ``partial``, the main thread's own first. Only then are assumptions allowed.

    Returns:
        The judgement; ``not-proved`` with what stands in the way, the main thread's reasons first.
    """
    world = index(evidence)
    if world.root not in world.after:
        gap = Gap(kind="does-not-hold", subject=f"process {world.root}", detail="has ended")
        return Judgement(outcome="not-proved", proof=None, gaps=(gap,))
    readings = read_all(world)
    facts = find_stuck(readings)
    tasks = index_tasks(world)
    if _is_whole(world, facts):
        proof = write_proof(world, facts, world.roots(), whole=True)
        return Judgement(
            outcome="deadlock",
            proof=proof,
            gaps=(),
            threads=tuple(_doings(world, facts, facts, tasks)),
            tasks=task_doings(tasks, facts, facts, {}),
        )
    everything = readings.assumptions()
    likely = find_stuck(readings, everything) if everything else facts
    judgement = _less(world, readings, facts, likely, tasks)
    # Threads come before tasks: what is said about them rests on less.
    of_tasks = stuck_tasks(tasks) if judgement.proof is None else {}
    if of_tasks:
        proof = write_task_proof(tasks, of_tasks)
        judgement = msgspec.structs.replace(judgement, outcome="likely-partial", proof=proof)
    return msgspec.structs.replace(judgement, tasks=task_doings(tasks, facts, likely, of_tasks))


def _less(world: World, readings: Readings, facts: Stuck, likely: Stuck, tasks: Tasks) -> Judgement:
    """Judge what is less than a proof that the whole process is stuck."""
    threads = tuple(_doings(world, facts, likely, tasks))
    whole = None
    if _is_whole(world, likely):
        whole = _fewest(world, readings, likely, world.roots(), whole=True)
    gaps = () if whole is not None else tuple(_gaps(world, likely, world.roots()))[:MOST_GAPS]
    if facts.waits:
        proof = write_proof(world, facts, _first(world, facts), whole=False)
        proof = _telling_others(world, likely, proof)
        return Judgement(outcome="partial", proof=proof, gaps=gaps, threads=threads, likely=whole)
    if whole is not None:
        return Judgement(outcome="likely", proof=whole, gaps=(), threads=threads)
    if likely.waits:
        proof = _fewest(world, readings, likely, _first(world, likely), whole=False)
        proof = _telling_others(world, likely, proof)
        return Judgement(outcome="likely-partial", proof=proof, gaps=gaps, threads=threads)
    return Judgement(outcome="not-proved", proof=None, gaps=gaps, threads=threads)


def _telling_others(world: World, stuck: Stuck, proof: Proof) -> Proof:
    return msgspec.structs.replace(proof, sentence=proof.sentence + who_goes_on(world, stuck))


def _is_whole(world: World, stuck: Stuck) -> bool:
    """Return whether no thread of the root process can go on, and no other may have begun."""
    live = world.live(world.root)
    complete = "threads-complete" in stuck.readings.conditions[world.root].hold
    return bool(live) and complete and live <= stuck.waits.keys()


def _first(world: World, stuck: Stuck) -> list[Key]:
    """Choose whose deadlock to report: the main thread's, or the smallest; others are separate."""
    roots = sorted(world.roots())
    if roots and all(root in stuck.waits for root in roots):
        return roots
    return [min(stuck.waits, key=lambda key: (len(reachable(stuck, [key])), key))]


def _fewest(
    world: World, readings: Readings, stuck: Stuck, roots: Iterable[Key], *, whole: bool
) -> Proof:
    """Return a proof that would be lost if any of its assumptions were taken away."""
    roots = sorted(roots)
    proof = write_proof(world, stuck, roots, whole=whole)
    needed = list(proof.assumptions)
    for assumption in proof.assumptions[:MOST_TRIED]:
        without = [each for each in needed if each != assumption]
        fewer = find_stuck(readings, frozenset(without))
        if _is_whole(world, fewer) if whole else all(root in fewer.waits for root in roots):
            needed = without
            stuck = fewer
    if len(needed) == len(proof.assumptions):
        return proof
    return write_proof(world, stuck, roots, whole=whole)


def _doings(world: World, facts: Stuck, likely: Stuck, tasks: Tasks) -> Iterable[Doing]:
    # Ids are reused, so the main thread need not have the lowest.
    for key in sorted(
        world.everyone, key=lambda key: (key[0] != world.root, key[0], key[0] != key[1], key)
    ):
        wait = facts.waits.get(key) or likely.waits.get(key) or likely.free.get(key)
        if wait is None:
            read = likely.readings.waits[key]
            wait = read if isinstance(read, Wait) else None
        does = phrase_of(world, wait) if wait is not None else activity_of(world, key)
        held_by = _held_by(world, key, wait)
        if held_by is None and (held_by := _held_by_task(world, key, tasks)) is not None:
            does += f", held by {held_by.name} ({held_by.how})"
        yield Doing(
            pid=key[0],
            tid=key[1],
            name=world.name(key),
            does=does,
            stuck=key in facts.waits,
            likely=key in likely.waits and key not in facts.waits,
            waits_for=awaited_by(world, key, wait),
            holds=held_locks(world, key),
            held_by=held_by,
            lead="" if key in facts.waits else lead_of(world, key),
        )


def _held_by(world: World, key: Key, wait: Wait | None) -> HeldBy | None:
    lock = lock_of(world, key)
    holder = None
    if lock is not None:
        holder = holder_of(world, key, lock) or left_behind(world, key, lock)
    if holder is not None:
        thread, how = holder.thread, holder.inside or holder.source
    elif (shared := _holder_of_awaited(world, key)) is not None:
        thread, block = shared
        how = inside_of(block)
    else:
        # Others may be able to end the wait, too; that matters only for the proof.
        readings = () if wait is None else (wait, *wait.assuming)
        # Knowing an object is not having it.
        owned = next(
            (each for each in readings if each.scope == "thread" and each.node.kind != "object"),
            None,
        )
        if owned is None:
            return None
        (thread,), how = owned.wakers, owned.held_source
    return HeldBy(pid=thread[0], tid=thread[1], name=world.name(thread), how=how)


def _holder_of_awaited(world: World, key: Key) -> tuple[Key, HeldLock] | None:
    """Return who is inside the block of the lock between processes that a thread waits for."""
    awaited = awaited_object(world, key)
    return holder_of_semaphore(world, awaited.semaphore) if awaited is not None else None


def _held_by_task(world: World, key: Key, tasks: Tasks) -> HeldBy | None:
    """Return the one task that is suspended inside a ``with`` block of the lock waited for."""
    lock = lock_of(world, key)
    holders = tasks.holders.get((key[0], lock.address), ()) if lock is not None else ()
    if len(holders) != 1:
        return None
    (holder,) = holders
    tid = tasks.loops[holder.key].tid
    return HeldBy(pid=key[0], tid=tid, name=tasks.name(holder.key), how=holder.how)


def describe_gap(gap: Gap, about: str) -> str:
    """Put a gap into words; its subject is left out if it is ``about``."""
    subject = "" if gap.subject == about else f"{gap.subject} "
    if gap.kind == "does-not-hold":
        return f"{subject}{gap.detail}"
    return f"not known{' of ' + subject.strip() if subject else ''}: {gap.detail}"


def _gaps(world: World, stuck: Stuck, roots: Iterable[Key]) -> Iterator[Gap]:
    """Say why the roots are not stuck: follow their waits to those who can move."""
    waiting = deque(sorted(roots))
    seen = set(waiting)
    told: set[Gap] = set()
    asked: set[int] = set()
    while waiting:
        key = waiting.popleft()
        for gap in stuck.gaps.get(key, ()):
            if gap not in told:
                told.add(gap)
                yield gap
        wakers = stuck.free[key].wakers if key in stuck.free else frozenset()
        if id(wakers) not in asked:
            asked.add(id(wakers))
            new = sorted(wakers - seen)
            seen.update(new)
            waiting.extend(new)
