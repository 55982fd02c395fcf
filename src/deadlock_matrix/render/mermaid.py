"""The wait-for graph of a proof as a Mermaid flowchart, which GitHub and MkDocs draw."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.model.verdict import Node, NodeKind, Proof, core_of

MOST_EDGES = 120  # a larger picture says nothing, and Mermaid refuses more than 500
_LONGEST_LABEL = 120
_SAFE = frozenset(" .,:/+-=_()'")  # besides letters and digits; anything else may be syntax

_SHAPES: dict[NodeKind, tuple[str, str]] = {
    "thread": ("([", "])"),
    "task": ("([", "])"),
    "lock": ("{{", "}}"),
    "python-lock": ("{{", "}}"),
    "rlock": ("{{", "}}"),
    "with-lock": ("{{", "}}"),
    "shared-lock": ("{{", "}}"),
    "task-lock": ("{{", "}}"),
    "task-wait": ("{{", "}}"),
    "gil": ("{{", "}}"),
    "stop": ("{{", "}}"),
    "futex": ("{{", "}}"),
    "end": ("[/", "/]"),
    "task-end": ("[/", "/]"),
    "child": ("[/", "/]"),
    "pipe": ("[(", ")]"),
    "polled": ("[(", ")]"),
    "process": ("[[", "]]"),
    "tree": ("[[", "]]"),
    "all-threads": ("[[", "]]"),
    "tasks": ("[[", "]]"),
}
_ARROWS = {
    "waits for": "==>",
    "held by": "-->",
    "ended only by": "-.->",
    "consists of": "---",
}


def mermaid(proof: Proof) -> str:
    """Return the source of a flowchart: who waits for what, and who alone could end that.

    Threads are round, what they wait for is six-sided, groups have double sides. The threads at
    which the proof begins have a bold border. Labels are escaped: a library or a thread may have
    any name.

    Returns:
        Lines without a fence; empty if there is no edge, or more than `MOST_EDGES` of them.
    """
    proof = core_of(proof)
    if not 0 < len(proof.edges) <= MOST_EDGES:
        return ""
    return "\n".join(_lines(proof)) + "\n"


def _lines(proof: Proof) -> Iterator[str]:
    # Mermaid's own names: an id from a proof could be one of its keywords, such as "end".
    names = {node.id: f"n{number}" for number, node in enumerate(proof.nodes)}
    yield "flowchart LR"
    for node in proof.nodes:
        yield f"  {names[node.id]}{_shape(node)}"
    for edge in proof.edges:
        tail, head = names.get(edge.tail), names.get(edge.head)
        if tail and head:
            yield f'  {tail} {_ARROWS[edge.relation]}|"{edge.relation}"| {head}'
    if roots := [names[root] for root in proof.roots if root in names]:
        yield "  classDef root stroke-width:3px"
        yield f"  class {','.join(roots)} root"


def _shape(node: Node) -> str:
    left, right = _SHAPES[node.kind]
    return f'{left}"{label(node.label)}"{right}'


def label(text: str) -> str:
    """Return ``text`` on one line, with every character that may mean something as ``#NN;``."""
    shown = one_line(text)
    if len(shown) > _LONGEST_LABEL:
        shown = f"{shown[: _LONGEST_LABEL - 3]}..."
    # Not even an empty text may leave the quotes empty.
    return "".join(_spelled(character) for character in shown) or " "


def _spelled(character: str) -> str:
    if character.isalnum() or character in _SAFE:
        return character
    return f"#{ord(character)};"
