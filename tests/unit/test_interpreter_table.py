"""What a reader sees of the interpreters of a machine."""

from __future__ import annotations

import msgspec
import pytest

from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.discovery import Discovery
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import (
    Fingerprint,
    InterpreterFacts,
    NativeLibrary,
)
from deadlock_matrix.model.report import SCHEMA_VERSION, Tool
from deadlock_matrix.render.interpreters import interpreters_text, summary
from deadlock_matrix.studies import load_studies
from deadlock_matrix.studies.numerics.findings import libraries_line

TOOL = Tool(name="deadlock-matrix", version="1.2", python="3.11.7")
NOT_READ = unknown("not looked at")


def working(
    name: str = "mine",
    libraries: Known[tuple[NativeLibrary, ...]] | Unknown = NOT_READ,
    **values: object,
) -> InterpreterFacts:
    plain: dict[str, object] = {
        "name": name,
        "executable": f"/opt/{name}/bin/python",
        "version": "3.12.1",
        "implementation": "cpython",
        "build": "",
        "distribution": "pyenv",
        "free_threaded": False,
        "packages": {},
        "libraries": NOT_READ,
    }
    found = msgspec.structs.replace(
        msgspec.convert(plain | values, Fingerprint), libraries=libraries
    )
    return InterpreterFacts(
        name=name, executable=found.executable, fingerprint=known(found, "test")
    )


def broken(name: str, reason: str) -> InterpreterFacts:
    return InterpreterFacts(
        name=name, executable=f"/opt/{name}/bin/python", fingerprint=unknown(reason)
    )


def library(name: str, kind: LibraryKind, *users: str) -> NativeLibrary:
    return NativeLibrary(name=name, kind=kind, path="/x", version=unknown("x"), users=users)


def shown(*facts: InterpreterFacts, notes: tuple[str, ...] = (), width: int = 80) -> list[str]:
    found = Discovery(tool=TOOL, interpreters=facts, notes=notes)
    return interpreters_text(found, width, studies=load_studies()).splitlines()


LIBRARIES = (
    library("MKL", LibraryKind.BLAS, "numpy", "mkl-service"),
    library("MKL", LibraryKind.BLAS, "numpy"),
    library("OpenBLAS", LibraryKind.BLAS, "scipy"),
    library("libgomp", LibraryKind.OPENMP, "torch"),
    library("libiomp5", LibraryKind.OPENMP),
    library("libgomp", LibraryKind.OPENMP),
    library("TBB", LibraryKind.THREADS),
)


def test_a_row() -> None:
    packages = {"numpy": "2.4.6", "torch": "2.13.0+cpu", "transformers": "5.23.0", "pip": "1"}
    facts = working(
        libraries=known(LIBRARIES[:1] + LIBRARIES[3:5], "test"),
        packages=packages,
        distribution="venv of pyenv",
    )
    assert [" ".join(line.split()) for line in shown(facts)[2:5]] == [
        "mine /opt/mine/bin/python",
        "3.12.1, venv of pyenv torch 2.13.0+cpu, transformers 5.23.0, numpy 2.4.6",
        "BLAS: MKL in numpy and mkl-service; OpenMP:",
    ]
    assert "1 interpreter works" in shown(facts)[-1]


def test_libraries() -> None:
    assert libraries_line(LIBRARIES) == (
        "BLAS: MKL in numpy and mkl-service, OpenBLAS in scipy; OpenMP: libgomp, libiomp5"
    )
    assert libraries_line(LIBRARIES[3:4]) == "OpenMP: libgomp"
    assert libraries_line(LIBRARIES[-1:]) == ""


@pytest.mark.parametrize("libraries", [NOT_READ, known((), "test")])
def test_nothing_is_said_of_libraries_that_are_unknown_or_not_there(
    libraries: Known[tuple[NativeLibrary, ...]] | Unknown,
) -> None:
    text = "\n".join(shown(working(libraries=libraries)))
    assert "BLAS" not in text and "OpenMP" not in text and "not looked at" not in text


def test_broken_ones_come_after_the_others_with_their_sentence() -> None:
    lines = shown(working("one"), broken("two", "does not answer within 10 s"), working("three"))
    text = "\n".join(lines)
    assert text.index("one ") < text.index("three ") < text.index("does not work")
    assert text.index("does not work") < text.index("two ")
    assert any(line.strip() == "does not answer within 10 s" for line in lines)
    assert lines[-1] == "2 interpreters work, 1 does not"


def test_other_implementations_and_builds_are_named() -> None:
    text = "\n".join(
        shown(
            working("a", implementation="pypy", version="3.10.14"), working("b", free_threaded=True)
        )
    )
    assert "pypy 3.10.14, pyenv" in text
    assert "3.12.1 free-threaded" in text


def test_it_fits_whatever_is_in_it() -> None:
    long = "x" * 70
    facts = (
        working(
            f"{long}-{long}",
            libraries=known(LIBRARIES, "test"),
            distribution="venv of " + "conda (conda-forge) " * 3,
            packages=dict.fromkeys(("torch", "numpy", "transformers"), "1.2.3.4.5+something.long"),
        ),
        working("ein Name mit Äöü 深い"),
        broken("b", f"says \x1b[31m{long} {long}\n{long}"),
    )
    for width in (80, 100):
        lines = shown(*facts, notes=(f"'conda' {long} {long}",), width=width)
        assert max(map(len, lines)) <= width
    text = "".join("".join(lines).split())
    assert "\x1b" not in text and "\\x1b[31m" in text
    assert "深い" in text


def test_colour_only_when_it_is_asked_for() -> None:
    found = Discovery(tool=TOOL, interpreters=(broken("b", "is no Python"),))
    assert "\x1b[" not in interpreters_text(found)
    assert "\x1b[31m" in interpreters_text(found, colour=True)


def test_notes_and_summary() -> None:
    lines = shown(notes=("'conda env list --json' failed with status 1",))
    assert lines == [
        "note: 'conda env list --json' failed with status 1",
        "no interpreter was found",
    ]
    assert summary(0, 2) == "0 interpreters work, 2 do not"
    assert summary(2, 0) == "2 interpreters work"


def test_the_document_can_be_read_again() -> None:
    found = Discovery(tool=TOOL, interpreters=(working(), broken("b", "gone")), notes=("x",))
    document = msgspec.json.encode(found)
    assert msgspec.json.decode(document, type=Discovery) == found
    assert msgspec.json.decode(document)["schema_version"] == SCHEMA_VERSION
