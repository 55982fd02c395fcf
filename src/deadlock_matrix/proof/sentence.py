"""A proof as a sentence, which a person reads first."""

from __future__ import annotations

from collections.abc import Sequence

from deadlock_matrix.model.verdict import Assumption, ProofKind
from deadlock_matrix.proof.closure import Stuck
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.words import enumeration
from deadlock_matrix.proof.world import Key, World

MOST_THREADS = 6
MOST_ASSUMED = 4
MOST_NAMED = 3


def put_into_words(
    world: World,
    stuck: Stuck,
    order: list[Key],
    kind: ProofKind,
    assumptions: Sequence[Assumption] = (),
) -> str:
    """Say who waits for whom, starting at the first thread of ``order``, and what is assumed."""
    told = _chain(world, stuck, order) if kind is ProofKind.OWNER else _closed(world, stuck, order)
    return f"{told}{_if(assumptions)}."


def phrase_of(world: World, wait: Wait) -> str:
    """Say what a thread with this wait does, with the owner."""
    if wait.scope != "thread" or wait.names_owner:
        return wait.phrase
    return f"{wait.phrase}, held by {world.name(*wait.wakers)}{wait.held_note}"


def who_goes_on(world: World, stuck: Stuck) -> str:
    """Name, in a sentence, those who are not stuck, the root process's first."""
    free = sorted(world.everyone - stuck.waits.keys(), key=lambda key: (key[0] != world.root, key))
    if not free:
        return ""
    names = [world.name(key) for key in free[:MOST_NAMED]]
    if len(free) > MOST_NAMED:
        names.append(f"{len(free) - MOST_NAMED} more")
    listed = enumeration(names)
    return f" {listed[0].upper()}{listed[1:]} can go on."


def _if(assumptions: Sequence[Assumption]) -> str:
    if not assumptions:
        return ""
    # Two processes of a tree may rest on the same words: once is enough.
    details = list(dict.fromkeys(each.detail for each in assumptions))
    clauses = details[:MOST_ASSUMED]
    if len(details) > MOST_ASSUMED:
        rest = len(details) - MOST_ASSUMED
        clauses.append("1 more assumption holds" if rest == 1 else f"{rest} more assumptions hold")
    return f", if {enumeration(clauses)}"


def _chain(world: World, stuck: Stuck, order: list[Key]) -> str:
    clauses: list[str] = []
    for number, key in enumerate(order):
        wait = stuck.waits[key]
        (owner,) = wait.wakers
        name = world.name(key)
        subject = name[0].upper() + name[1:] if number == 0 else "which"
        clause = f"{subject}{_gil(stuck, key)} {wait.phrase}"
        if not wait.names_owner:
            holder = "which it holds itself" if owner == key else f"held by {world.name(owner)}"
            clause += f", {holder}{wait.held_note}"
        elif owner in order[:number]:
            clause += " in turn"
        clauses.append(clause)
    never = "none of them can ever go on" if len(order) > 1 else "it can never go on"
    return ", ".join(clauses) + f": {never}"


def _gil(stuck: Stuck, key: Key) -> str:
    """Say who has the GIL, if somebody waits for it."""
    return " holds the GIL and" if key in stuck.gil_holders else ""


def _closed(world: World, stuck: Stuck, order: list[Key]) -> str:
    pids = sorted({key[0] for key in order})
    shown = order[:MOST_THREADS]
    clauses = [
        f"{world.name(key)}{_gil(stuck, key)} {phrase_of(world, stuck.waits[key])}" for key in shown
    ]
    if len(order) > len(shown):
        clauses.append(f"{len(order) - len(shown)} more threads wait in the same way")
    listed = "; ".join(clauses)
    if len(order) == 1:
        listed = listed[0].upper() + listed[1:]
        return f"{listed}: it is the only thread of the process, and it waits without a time limit"
    whose = (
        f"process {pids[0]}"
        if len(pids) == 1
        else (f"processes {enumeration([str(pid) for pid in pids])}")
    )
    everybody = frozenset().union(*(world.live(pid) for pid in pids))
    if not everybody <= set(order):
        return (
            f"{len(order)} threads of {whose} wait without a time limit for one another, and "
            f"none of them can ever go on: {listed}"
        )
    everyone = "Both" if len(order) == 2 else f"All {len(order)}"
    return f"{everyone} threads of {whose} wait without a time limit for one another: {listed}"
