"""A proof as a sentence that a person reads first."""

from __future__ import annotations

from deadlock_matrix.model.verdict import ProofKind
from deadlock_matrix.proof.closure import Stuck
from deadlock_matrix.proof.world import Key, World

MOST_THREADS = 6


def put_into_words(world: World, stuck: Stuck, order: list[Key], kind: ProofKind) -> str:
    """Tell who waits for whom, from the first thread of ``order`` on."""
    if kind is ProofKind.OWNER:
        return _chain(world, stuck, order)
    return _closed(world, stuck, order)


def _chain(world: World, stuck: Stuck, order: list[Key]) -> str:
    clauses: list[str] = []
    for number, key in enumerate(order):
        wait = stuck.waits[key]
        (owner,) = wait.wakers
        name = world.name(key)
        subject = name[0].upper() + name[1:] if number == 0 else "which"
        clause = f"{subject}{_gil(stuck, key)} {wait.phrase}"
        if owner == key:
            clause += ", which it holds itself"
        elif not wait.names_owner:
            clause += f", held by {world.name(owner)}"
        elif owner in order[: number + 1]:
            clause += " in turn"
        clauses.append(clause)
    return ", ".join(clauses) + ": none of them can ever go on."


def _gil(stuck: Stuck, key: Key) -> str:
    """Say who has the GIL, where somebody waits for it."""
    holds = any(wait.node.kind == "gil" and key in wait.wakers for wait in stuck.waits.values())
    return " holds the GIL and" if holds else ""


def _closed(world: World, stuck: Stuck, order: list[Key]) -> str:
    pids = sorted({key[0] for key in order})
    shown = order[:MOST_THREADS]
    clauses = []
    for key in shown:
        wait = stuck.waits[key]
        text = f"{world.name(key)}{_gil(stuck, key)} {wait.phrase}"
        if wait.scope == "thread" and not wait.names_owner:
            (owner,) = wait.wakers
            text += f", held by {world.name(owner)}"
        clauses.append(text)
    if len(order) > len(shown):
        clauses.append(f"{len(order) - len(shown)} more threads wait likewise")
    listed = "; ".join(clauses)
    if len(order) == 1:
        listed = listed[0].upper() + listed[1:]
        return (
            f"{listed}: it is the only thread of the process, it waits without a time limit, "
            "and nothing outside can wake it."
        )
    whose = f"process {pids[0]}" if len(pids) == 1 else f"processes {', '.join(map(str, pids))}"
    return (
        f"All {len(order)} threads of {whose} wait without a time limit for one another, "
        f"and nothing outside can wake them: {listed}."
    )
