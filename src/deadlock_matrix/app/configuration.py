"""The configuration of a run: the user's file and what the studies bring."""

from __future__ import annotations

from pathlib import Path

from deadlock_matrix.matrix.configuration import Configuration
from deadlock_matrix.matrix.configuration import load_configuration as load
from deadlock_matrix.studies import load_studies


def load_configuration(file: Path | None, start: Path, study: str = "") -> Configuration:
    """Do as `matrix.configuration.load_configuration`, with all available studies."""
    return load(file, start, load_studies(), study)
