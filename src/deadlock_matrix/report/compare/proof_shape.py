"""What a proof says without the numbers of one process: addresses, ids, how many threads are alike.

Two processes that deadlock in the same way have the same shape. Threads that wait in the same way
for the same kind of thing are one in it: a pool has as many as the machine has processors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Edge, Node, Proof, Verdict, core_of

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_IN_BRACKETS = re.compile(r":?\[[\d:]+\]")  # pipe:[123], fifo:[12:34]
_WHEEL_HASH = re.compile(r"-[0-9a-f]{8}(?=\.|$)")  # what a wheel adds to a library's name
_LIBRARY_VERSION = re.compile(r"(\.so|\.dylib)(\.\d+)+")
_NUMBER = re.compile(r"\b\d+\b")
_DIGITS = re.compile(r"\d+")
_QUOTED = re.compile(r"'[^']*'")
# Longer than any chain in a proof: after that many rounds a difference anywhere shows at the roots.
_ROUNDS = 32
_MODULE = "import lock of module "


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The canonical form, equal if and only if two proofs say the same.

    ``steps`` are for people; ``digest`` distinguishes what reads alike.
    """

    kind: str
    steps: tuple[str, ...]
    digest: str

    @property
    def sentence(self) -> str:
        """``main thread waits for X held by thread; thread waits for ...``."""
        return "; ".join(self.steps) or f"a proof of the kind {self.kind}"


def shape(proof: Proof) -> Shape:
    """Return the canonical form of a proof.

    Two nodes from which everything that can be reached looks alike are one (bisimulation, by
    hashing, in each round, what lies one step further).
    """
    proof = core_of(proof)  # that nobody else goes on is not part of what hangs
    labels = {node.id: _label(node) for node in proof.nodes}
    following: dict[str, list[Edge]] = {}
    for edge in proof.edges:
        following.setdefault(edge.tail, []).append(edge)
    looks = {node.id: _digest(node.kind, labels[node.id]) for node in proof.nodes}
    for _ in range(_ROUNDS):  # always as many, or the same shape would get another digest
        looks = {
            node.id: _digest(
                node.kind,
                labels[node.id],
                *sorted({edge.relation + looks[edge.head] for edge in following.get(node.id, ())}),
            )
            for node in proof.nodes
        }
    return Shape(
        kind=proof.kind.value,
        steps=_steps(proof, labels, following),
        digest=_digest(proof.kind.value, *sorted({looks[root] for root in proof.roots})),
    )


def shapes(results: Sequence[CellResult]) -> tuple[Shape, ...]:
    """Return the different shapes among the deadlocks in ``results``."""
    found = {
        shape(result.judgement.proof)
        for result in results
        if result.verdict is Verdict.DEADLOCK
        and result.judgement is not None
        and result.judgement.proof is not None
    }
    return tuple(sorted(found, key=lambda each: (each.steps, each.digest)))


def _steps(
    proof: Proof, labels: dict[str, str], following: dict[str, list[Edge]]
) -> tuple[str, ...]:
    """Return who waits for what, held by whom, starting at the roots; each statement once."""
    told: dict[str, None] = {}
    waits = [edge for edge in proof.edges if edge.relation == "waits for"]
    waits.sort(key=lambda edge: (edge.tail not in proof.roots, labels[edge.tail]))
    for edge in waits:
        text = f"{labels[edge.tail]} waits for {labels[edge.head]}"
        holders = {
            labels[held.head] for held in following.get(edge.head, ()) if held.relation == "held by"
        }
        if holders:
            text += f", held by {' or '.join(sorted(holders))}"
        told[text] = None
    return tuple(told)


def _label(node: Node) -> str:
    if node.label.startswith(_MODULE):
        return node.label  # digits belong to the module's name
    text = _ADDRESS.sub("", node.label)
    text = _QUOTED.sub(lambda name: _DIGITS.sub("N", name[0]), text)
    text = _IN_BRACKETS.sub("", text)
    text = _LIBRARY_VERSION.sub(r"\1", _WHEEL_HASH.sub("", text))
    text = _NUMBER.sub("", text)
    return re.sub(r"\s+(?=[,;]|$)", "", re.sub(r"\s+", " ", text)).strip()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
