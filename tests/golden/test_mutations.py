"""What a proof rests on must matter, and less knowledge must never prove more."""

from __future__ import annotations

import random

import pytest
from golden.mutations import all_mutations, replace, rests_on, with_one_fact_hidden
from golden.recordings import read, recorded

from deadlock_matrix.model.verdict import Proof
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.closure import find_stuck, read_all
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.world import index

DEADLOCKS = recorded("deadlock")
OTHERS = recorded("likely", "partial", "likely-partial", "not-proved")


def proof_of(identifier: str) -> Proof:
    proof = judge(read(identifier).evidence).proof
    assert proof is not None
    return proof


# --- the proof ----------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", recorded("deadlock", "likely", "partial", "likely-partial"))
def test_no_part_of_a_proof_is_spare(identifier: str) -> None:
    proof = proof_of(identifier)
    for field in ("edges", "nodes", "roots", "conditions", "assumptions"):
        parts = getattr(proof, field)
        for number, part in enumerate(parts):
            without = replace(proof, **{field: (*parts[:number], *parts[number + 1 :])})
            assert find_faults(without), part


# --- the evidence -------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", DEADLOCKS)
def test_changed_fact(identifier: str) -> None:
    """A proof is lost with each fact that it rests on, and with no other."""
    evidence, proof = read(identifier).evidence, proof_of(identifier)
    needed, owners = rests_on(proof, evidence)
    wrong = []
    for mutation in all_mutations(evidence):
        again = judge(mutation.evidence)
        deadlock = again.outcome == "deadlock"
        if (mutation.site, mutation.fact) in needed:
            expected, right = "no deadlock", not deadlock
        elif (mutation.site, mutation.fact) in owners:
            # Who holds it is not known any more. All may be asleep all the same.
            expected, right = "not by its owner", not deadlock or not same(proof, again.proof)
        else:
            expected, right = "the same proof", deadlock and same(proof, again.proof)
        if not right:
            wrong.append(f"{mutation.id}: expected {expected}, found {again.outcome}")
        if again.proof is not None:
            assert find_faults(again.proof) == (), mutation.id
    assert not wrong, "\n".join(wrong)


def same(proof: Proof, other: Proof | None) -> bool:
    """Whether the same threads wait for the same things, ended by the same ones."""
    return other is not None and [(e.tail, e.head) for e in proof.edges] == [
        (e.tail, e.head) for e in other.edges
    ]


@pytest.mark.parametrize("identifier", recorded("likely", "likely-partial"))
def test_every_assumption_is_needed(identifier: str) -> None:
    """What is told to be assumed is the least that the answer needs."""
    if any(node.kind == "task" for node in proof_of(identifier).nodes):
        return  # what it says of each task rests on exactly what is assumed of that one
    readings = read_all(index(read(identifier).evidence))
    assumed = proof_of(identifier).assumptions
    roots = set(find_stuck(readings, frozenset(assumed)).waits)
    assert assumed and roots
    for assumption in assumed:
        fewer = frozenset(each for each in assumed if each != assumption)
        assert not roots <= find_stuck(readings, fewer).waits.keys(), assumption


# --- never more from less -----------------------------------------------------------------------


@pytest.mark.parametrize("identifier", OTHERS)
def test_hidden_fact_proves_nothing_new(identifier: str) -> None:
    for path, evidence in with_one_fact_hidden(read(identifier).evidence):
        assert judge(evidence).outcome != "deadlock", path


@pytest.mark.parametrize("identifier", OTHERS)
def test_many_hidden_facts_prove_nothing_new(identifier: str) -> None:
    dice = random.Random(identifier)
    for _ in range(5):
        evidence = read(identifier).evidence
        for _ in range(dice.randrange(2, 8)):
            _, evidence = dice.choice(list(with_one_fact_hidden(evidence)))
            assert judge(evidence).outcome != "deadlock"


@pytest.mark.parametrize("identifier", OTHERS)
def test_doubt_proves_nothing_new(identifier: str) -> None:
    for doubt in all_mutations(read(identifier).evidence):
        if "missing (after)" not in doubt.text:  # who is not there wakes nobody
            assert judge(doubt.evidence).outcome != "deadlock", doubt.id
