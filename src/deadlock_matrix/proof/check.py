"""Does a proof stand by itself? Asked of the data alone, without the evidence it came from.

This is written apart from the code that makes proofs, so that each holds the other: a proof with
an edge or a condition taken away does not stand.
"""

from __future__ import annotations

from deadlock_matrix.model.verdict import Node, Proof, ProofKind

ASLEEP = {"asleep-throughout", "no-time-limit", "in-that-call"}
OF_A_FUTEX = ASLEEP | {"private-futex"}
OF_A_PROCESS = {
    "threads-complete",
    "no-waking-signal",
    "no-tracer",
    "memory-not-shared",
    "no-io-uring",
}
THREAD_NEEDS = {
    "gil": {"waits-for-gil"},
    "lock": OF_A_FUTEX | {"memory-not-shared"},
    "end": OF_A_FUTEX | {"memory-not-shared", "no-cancellation"},
    "python-lock": OF_A_FUTEX,
    "futex": OF_A_FUTEX,
    "child": ASLEEP,
    "pipe": ASLEEP | {"no-outside-end"},
}


def find_faults(proof: Proof) -> tuple[str, ...]:
    """Everything that is missing for the proof to stand; empty if it stands."""
    nodes = {node.id: node for node in proof.nodes}
    holds: dict[str, set[str]] = {}
    for condition in proof.conditions:
        if condition.subject not in nodes:
            return (f"a condition is about an unknown node: {condition.subject}",)
        holds.setdefault(condition.subject, set()).add(condition.name)
    next_of: dict[tuple[str, str], list[str]] = {}
    for edge in proof.edges:
        if edge.head not in nodes or edge.tail not in nodes:
            return (f"an edge leads to or from an unknown node: {edge.tail} -> {edge.head}",)
        next_of.setdefault((edge.tail, edge.relation), []).append(edge.head)

    faults: list[str] = []
    if not proof.roots:
        faults.append("it begins nowhere")
    waiting = list(proof.roots)
    seen = set(waiting)

    def visit(identifier: str) -> None:
        if identifier not in seen:
            seen.add(identifier)
            waiting.append(identifier)

    while waiting:
        node = nodes.get(waiting.pop())
        if node is None:
            faults.append("it begins at an unknown node")
            continue
        heads = {
            relation: next_of.get((node.id, relation), [])
            for relation in ("waits for", "held by", "ended only by", "consists of")
        }
        if node.kind == "thread":
            faults.extend(_thread_faults(node, nodes, heads["waits for"], holds))
            _require_process(node, heads["waits for"], nodes, next_of, holds, faults)
            following = heads["waits for"]
        elif node.kind in ("process", "tree"):
            following = heads["consists of"]
            if len(following) != node.members or not following:
                faults.append(f"{node.label}: {len(following)} members of {node.members}")
            if node.kind == "tree" and "processes-complete" not in holds.get(node.id, set()):
                faults.append(f"{node.label}: nothing says processes-complete")
            if node.kind == "process" and OF_A_PROCESS - holds.get(node.id, set()):
                missing = sorted(OF_A_PROCESS - holds.get(node.id, set()))
                faults.append(f"{node.label}: nothing says {', '.join(missing)}")
        else:
            following = heads["held by"] + heads["ended only by"]
            if len(following) != 1:
                faults.append(f"{node.label}: nobody is known who could end the wait for it")
            if proof.kind is ProofKind.OWNER and heads["ended only by"]:
                faults.append(f"{node.label} has no owner, and the proof is said to rest on owners")
        for identifier in following:
            visit(identifier)
    return tuple(faults)


def _thread_faults(
    node: Node, nodes: dict[str, Node], heads: list[str], holds: dict[str, set[str]]
) -> list[str]:
    if len(heads) != 1:
        return [f"{node.label}: it is not known what it waits for"]
    needed = THREAD_NEEDS.get(nodes[heads[0]].kind, OF_A_FUTEX)
    missing = sorted(needed - holds.get(node.id, set()))
    return [f"{node.label}: nothing says {', '.join(missing)}"] if missing else []


def _require_process(
    node: Node,
    heads: list[str],
    nodes: dict[str, Node],
    next_of: dict[tuple[str, str], list[str]],
    holds: dict[str, set[str]],
    faults: list[str],
) -> None:
    """A wait that a signal handler could end needs the process's conditions, owner or not."""
    for head in heads:
        lock = nodes[head]
        if lock.kind != "python-lock":
            continue  # without an owner: asked of the process node; a native lock: not needed
        pid = node.id.split("-")[1]
        missing = sorted(OF_A_PROCESS - holds.get(f"process-{pid}", set()))
        if missing:
            faults.append(f"process {pid}: nothing says {', '.join(missing)}")
