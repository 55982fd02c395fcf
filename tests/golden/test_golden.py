"""Recorded evidence is judged again, on any machine, and comes out as it was recorded."""

from __future__ import annotations

import re

import pytest
from golden.recordings import FOLDER, SUFFIX, read, recorded

from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.outlook import outlook

LARGEST_FILE, LARGEST_TOTAL = 60_000, 2_000_000


@pytest.mark.parametrize("identifier", recorded())
def test_judged_again(identifier: str) -> None:
    recording = read(identifier)
    judgement = judge(recording.evidence)
    assert judgement.outcome == recording.outcome, judgement.gaps
    assert (judgement.proof and judgement.proof.kind) == recording.proof
    if judgement.proof is not None:
        assert find_faults(judgement.proof) == ()
        assert bool(judgement.proof.assumptions) == judgement.outcome.startswith("likely")
    if judgement.outcome == "not-proved":
        assert judgement.gaps


def test_healthy_is_never_a_deadlock() -> None:
    assert not [name for name in recorded("deadlock") if "/healthy-" in name]


@pytest.mark.parametrize("identifier", recorded("deadlock"))
def test_deadlock_is_worth_a_closer_look(identifier: str) -> None:
    assert outlook(read(identifier).evidence).possible


SENTENCES = {
    "3.11/crossed-mutexes": "Main thread A waits for mutex 0x of liblocks.so, held by thread B, "
    "which waits for mutex 0x of liblocks.so, held by main thread A: none of them can ever go on.",
    "3.11/gil-against-mutex": "Main thread A holds the GIL and waits for mutex 0x of "
    "libguarded.so, held by thread B, which waits for the GIL, held by main thread A: none of "
    "them can ever go on.",
    "3.8/thread-imports-same-package": "Both threads of process P wait without a time limit for "
    "one another: main thread A joins thread B; thread B waits "
    "for the import lock of module 'same_package', held by main thread A.",
    "3.11/mutex-relock": "Main thread A waits for mutex 0x of librelock.so, which it holds itself: "
    "it is the only thread of the process, and it waits without a time limit.",
    "3.11/constructor-dlopen-join": "Main thread A joins thread B, which waits for recursive "
    "mutex 0x of ld-linux-x86-64.so.2, the loader's own lock, held by main thread A: none of them "
    "can ever go on.",
    "3.13/python-lock-taken-twice": "Main thread A waits in rotate (lock_taken_twice.py:12): it "
    "is the only thread of the process, and it waits without a time limit.",
}


def anonymous(judgement: Judgement) -> str:
    """The sentence with letters for ids, in the order they appear, and without addresses."""
    assert judgement.proof is not None
    text = re.sub(r"0x[0-9a-f]+", "0x", judgement.proof.sentence)
    text = re.sub(r"(?<=process )\d+", "P", text)
    letters: dict[str, str] = {}

    def letter(match: re.Match[str]) -> str:
        return letters.setdefault(match[0], "ABCDEFGH"[len(letters)])

    return re.sub(r"(?<=thread )\d+", letter, text)


@pytest.mark.parametrize("identifier", SENTENCES)
def test_sentence(identifier: str) -> None:
    assert anonymous(judge(read(identifier).evidence)) == SENTENCES[identifier]


def test_size() -> None:
    sizes = [path.stat().st_size for path in FOLDER.glob(f"*/*{SUFFIX}")]
    assert sizes and max(sizes) <= LARGEST_FILE and sum(sizes) <= LARGEST_TOTAL
