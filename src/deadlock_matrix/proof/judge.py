"""From evidence to a judgement: the proof as data, or what is missing for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Doing, Gap, HeldBy, Judgement, Proof
from deadlock_matrix.proof.activity import activity_of
from deadlock_matrix.proof.closure import Readings, Stuck, find_stuck, reachable, read_all
from deadlock_matrix.proof.python_locks import held_locks, holder_of, lock_of
from deadlock_matrix.proof.sentence import phrase_of, who_goes_on
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.world import Key, World, index
from deadlock_matrix.proof.writing import write_proof

MOST_GAPS = 20

MOST_TRIED = 20
"""Of how many assumptions it is asked whether they are needed; each takes one pass."""


def judge(evidence: Evidence) -> Judgement:
    """Decide whether the evidence proves a deadlock, or makes one likely.

    What facts alone prove comes first. A whole process stuck by facts is a ``deadlock``; less than
    that is ``partial``, the main thread's own first. Only then are assumptions allowed.

    Returns:
        The judgement; ``not-proved`` with what stands in the way, the main thread's reasons first.
    """
    world = index(evidence)
    if world.root not in world.after:
        gap = Gap(kind="does-not-hold", subject=f"process {world.root}", detail="has ended")
        return Judgement(outcome="not-proved", proof=None, gaps=(gap,))
    readings = read_all(world)
    facts = find_stuck(readings)
    if _is_whole(world, facts):
        proof = write_proof(world, facts, world.roots(), whole=True)
        return Judgement(
            outcome="deadlock", proof=proof, gaps=(), threads=tuple(_doings(world, facts, facts))
        )
    everything = readings.assumptions()
    likely = find_stuck(readings, everything) if everything else facts
    threads = tuple(_doings(world, facts, likely))
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
    """Whether none of the root process's threads can go on, and no other may have begun."""
    live = world.live(world.root)
    complete = "threads-complete" in stuck.readings.conditions[world.root].hold
    return bool(live) and complete and live <= stuck.waits.keys()


def _first(world: World, stuck: Stuck) -> list[Key]:
    """Whose deadlock to tell: the main thread's, or the smallest; others are separate ones."""
    roots = sorted(world.roots())
    if roots and all(root in stuck.waits for root in roots):
        return roots
    return [min(stuck.waits, key=lambda key: (len(reachable(stuck, [key])), key))]


def _fewest(
    world: World, readings: Readings, stuck: Stuck, roots: Iterable[Key], *, whole: bool
) -> Proof:
    """A proof from which no assumption can be taken away without losing it."""
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


def _doings(world: World, facts: Stuck, likely: Stuck) -> Iterable[Doing]:
    # Ids are used again, so the main thread need not have the lowest.
    for key in sorted(
        world.everyone, key=lambda key: (key[0] != world.root, key[0], key[0] != key[1], key)
    ):
        wait = facts.waits.get(key) or likely.waits.get(key) or likely.free.get(key)
        if wait is None:
            read = likely.readings.waits[key]
            wait = read if isinstance(read, Wait) else None
        if wait is not None:
            does = phrase_of(world, wait)
        elif any(gap.kind == "unknown" for gap in likely.gaps[key]):
            does = activity_of(world, key)  # what is missing for a proof is told as a gap
        else:
            does = "; ".join(describe_gap(gap, world.name(key)) for gap in likely.gaps[key])
        yield Doing(
            pid=key[0],
            tid=key[1],
            name=world.name(key),
            does=does,
            stuck=key in facts.waits,
            likely=key in likely.waits and key not in facts.waits,
            waits_for=lock_of(world, key),
            holds=held_locks(world, key),
            held_by=_held_by(world, key, wait),
        )


def _held_by(world: World, key: Key, wait: Wait | None) -> HeldBy | None:
    lock = lock_of(world, key)
    holder = holder_of(world, key, lock) if lock is not None else None
    if holder is not None:
        thread, how = holder.thread, holder.inside or holder.source
    else:
        # Others may be able to end the wait, too; that is the proof's affair.
        readings = () if wait is None else (wait, *wait.assuming)
        owned = next((each for each in readings if each.scope == "thread"), None)
        if owned is None:
            return None
        (thread,), how = owned.wakers, owned.held_source
    return HeldBy(pid=thread[0], tid=thread[1], name=world.name(thread), how=how)


def describe_gap(gap: Gap, about: str) -> str:
    """A gap in words; its subject is left out where it is ``about``."""
    subject = "" if gap.subject == about else f"{gap.subject} "
    if gap.kind == "does-not-hold":
        return f"{subject}{gap.detail}"
    return f"not known{' of ' + subject.strip() if subject else ''}: {gap.detail}"


def could_be_stuck(evidence: Evidence, *, parts: bool = False) -> bool:
    """Whether stacks, once read, could make a proof of this evidence, or tell more of one.

    A wait for the GIL, a join or an import lock has its owner on the stacks alone. This is a quick
    look for the watchdog, so that it does not ask for stacks of a process that is at work. With
    ``parts`` it is also asked of threads beside a main thread that goes on.
    """
    world = index(evidence)
    if world.root not in world.after:
        return False
    readings = read_all(world)
    stuck = find_stuck(readings, readings.assumptions())
    roots = world.roots()
    if bool(roots) and all(_may_be_stuck(world, stuck, root) for root in roots):
        return True
    if stuck.waits:
        return True
    idle = sum(
        wait.scope == "process" and isinstance(world.after[key[0]].python, Known)
        for key, wait in stuck.free.items()
    )
    return parts and idle > 1


def _may_be_stuck(world: World, stuck: Stuck, root: Key) -> bool:
    def moves(key: Key) -> bool:
        return any(gap.kind == "does-not-hold" for gap in stuck.gaps.get(key, ()))

    wait = stuck.free.get(root)
    if wait is None:
        return not moves(root)
    stacks_may_tell_the_owner = wait.scope == "process" and isinstance(
        world.after[root[0]].python, Known
    )
    return stacks_may_tell_the_owner or not any(moves(waker) for waker in wait.wakers)


def _gaps(world: World, stuck: Stuck, roots: Iterable[Key]) -> Iterator[Gap]:
    """Why the roots are not stuck: follow whom they wait for to those who can move."""
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
