"""Evidence in separate files beside a report or a journal, each named by its content.

Evidence is by far the largest part of a report and the one that is read least. A file is on disk
before anything refers to it, and is never changed afterwards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import force_setattr

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Aside, Known, Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.process_facts import Library
from deadlock_matrix.model.report import SCHEMA_VERSION
from deadlock_matrix.report.decoding import DAMAGE, explain, one_line
from deadlock_matrix.report.files import read_beside, write_atomically
from deadlock_matrix.report.json_text import encode
from deadlock_matrix.report.migrations import EVIDENCE_MIGRATIONS, FIRST_VERSION

EVIDENCE_FOLDER = "evidence"
MAX_SIDE_FILE_BYTES = 256 << 20
ASIDE = "it lies in a file of its own beside the report"


class SideFile(msgspec.Struct, frozen=True, kw_only=True):
    """What such a file holds."""

    schema_version: int
    evidence: Evidence


class _Plain(msgspec.Struct):
    schema_version: int
    evidence: msgspec.Raw


class SideFiles:
    """The side files in the folder of a report or a run; each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._texts: dict[str, str] = {}
        self._seen: dict[tuple[str, str, int], Known[Evidence] | str] = {}

    def put(self, result: CellResult) -> CellResult:
        """Write the evidence of a result into its file, and refer to it instead.

        A result without evidence, or one that already refers to its file, stays as it is.

        Raises:
            ReportError: The file cannot be written.
            ValidationError, UnicodeEncodeError: The evidence is not what its type says.
        """
        evidence = _evidence(result)
        if isinstance(evidence, Aside):
            return _with_evidence(result, msgspec.structs.replace(evidence, reason=ASIDE))
        if not isinstance(evidence, Known):
            return result
        return _with_evidence(result, self._write(evidence))

    def fetch(self, result: CellResult) -> CellResult:
        """Read the evidence that a result refers to.

        Evidence that is missing, or not what it should be, stays unknown, with the reason.
        """
        evidence = _evidence(result)
        if not isinstance(evidence, Aside):
            return result
        found = self.read(evidence)
        if isinstance(found, str):
            return _with_evidence(result, msgspec.structs.replace(evidence, reason=found))
        return _with_evidence(result, found)

    def adopt(self, result: CellResult, origin: Path) -> None:
        """Copy the file to which another folder's result refers, if it is there.

        Byte by byte: an older version may have written what we would spell differently, and the
        result names it by its content.
        """
        evidence = _evidence(result)
        if not isinstance(evidence, Aside):
            return
        try:
            data = SideFiles(origin)._content(evidence)
        except ReportError:
            return
        if not self._has(evidence):
            write_atomically(self._folder / evidence.file, data)

    def read(self, aside: Aside) -> Known[Evidence] | str:
        """Return the evidence, or one sentence that says why it cannot be read."""
        key = (aside.file, aside.sha256, aside.size)
        if key not in self._seen:
            try:
                self._seen[key] = Known(value=self._read(aside), source=aside.source)
            except ReportError as error:
                self._seen[key] = str(error)
        return self._seen[key]

    def _read(self, aside: Aside) -> Evidence:
        return self._shared(_decode(self._content(aside), aside.file))

    def _content(self, aside: Aside) -> bytes:
        # The name is checked before anything is opened: it comes from a file.
        if aside.file != _name(aside.sha256) or not re.fullmatch("[0-9a-f]{64}", aside.sha256):
            raise ReportError(
                f"{one_line(aside.file)!r} is not a side file of a report: those are called "
                f"{EVIDENCE_FOLDER}/SHA256.json"
            )
        if not 0 < aside.size <= MAX_SIDE_FILE_BYTES:
            raise ReportError(
                f"{aside.file} is said to have {aside.size:.4g} bytes; from 1 to "
                f"{MAX_SIDE_FILE_BYTES} are read"
            )
        data = read_beside(self._folder, aside.file, aside.size)
        if hashlib.sha256(data).hexdigest() != aside.sha256:
            raise ReportError(f"{aside.file} has been changed: its content does not match its name")
        return data

    def _shared(self, evidence: Evidence) -> Evidence:
        """Return the same evidence, with whatever is the same as elsewhere in memory once.

        Nobody else has seen it yet, so it may be changed.
        """
        libraries: dict[int, Known[tuple[Library, ...]] | Unknown] = {}
        for process in (*evidence.before.processes, *evidence.after.processes):
            if libraries.setdefault(process.pid, process.libraries) == process.libraries:
                force_setattr(process, "libraries", libraries[process.pid])
            if isinstance(process.libraries, Known):
                self._share_texts(process.libraries.value, "path")
        for stacks in (*evidence.stacks, *evidence.native_stacks):
            if isinstance(stacks.stacks, Known):
                for thread in stacks.stacks.value.threads:
                    self._share_texts(thread.python, "function", "file")
                    self._share_texts(thread.native, "symbol", "library", "file")
        return evidence

    def _share_texts(self, parts: Iterable[msgspec.Struct], *names: str) -> None:
        remembered = self._texts.setdefault
        for part in parts:
            for name in names:
                text = getattr(part, name)
                known = remembered(text, text)
                if known is not text:
                    force_setattr(part, name, known)

    def _write(self, evidence: Known[Evidence]) -> Aside:
        content = SideFile(schema_version=SCHEMA_VERSION, evidence=evidence.value)
        data = encode(content, order="deterministic") + b"\n"
        msgspec.json.decode(data, type=SideFile)
        digest = hashlib.sha256(data).hexdigest()
        aside = Aside(
            reason=ASIDE,
            file=_name(digest),
            sha256=digest,
            size=len(data),
            source=evidence.source,
        )
        if not self._has(aside):
            write_atomically(self._folder / EVIDENCE_FOLDER / f"{digest}.json", data)
        return aside

    def _has(self, aside: Aside) -> bool:
        try:
            data = read_beside(self._folder, aside.file, aside.size)
        except ReportError:
            return False
        return hashlib.sha256(data).hexdigest() == aside.sha256


def _name(digest: str) -> str:
    return f"{EVIDENCE_FOLDER}/{digest}.json"


def _decode(data: bytes, name: str) -> Evidence:
    try:
        with suppress(*DAMAGE):  # nearly always it is of this version, and looking costs time
            found = msgspec.json.decode(data, type=SideFile)
            if found.schema_version == SCHEMA_VERSION:
                return found.evidence
        plain = msgspec.json.decode(data, type=_Plain)
        version = plain.schema_version
        if version not in range(FIRST_VERSION, SCHEMA_VERSION + 1):
            raise ReportError(
                f"{name} has a schema version that this deadlock-matrix does not read: it reads "
                f"{FIRST_VERSION} to {SCHEMA_VERSION}"
            )
        steps = [
            EVIDENCE_MIGRATIONS[v]
            for v in range(version, SCHEMA_VERSION)
            if v in EVIDENCE_MIGRATIONS
        ]
        if not steps:
            return msgspec.json.decode(plain.evidence, type=Evidence)
        document = msgspec.json.decode(plain.evidence)
        for step in steps:
            document = step(document)
        return msgspec.convert(document, Evidence)
    except DAMAGE as error:
        raise ReportError(f"{name} {explain(error, data, 'side file')}") from error


def _evidence(result: CellResult) -> Known[Evidence] | Unknown:
    observation = result.observation
    return observation.value.evidence if isinstance(observation, Known) else observation


def _with_evidence(result: CellResult, evidence: Known[Evidence] | Aside) -> CellResult:
    assert isinstance(result.observation, Known)
    observation = msgspec.structs.replace(result.observation.value, evidence=evidence)
    return msgspec.structs.replace(
        result, observation=Known(value=observation, source=result.observation.source)
    )
