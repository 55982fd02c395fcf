"""Write a proof down as data: nodes, edges and conditions, and only those it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from deadlock_matrix.model.verdict import Edge, Node, Proof, ProofKind, Relation
from deadlock_matrix.proof.closure import Stuck, conditions_of, reachable
from deadlock_matrix.proof.conditions import process_id
from deadlock_matrix.proof.sentence import put_into_words
from deadlock_matrix.proof.wait import Wait, thread_id
from deadlock_matrix.proof.world import Key, World


def write_proof(world: World, stuck: Stuck, roots: Iterable[Key], *, whole: bool) -> Proof:
    """Write down the closed set of waits that begins at ``roots``.

    Args:
        world: The evidence.
        stuck: The threads that are stuck.
        roots: Where to begin.
        whole: Whether to claim that no thread of the root process goes on.
    """
    roots = sorted(roots)
    order = reachable(stuck, roots)
    owned = all(stuck.waits[key].scope == "thread" for key in order)
    kind = ProofKind.OWNER if owned else ProofKind.CLOSED_WORLD
    everyone = reachable(stuck, world.live(world.root) | set(order)) if whole else order
    page = _Page(world)
    for key in order:
        page.add_wait(stuck, key)
    for key in sorted(set(everyone) - set(order)):
        page.add_wait(stuck, key)
    starts = [thread_id(key) for key in roots]
    conditions = conditions_of(stuck, everyone)
    if whole:
        starts.append(page.add_all_threads(world.root))
        complete = stuck.readings.conditions[world.root].hold.get("threads-complete")
        if complete is not None and complete not in conditions:
            conditions.append(complete)
    for condition in conditions:
        if condition.subject.startswith("process-"):
            page.add_process_alone(int(condition.subject.removeprefix("process-")))
    assumptions = dict.fromkeys(each for condition in conditions for each in condition.assumes)
    return Proof(
        kind=kind,
        sentence=put_into_words(world, stuck, order, kind, tuple(assumptions)),
        roots=tuple(starts),
        nodes=tuple(page.nodes.values()),
        edges=tuple(page.edges.values()),
        conditions=tuple(conditions),
        assumptions=tuple(assumptions),
    )


class _Page:
    """Nodes and edges, each once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._members_written: set[str] = set()
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str, Relation], Edge] = {}

    def add_wait(self, stuck: Stuck, key: Key) -> None:
        """Add one thread, what it waits for, and who could end that."""
        wait = stuck.waits[key]
        thread, lock = self._add_thread(key), self._add(wait.node)
        self._connect(thread, lock, "waits for", wait.source)
        if wait.scope == "thread":
            (owner,) = wait.wakers
            self._connect(lock, self._add_thread(owner), "held by", wait.held_source)
        elif wait.scope == "threads":
            self._connect(lock, self._add_threads(wait), "ended only by", wait.held_source)
        else:
            head = self._add_tree() if wait.scope == "tree" else self._add_process(key[0])
            self._connect(lock, head, "ended only by", wait.held_source)

    def _add_threads(self, wait: Wait) -> str:
        """Add the threads that know what somebody waits for."""
        label = f"those who know {wait.node.label}"
        node = Node(
            id=f"{wait.node.id}-known", kind="threads", label=label, members=len(wait.wakers)
        )
        group = self._add(node)
        for key in sorted(wait.wakers):
            self._connect(group, self._add_thread(key), "consists of", wait.held_source)
        return group

    def add_all_threads(self, pid: int) -> str:
        """Add the node that claims something about all threads of a process."""
        label = f"all threads of process {pid}"
        return self._add_group(f"all-{pid}", "all-threads", label, pid)

    def add_process_alone(self, pid: int) -> None:
        """Add a process that is only the subject of conditions."""
        members = len(self._world.live(pid))
        self._add(Node(id=process_id(pid), kind="process", label=f"process {pid}", members=members))

    def _add_tree(self) -> str:
        pids = sorted(self._world.after)
        label = "the process tree"
        tree = self._add(Node(id="tree", kind="tree", label=label, members=len(pids)))
        if tree not in self._members_written:
            self._members_written.add(tree)
            for pid in pids:
                source = f"/proc/{self._world.after[pid].parent}/task/*/children"
                self._connect(tree, self._add_process(pid), "consists of", source)
        return tree

    def _add_process(self, pid: int) -> str:
        return self._add_group(process_id(pid), "process", f"process {pid}", pid)

    def _add_group(
        self, identifier: str, kind: Literal["process", "all-threads"], label: str, pid: int
    ) -> str:
        live = self._world.live(pid)
        group = self._add(Node(id=identifier, kind=kind, label=label, members=len(live)))
        if group not in self._members_written:
            self._members_written.add(group)
            for key in sorted(live):
                self._connect(group, self._add_thread(key), "consists of", f"/proc/{pid}/task")
        return group

    def _add_thread(self, key: Key) -> str:
        return self._add(Node(id=thread_id(key), kind="thread", label=self._world.name(key)))

    def _add(self, node: Node) -> str:
        self.nodes.setdefault(node.id, node)
        return node.id

    def _connect(self, tail: str, head: str, relation: Relation, source: str) -> None:
        # Two threads may have read the same owner in two ways; one of them is enough.
        edge = Edge(tail=tail, head=head, relation=relation, source=source)
        self.edges.setdefault((tail, head, relation), edge)
