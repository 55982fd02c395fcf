"""From evidence to a judgement: the proof as data, or what is missing for one."""

from __future__ import annotations

from collections.abc import Iterable

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import (
    Condition,
    Doing,
    Edge,
    Gap,
    Judgement,
    Node,
    Proof,
    ProofKind,
    Relation,
)
from deadlock_matrix.proof.closure import Stuck, conditions_needed, find_stuck, reachable
from deadlock_matrix.proof.conditions import process_id
from deadlock_matrix.proof.sentence import put_into_words
from deadlock_matrix.proof.wait import thread_id
from deadlock_matrix.proof.world import Key, World, index

MOST_GAPS = 20


def judge(evidence: Evidence) -> Judgement:
    """Decide whether the evidence proves a deadlock.

    Returns:
        ``deadlock`` if the root process's main thread is stuck; ``partial`` if other threads are;
        otherwise ``not-proved`` with what stands in the way, the main thread's own reasons first.
    """
    world = index(evidence)
    if world.root not in world.after:
        gap = Gap(kind="does-not-hold", subject=f"process {world.root}", detail="has ended")
        return Judgement(outcome="not-proved", proof=None, gaps=(gap,))
    stuck = find_stuck(world)
    roots = world.roots()
    threads = tuple(_doings(world, stuck))
    if roots and roots <= stuck.waits.keys():
        proof = write_proof(world, stuck, roots)
        return Judgement(outcome="deadlock", proof=proof, gaps=(), threads=threads)
    gaps = tuple(_gaps(world, stuck, roots))[:MOST_GAPS]
    if stuck.waits:
        # The smallest closed set says it best; others, if any, are separate deadlocks.
        start = min(stuck.waits, key=lambda key: (len(reachable(stuck, [key])), key))
        proof = write_proof(world, stuck, [start])
        return Judgement(outcome="partial", proof=proof, gaps=gaps, threads=threads)
    return Judgement(outcome="not-proved", proof=None, gaps=gaps, threads=threads)


def _doings(world: World, stuck: Stuck) -> Iterable[Doing]:
    for key in sorted(world.everyone):
        wait = stuck.waits.get(key) or stuck.free.get(key)
        if wait is not None:
            does = wait.phrase
            if wait.scope == "thread" and not wait.names_owner:
                does += f", held by {world.name(*wait.wakers)}"
        else:
            does = "; ".join(describe_gap(gap, world.name(key)) for gap in stuck.gaps[key])
        yield Doing(
            pid=key[0],
            tid=key[1],
            name=world.name(key),
            does=does,
            stuck=key in stuck.waits,
        )


def describe_gap(gap: Gap, about: str) -> str:
    """A gap in words; its subject is left out where it is ``about``."""
    subject = "" if gap.subject == about else f"{gap.subject} "
    if gap.kind == "does-not-hold":
        return f"{subject}{gap.detail}"
    return f"not known{' of ' + subject.strip() if subject else ''}: {gap.detail}"


def could_be_stuck(evidence: Evidence) -> bool:
    """Whether stacks, once read, could turn this evidence into a proof about the main thread.

    A wait for the GIL, a join or an import lock has its owner on the stacks alone. This is a quick
    look for the watchdog, so that it does not ask for stacks of a process that is at work.
    """
    world = index(evidence)
    if world.root not in world.after:
        return False
    stuck = find_stuck(world)
    roots = world.roots()
    return bool(roots) and all(_may_be_stuck(world, stuck, root) for root in roots)


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


def write_proof(world: World, stuck: Stuck, roots: Iterable[Key]) -> Proof:
    """Write down the closed set of waits that begins at ``roots``, and nothing besides."""
    roots = sorted(roots)
    order = reachable(stuck, roots)
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str, Relation], Edge] = {}
    conditions: dict[Condition, None] = {}

    def add(node: Node) -> str:
        nodes.setdefault(node.id, node)
        return node.id

    def connect(tail: str, head: str, relation: Relation, source: str) -> None:
        # Two threads may have read the same owner in two ways; one of them is enough.
        edge = Edge(tail=tail, head=head, relation=relation, source=source)
        edges.setdefault((tail, head, relation), edge)

    def add_process(pid: int) -> str:
        live = sorted(world.live(pid))
        label = f"process {pid}"
        process = add(Node(id=process_id(pid), kind="process", label=label, members=len(live)))
        for key in live:
            member = add(Node(id=thread_id(key), kind="thread", label=world.name(key)))
            connect(process, member, "consists of", f"/proc/{pid}/task")
        return process

    def add_tree() -> str:
        tree = add(Node(id="tree", kind="tree", label="the process tree", members=len(world.after)))
        for pid in sorted(world.after):
            source = f"/proc/{world.after[pid].parent}/task/*/children"
            connect(tree, add_process(pid), "consists of", source)
        return tree

    for key in order:
        wait = stuck.waits[key]
        thread = add(Node(id=thread_id(key), kind="thread", label=world.name(key)))
        lock = add(wait.node)
        connect(thread, lock, "waits for", wait.source)
        if wait.scope == "thread":
            (owner,) = wait.wakers
            head = add(Node(id=thread_id(owner), kind="thread", label=world.name(owner)))
            relation: Relation = "held by"
        else:
            head = add_tree() if wait.scope == "tree" else add_process(key[0])
            relation = "ended only by"
        connect(lock, head, relation, wait.held_source)
        conditions.update(dict.fromkeys(wait.conditions))
        for pid in conditions_needed(world, key, wait):
            add(Node(id=process_id(pid), kind="process", label=f"process {pid}",
                     members=len(world.live(pid))))  # fmt: skip
            conditions.update(dict.fromkeys(stuck.conditions[pid]))
    owned = all(stuck.waits[key].scope == "thread" for key in order)
    kind = ProofKind.OWNER if owned else ProofKind.CLOSED_WORLD
    return Proof(
        kind=kind,
        sentence=put_into_words(world, stuck, order, kind),
        roots=tuple(thread_id(key) for key in roots),
        nodes=tuple(nodes.values()),
        edges=tuple(edges.values()),
        conditions=tuple(conditions),
    )


def _gaps(world: World, stuck: Stuck, roots: Iterable[Key]) -> Iterable[Gap]:
    """Why the roots are not stuck: follow whom they wait for to those who can move."""
    waiting = sorted(roots)
    seen = set(waiting)
    told: set[Gap] = set()
    while waiting:
        key = waiting.pop(0)
        for gap in stuck.gaps.get(key, ()):
            if gap not in told:
                told.add(gap)
                yield gap
        wakers = stuck.free[key].wakers if key in stuck.free else frozenset()
        for waker in sorted(wakers - seen):
            seen.add(waker)
            waiting.append(waker)
