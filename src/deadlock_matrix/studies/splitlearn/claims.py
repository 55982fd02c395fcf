"""What is said about the hang of this package, as statements that can be false."""

from __future__ import annotations

from deadlock_matrix.diagnosis.study.claims import Claim
from deadlock_matrix.studies.splitlearn import readings as read

_ADVICE = "the analysis this project began with"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="second-import-initialises-again",
        statement="a second 'import torch' runs MKL's initialisation again",
        source=_ADVICE,
        read=read.second_import_initialises_again,
    ),
    Claim(
        name="repeated-imports-are-no-ops",
        statement="importing a module again does nothing",
        source=_ADVICE,
        read=read.repeated_imports_are_no_ops,
    ),
    Claim(
        name="torch-outside-conda-has-no-mkl",
        statement="the torch of an interpreter that is not Anaconda's does not use MKL",
        source=_ADVICE,
        read=read.torch_outside_conda_has_no_mkl,
    ),
    Claim(
        name="message-comes-from-mkl",
        statement="'[mutex.cc : 452] RAW: Lock blocking' is printed by MKL",
        source=_ADVICE,
        read=read.message_comes_from_mkl,
    ),
    Claim(
        name="sequential-makes-mkl-serial",
        statement="MKL_THREADING_LAYER=SEQUENTIAL makes MKL compute on one thread",
        source=_ADVICE,
        read=read.sequential_makes_mkl_serial,
    ),
    Claim(
        name="variables-before-import",
        statement="OMP_NUM_THREADS and MKL_NUM_THREADS must be set before torch is imported",
        source=_ADVICE,
        read=read.variables_before_import,
    ),
    Claim(
        name="remedy-lazy-imports-one-family",
        statement="remedy 1: in the lazy layout, asking for one family imports that family alone",
        source=_ADVICE,
        read=read.lazy_imports_one_family,
    ),
    Claim(
        name="remedy-lazy-starts-faster",
        statement="remedy 1: the lazy layout starts faster",
        source=_ADVICE,
        read=read.lazy_starts_faster,
    ),
    Claim(
        name="remedy-variables-cure",
        statement="remedy 2: the four variables against MKL's threads make the hang go away",
        source=_ADVICE,
        read=read.cured_by("mkl-full"),
    ),
    Claim(
        name="remedy-factory-avoids-models",
        statement="remedy 3: importing splitlearn_core.factory directly does not import the models",
        source=_ADVICE,
        read=read.factory_avoids_models,
    ),
    Claim(
        name="remedy-other-blas",
        statement="remedy 4: what hangs on MKL does not hang on an interpreter with another BLAS",
        source=_ADVICE,
        read=read.other_blas_does_not_hang,
    ),
    Claim(
        name="one-thread-cures-fork",
        statement="OMP_NUM_THREADS=1 cures the hang of a forked child",
        source="PyTorch's users",
        read=read.cured_by("threads-1"),
    ),
    Claim(
        name="sequential-cures-mkl-after-fork",
        statement="MKL_THREADING_LAYER=SEQUENTIAL cures what hangs in a dynamic MKL after a fork",
        source=_ADVICE,
        read=read.cured_by("mkl-sequential", on_mkl=True),
    ),
    Claim(
        name="sequential-cures-torch-after-fork",
        statement="MKL_THREADING_LAYER=SEQUENTIAL cures torch's own hang after a fork",
        source=_ADVICE,
        read=read.cured_by("mkl-sequential"),
    ),
    Claim(
        name="no-init-at-fork-cures",
        statement="KMP_INIT_AT_FORK=FALSE cures MKL's hangs after a fork",
        source="MXNet's users",
        read=read.cured_by("kmp-no-init-at-fork", on_mkl=True),
    ),
    Claim(
        name="duplicate-ok-is-harmless",
        statement="KMP_DUPLICATE_LIB_OK=TRUE is harmless",
        source="OpenMP's error message",
        read=read.duplicate_is_harmless,
    ),
)
