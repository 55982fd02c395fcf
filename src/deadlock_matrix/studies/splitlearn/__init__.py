"""The analysis that this project began with: splitlearn_core on MKL, OpenBLAS and OpenMP."""

from __future__ import annotations

from pathlib import Path

from deadlock_matrix.diagnosis.study.study import Study
from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.studies.splitlearn.blas import blas_of_product
from deadlock_matrix.studies.splitlearn.claims import CLAIMS
from deadlock_matrix.studies.splitlearn.forks import fork_tables
from deadlock_matrix.studies.splitlearn.threading_layers import threading_layers

STUDY = Study(
    name="splitlearn",
    summary="does splitlearn_core hang where MKL, OpenBLAS and OpenMP meet, and what cures it?",
    cells=str(Path(__file__).with_name("cells.toml")),
    root=lambda: str(repro_root()),
    claims=CLAIMS,
    target="splitlearn_core",
    layout="lazy",
    tables=fork_tables,
    listings=threading_layers,
    traits=(blas_of_product,),
    compared={"lazy": "eager"},
)
