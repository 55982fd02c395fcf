"""The interpreters of a machine: what ``deadlock-matrix interpreters`` writes as JSON."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import SCHEMA_VERSION, Tool


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """Every Python that was found, once each, those that do not work last.

    One does not work if its ``fingerprint`` is unknown; the reason is a sentence without its
    subject. ``notes`` say where the search failed, such as a tool that did not answer.
    """

    schema_version: int = SCHEMA_VERSION  # a report's: it describes interpreters likewise
    tool: Tool
    interpreters: tuple[InterpreterFacts, ...]
    notes: tuple[str, ...] = ()
