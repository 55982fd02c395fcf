"""What matters to hangs in any interpreter that has numerical libraries: BLAS, OpenMP, torch."""

from __future__ import annotations

from pathlib import Path

from deadlock_matrix.diagnosis.study.study import Study
from deadlock_matrix.studies.numerics.checks import checks
from deadlock_matrix.studies.numerics.findings import contents, findings
from deadlock_matrix.studies.numerics.settings import SETTINGS, is_pool

STUDY = Study(
    name="numerics",
    summary="which numerical libraries an interpreter has, and how they make threads",
    axes=str(Path(__file__).with_name("axes.toml")),
    findings=findings,
    contents=contents,
    checks=checks,
    settings=SETTINGS,
    is_pool=is_pool,
    packages=("torch", "transformers", "numpy"),
)
