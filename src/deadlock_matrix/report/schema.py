"""The report's JSON Schema, generated from the types so that the two cannot differ."""

from __future__ import annotations

from typing import Any

import msgspec

from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.report.side_files import SideFile


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of ``report.json``; ``$defs/SideFile`` is a side file's."""
    (report, _), definitions = msgspec.json.schema_components(
        (Report, SideFile), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"deadlock-matrix report, schema version {SCHEMA_VERSION}",
        **report,
        "$defs": definitions,
    }
