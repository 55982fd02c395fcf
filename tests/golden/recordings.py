"""Recorded evidence: where it is, what it looks like, how it is read and written."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

import msgspec

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.verdict import Outcome, ProofKind

FOLDER = Path(__file__).parent / "evidence"
SUFFIX = ".json.gz"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one scenario while it hung, or looked so, and what must come of it."""

    scenario: str
    python: str  # "3.11.7"
    outcome: Outcome
    proof: ProofKind | None
    evidence: Evidence

    @property
    def id(self) -> str:
        """``3.11/crossed-mutexes``."""
        return f"{minor_of(self.python)}/{self.scenario}"


def minor_of(version: str) -> str:
    """``3.11`` of ``3.11.7``."""
    return ".".join(version.split(".")[:2])


def path_of(identifier: str) -> Path:
    """The file of a recording by its id."""
    return FOLDER / f"{identifier}{SUFFIX}"


@lru_cache(maxsize=8)
def read(identifier: str) -> Recording:
    """Read one recording by its id."""
    return msgspec.json.decode(gzip.decompress(path_of(identifier).read_bytes()), type=Recording)


def recorded(*outcomes: str) -> list[str]:
    """Ids of all recordings, or of those with one of these outcomes."""
    names = [f"{p.parent.name}/{p.name.removesuffix(SUFFIX)}" for p in FOLDER.glob(f"*/*{SUFFIX}")]
    return sorted(name for name in names if not outcomes or read(name).outcome in outcomes)
