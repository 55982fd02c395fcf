"""Does a proof stand by itself? Decided from the data alone, without the evidence it came from.

This is written independently of the code that makes proofs, so that each checks the other: a proof
without one of its edges, conditions or assumptions does not stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from deadlock_matrix.model.verdict import ConditionName, Node, NodeKind, Proof, ProofKind

Names = Set[ConditionName]

OF_EVERY_PROCESS: Names = {"no-foreign-handler"}
OF_A_PROCESS: Names = OF_EVERY_PROCESS | {
    "threads-complete",
    "no-waking-signal",
    "no-timer",
    "no-tracer",
    "memory-not-shared",
    "no-io-uring",
}
ASLEEP: Names = {"asleep-throughout", "no-time-limit", "in-that-call"}
OF_A_FUTEX: Names = ASLEEP | {"private-futex"}
INTERRUPTIBLE: Set[NodeKind] = {
    *("python-lock", "futex", "shared-lock", "child", "pipe", "polled"),
}
"""Kinds of waits that a signal handler could end: they need all conditions of the process."""

INTERRUPTIBLE_IN_MAIN: Set[NodeKind] = {"rlock", "with-lock", "object"}
"""The same, but only in the main thread: only there does Python run handlers."""

OF_A_PIPE: Names = ASLEEP | {
    "no-outside-end",
    "between-processes",
    "not-interrupted",
    "no-signal-by-file",
}
OF_OTHER_PROCESSES = ("child", "pipe", "polled")

THREAD_NEEDS: dict[NodeKind, Names] = {
    "gil": {"waits-for-gil", "gil-by-thread-state", "no-cancellation"},
    "stop": {"waits-for-stop", "no-cancellation"},
    "lock": OF_A_FUTEX | {"memory-not-shared", "no-cancellation"},
    "end": OF_A_FUTEX | {"memory-not-shared", "no-cancellation"},
    "python-lock": OF_A_FUTEX | {"not-interrupted", "lock-of-that-line"},
    "rlock": OF_A_FUTEX | {"not-interrupted", "memory-not-shared"},
    "with-lock": OF_A_FUTEX | {"not-interrupted", "memory-not-shared", "released-by-holder"},
    "shared-lock": ASLEEP | {"not-interrupted", "released-by-holder"},
    "object": ASLEEP | {"not-interrupted", "ended-by-them"},
    "futex": OF_A_FUTEX | {"not-interrupted"},
    "child": ASLEEP | {"not-interrupted", "no-signal-by-file"},
    "pipe": OF_A_PIPE,
    "polled": OF_A_PIPE | {"array-unchanged"},
}

OF_A_TASK: Names = {"suspended-throughout", "no-time-limit", "not-cancelled", "not-collected"}
TASK_NEEDS: dict[NodeKind, Names] = {
    "task-lock": OF_A_TASK | {"released-by-holder"},
    "task-end": OF_A_TASK,
    "task-wait": OF_A_TASK | {"known-to-tasks-alone"},
}

ASSUMED_OF_A_TASK: Names = {"not-cancelled", "released-by-holder"}

CANCELLED_BY_OTHERS: Set[NodeKind] = {"python-lock", "rlock", "with-lock"}
"""These need ``no-cancellation`` if one thread holds them: others may go on, and cancel."""


def find_faults(proof: Proof) -> tuple[str, ...]:
    """Return all that the proof lacks to stand, or that is superfluous; empty if it stands."""
    return tuple(_Checked(proof).faults())


class _Checked:
    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._nodes = {node.id: node for node in proof.nodes}
        self._holds: dict[str, set[ConditionName]] = {}
        for condition in proof.conditions:
            self._holds.setdefault(condition.subject, set()).add(condition.name)
        self._next: dict[tuple[str, str], list[str]] = {}
        for edge in proof.edges:
            self._next.setdefault((edge.tail, edge.relation), []).append(edge.head)

    def faults(self) -> Iterator[str]:
        """Yield all that is wrong, the plain contradictions first."""
        unknown = list(self._unknown_nodes())
        if unknown:
            yield from unknown
            return
        yield from self._assumptions()
        starts = [self._nodes[root] for root in self._proof.roots]
        claims = [node for node in starts if node.kind == "all-threads"]
        threads = [node for node in starts if node.kind != "all-threads"]
        if not threads:
            yield "it has no thread to begin with"
        wanted = [node for node in self._proof.nodes if node.kind == "all-threads"]
        if claims != wanted:
            yield "the node for all threads is not among those it begins with"
        first = self._visit(threads)
        if self._proof.kind is ProofKind.OWNER:
            for node in first:
                if self._heads(node, "ended only by"):
                    yield f"{node.label} has no owner, and the proof is said to rest on owners"
        reached = {node.id: node for node in (*first, *self._visit(claims))}
        for node in reached.values():
            yield from self._faults_of(node)
        for node in self._proof.nodes:
            if node.id not in reached and not self._is_subject(node, reached):
                yield f"{node.label} has nothing to do with it"

    def _unknown_nodes(self) -> Iterator[str]:
        for condition in self._proof.conditions:
            if condition.subject not in self._nodes:
                yield f"a condition is about an unknown node: {condition.subject}"
        for edge in self._proof.edges:
            if edge.head not in self._nodes or edge.tail not in self._nodes:
                yield f"an edge leads to or from an unknown node: {edge.tail} -> {edge.head}"
        for root in self._proof.roots:
            if root not in self._nodes:
                yield "it begins at an unknown node"

    def _assumptions(self) -> Iterator[str]:
        """Check that the proof lists exactly what its conditions assume."""
        made = {each for condition in self._proof.conditions for each in condition.assumes}
        for assumption in made - set(self._proof.assumptions):
            yield f"it does not say that it assumes: {assumption.detail}"
        for assumption in set(self._proof.assumptions) - made:
            yield f"nothing needs what it assumes: {assumption.detail}"

    def _visit(self, starts: list[Node]) -> list[Node]:
        waiting = list(starts)
        seen = {node.id: node for node in starts}
        while waiting:
            node = waiting.pop()
            for relation in ("waits for", "held by", "ended only by", "consists of"):
                for head in self._heads(node, relation):
                    if head not in seen:
                        seen[head] = self._nodes[head]
                        waiting.append(self._nodes[head])
        return list(seen.values())

    def _heads(self, node: Node, relation: str) -> list[str]:
        return self._next.get((node.id, relation), [])

    def _missing(self, identifier: str, needed: Names) -> str:
        return ", ".join(sorted(needed - self._holds.get(identifier, set())))

    def _is_subject(self, node: Node, reached: dict[str, Node]) -> bool:
        """Return whether it is a process of a thread in the proof, there for its conditions."""
        return node.kind == "process" and any(
            identifier.startswith(f"thread-{node.id.removeprefix('process-')}-")
            for identifier in reached
        )

    def _faults_of(self, node: Node) -> Iterator[str]:
        if node.kind == "thread":
            yield from self._faults_of_thread(node)
        elif node.kind == "task":
            yield from self._faults_of_task(node)
        elif node.kind in ("threads", "process", "tree", "all-threads", "tasks"):
            yield from self._faults_of_group(node)
        elif len(self._heads(node, "held by") + self._heads(node, "ended only by")) != 1:
            yield f"{node.label}: nobody is known who could end the wait for it"

    def _faults_of_thread(self, node: Node) -> Iterator[str]:
        heads = self._heads(node, "waits for")
        if len(heads) != 1:
            yield f"{node.label}: it is not known what it waits for"
            return
        kind = self._nodes[heads[0]].kind
        needed = THREAD_NEEDS.get(kind, OF_A_FUTEX)
        by_one = self._heads(self._nodes[heads[0]], "held by")
        if kind in CANCELLED_BY_OTHERS and by_one:
            needed = needed | {"no-cancellation"}
        missing = self._missing(node.id, needed)
        if missing:
            yield f"{node.label}: nothing says {missing}"
        if kind == "object":
            own: Names = {"private-futex", "memory-not-shared", "no-cancellation"}
            if self._missing(node.id, own) and self._missing(node.id, {"no-outside-end"}):
                yield f"{node.label}: nothing says {', '.join(sorted(own))}"
        _, pid, tid = node.id.split("-")
        if kind in OF_OTHER_PROCESSES:
            yield from self._faults_of_others(f"process-{pid}", heads[0])
        interruptible = kind in INTERRUPTIBLE or (kind in INTERRUPTIBLE_IN_MAIN and pid == tid)
        of_process = OF_A_PROCESS if interruptible else OF_EVERY_PROCESS
        missing = self._missing(f"process-{pid}", of_process)
        if missing:
            yield f"process {pid}: nothing says {missing}"

    def _faults_of_task(self, node: Node) -> Iterator[str]:
        heads = self._heads(node, "waits for")
        if len(heads) != 1:
            yield f"{node.label}: it is not known what it waits for"
            return
        missing = self._missing(node.id, TASK_NEEDS.get(self._nodes[heads[0]].kind, OF_A_TASK))
        if missing:
            yield f"{node.label}: nothing says {missing}"
        for condition in self._proof.conditions:
            is_assumed = condition.subject == node.id and condition.name in ASSUMED_OF_A_TASK
            if is_assumed and not condition.assumes:
                yield f"{node.label}: {condition.name} cannot be known of a loop that goes on"

    def _faults_of_others(self, own: str, wait: str) -> Iterator[str]:
        """Check that all other processes are in it: the end of any of them would end the wait."""
        trees = self._heads(self._nodes[wait], "ended only by")
        if [self._nodes[tree].kind for tree in trees] != ["tree"]:
            yield f"{self._nodes[wait].label}: any process of the tree could end the wait for it"
            return
        for tree in trees:
            for process in self._heads(self._nodes[tree], "consists of"):
                if process != own and self._missing(process, {"no-alarm"}):
                    yield f"{self._nodes[process].label}: nothing says no-alarm"

    def _faults_of_group(self, node: Node) -> Iterator[str]:
        members = self._heads(node, "consists of")
        if len(members) != node.members or not members:
            yield f"{node.label}: {len(members)} members of {node.members}"
        needed: dict[NodeKind, Names] = {"tree": {"processes-complete"}, "process": OF_A_PROCESS}
        missing = self._missing(node.id, needed.get(node.kind, set()))
        if missing:
            yield f"{node.label}: nothing says {missing}"
        if node.kind == "all-threads":
            process = f"process-{node.id.removeprefix('all-')}"
            if self._missing(process, {"threads-complete"}):
                yield f"{node.label}: nothing says that these are all"
