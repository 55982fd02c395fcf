"""The questions that people ask about numerical libraries when an import hangs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.investigation.checklist import Measurements
from deadlock_matrix.diagnosis.libraries import of_kind, short_name
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.diagnosis import Check, Trial
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.fingerprint import Fingerprint, NativeLibrary

_PACKAGES = ("torch", "transformers", "numpy", "tensorflow", "pyarrow", "mkl", "intel-openmp")
_SEQUENTIAL = ("MKL_THREADING_LAYER", "SEQUENTIAL")


def checks(measured: Measurements) -> Iterator[Check]:
    """Yield where Python comes from, its libraries, and whether MKL ran without threads."""
    yield from _interpreter(measured.fingerprint)
    yield from _libraries(measured.fingerprint)
    yield _sequential(measured.trials)


def _interpreter(fingerprint: Known[Fingerprint] | Unknown) -> Iterator[Check]:
    if isinstance(fingerprint, Unknown):
        yield Check(text="Python comes from conda", holds=fingerprint, detail="")
        return
    found = fingerprint.value
    yield Check(
        text="Python comes from conda",
        holds=known("conda" in found.distribution.lower(), fingerprint.source),
        detail=f"{found.implementation} {found.version}, {found.distribution}",
    )
    versions = [f"{name} {found.packages[name]}" for name in _PACKAGES if name in found.packages]
    yield Check(
        text="torch is installed",
        holds=known("torch" in found.packages, "metadata in its site-packages"),
        detail=", ".join(versions) or "none of the usual numerical packages",
    )


def _libraries(fingerprint: Known[Fingerprint] | Unknown) -> Iterator[Check]:
    texts = ("MKL is among its libraries", "it has more than one OpenMP runtime")
    libraries = fingerprint.value.libraries if isinstance(fingerprint, Known) else fingerprint
    if isinstance(libraries, Unknown):
        yield from (Check(text=text, holds=libraries, detail="") for text in texts)
        return
    blas = of_kind(libraries.value, LibraryKind.BLAS)
    openmp = of_kind(libraries.value, LibraryKind.OPENMP)
    yield Check(
        text=texts[0],
        holds=known(any(each.name == "MKL" for each in blas), libraries.source),
        detail=_names(blas) or "no BLAS",
    )
    yield Check(
        text=texts[1],
        holds=known(len({each.path for each in openmp}) > 1, libraries.source),
        detail=_names(openmp) or "none",
    )


def _sequential(trials: Sequence[Trial]) -> Check:
    text = "MKL_THREADING_LAYER=SEQUENTIAL was tried"
    name, value = _SEQUENTIAL
    tried = [each for each in trials if each.remedy.profile.set == {name: value} and each.rate.runs]
    return Check(
        text=text,
        holds=known(bool(tried), "the remedies that were run"),
        detail=tried[0].effect.value if tried else "",
    )


def _names(libraries: Sequence[NativeLibrary]) -> str:
    return ", ".join(dict.fromkeys(short_name(each) for each in libraries))
