"""Small reports of several machines for the tests of merge, compare and gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from unit.test_report_samples import cell, chain, control, result

from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import (
    Fingerprint,
    InterpreterFacts,
    NativeLibrary,
)
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Host, Report, Tool
from deadlock_matrix.model.verdict import (
    Edge,
    Judgement,
    Node,
    NodeKind,
    Proof,
    ProofKind,
    Relation,
    Verdict,
)
from deadlock_matrix.report.summary import summarise

TOOL = Tool(name="deadlock-matrix", version="0.1.0", python="3.11.7")
LINUX = Host(
    system="Linux", release="6.1", machine="x86_64", cores=2, memory_mib=known(8000, "sysconf")
)
MACOS = Host(
    system="Darwin", release="24.1", machine="arm64", cores=3, memory_mib=known(7000, "sysconf")
)
WINDOWS = Host(
    system="Windows", release="11", machine="AMD64", cores=4, memory_mib=unknown("no sysconf")
)
OPENBLAS = NativeLibrary(
    name="OpenBLAS",
    kind=LibraryKind.BLAS,
    path="/opt/py/lib/libopenblas.so",
    threading="pthreads",
    version=known("0.3.27", "its text"),
    users=("numpy",),
)


def interpreter(
    name: str = "py",
    version: str = "3.11.7",
    packages: dict[str, str] | None = None,
    libraries: Sequence[NativeLibrary] = (OPENBLAS,),
    folder: str = "/opt",
    set: dict[str, str] | None = None,
) -> InterpreterFacts:
    executable = f"{folder}/{name}/bin/python"
    found = Fingerprint(
        name=name,
        executable=executable,
        version=version,
        implementation="cpython",
        build="main, 64 bit",
        distribution="python.org",
        free_threaded=False,
        packages={"torch": "2.13.0"} if packages is None else packages,
        libraries=known(
            tuple(msgspec.structs.replace(each, path=folder + each.path) for each in libraries),
            "files",
        ),
    )
    return InterpreterFacts(
        name=name, executable=executable, fingerprint=known(found, "asked"), set=set or {}
    )


def controls_of(names: Iterable[str], wrong: bool = False) -> tuple[CellResult, ...]:
    positive = Verdict.HANG if wrong else Verdict.DEADLOCK
    return tuple(
        result(control(kind, name), verdict)
        for name in sorted(names)
        for kind, verdict in (("negative", Verdict.OK), ("positive", positive))
    )


def report(
    *cells: CellResult,
    run: str = "20260101-000000-aaaa",
    host: Host = LINUX,
    interpreters: Sequence[InterpreterFacts] | None = None,
    controls: Sequence[CellResult] | None = None,
    **rest: Any,
) -> Report:
    names = {each.cell.interpreter.name for each in cells} or {"py"}
    controls = controls_of(names) if controls is None else controls
    controls = tuple(sorted(controls, key=lambda each: each.cell.id))
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "tool": TOOL,
        "host": host,
        "run": run,
        "started": f"{run[:4]}-{run[4:6]}-{run[6:8]}T00:00:00Z",
        "duration_s": 60.0,
        "arguments": ("tests/matrix",),
        "interpreters": tuple(interpreters or map(interpreter, sorted(names))),
        "cells": tuple(sorted(cells, key=lambda each: each.cell.id)),
        "controls": controls,
        "planned": len(cells),
        "summary": summarise(cells, controls, [each.cell.id for each in cells]),
    }
    return Report(**(values | rest))


def repeated(verdicts: Sequence[Verdict], **axes: Any) -> tuple[CellResult, ...]:
    return tuple(
        result(cell(repeat=number, **axes), verdict)
        for number, verdict in enumerate(verdicts, start=1)
    )


def timed(*seconds: float, **axes: Any) -> tuple[CellResult, ...]:
    return tuple(
        result(cell(repeat=number, **axes), entry_s=value)
        for number, value in enumerate(seconds, start=1)
    )


def importing(*modules: str, of: Cell | None = None) -> CellResult:
    """A result whose entry imports modules through one another."""
    chains = {name: chain(*modules[: at + 1]) for at, name in enumerate(modules)}
    return result(of, chains=chains)


def deadlock(proof: Proof, of: Cell | None = None) -> CellResult:
    judgement = Judgement(outcome="deadlock", proof=proof, gaps=())
    return msgspec.structs.replace(result(of, Verdict.DEADLOCK), judgement=judgement)


def edge(tail: str, head: str, relation: Relation) -> Edge:
    return Edge(tail=tail, head=head, relation=relation, source="test")


def import_and_join(pid: int = 100, other: int = 101, name: str = "pool-1") -> Proof:
    """The main thread joins a thread that waits for an import lock that the main thread holds."""
    main, thread = f"thread-{pid}-{pid}", f"thread-{pid}-{other}"
    join, lock = f"join-{pid}-{other}", f"module-{pid}-pack2"
    return Proof(
        kind=ProofKind.OWNER,
        sentence=f"Main thread {pid} joins thread {other}, ...",
        roots=(main,),
        nodes=(
            Node(id=main, kind="thread", label=f"main thread {pid}"),
            Node(id=join, kind="python-lock", label=f"end of thread {other} '{name}'"),
            Node(id=thread, kind="thread", label=f"thread {other} '{name}'"),
            Node(id=lock, kind="python-lock", label="import lock of module 'pack2'"),
        ),
        edges=(
            edge(main, join, "waits for"),
            edge(join, thread, "held by"),
            edge(thread, lock, "waits for"),
            edge(lock, main, "held by"),
        ),
        conditions=(),
    )


def idle_pool(pid: int, size: int, library: str = "libgomp.so.1") -> Proof:
    """The main thread and a pool wait for one another on futexes without an owner."""
    process = f"process-{pid}"
    threads = [f"thread-{pid}-{pid + at}" for at in range(size + 1)]
    nodes = [Node(id=process, kind="process", label=f"process {pid}", members=size + 1)]
    edges = []
    for at, thread in enumerate(threads):
        label = f"main thread {pid}" if at == 0 else f"thread {pid + at} 'worker-{at}'"
        kind: NodeKind = "futex"
        futex = f"futex-{pid}-{0x7F00 + at:#x}"
        nodes += [
            Node(id=thread, kind="thread", label=label),
            Node(id=futex, kind=kind, label=f"futex {0x7F00 + at:#x}, inside {library}"),
        ]
        edges += [
            edge(process, thread, "consists of"),
            edge(thread, futex, "waits for"),
            edge(futex, process, "ended only by"),
        ]
    return Proof(
        kind=ProofKind.CLOSED_WORLD,
        sentence=f"All {size + 1} threads of process {pid} wait.",
        roots=(threads[0],),
        nodes=tuple(nodes),
        edges=tuple(edges),
        conditions=(),
    )


def test_a_sample_is_a_valid_report() -> None:
    sample = report(*timed(0.5, 0.6), deadlock(idle_pool(7, 2), cell(layout="lazy")))
    assert sample.controlled
    assert [each.cell.id for each in sample.cells][1].endswith("/#2")
    assert msgspec.json.decode(msgspec.json.encode(sample), type=Report) == sample
    assert all(isinstance(each.fingerprint, Known) for each in sample.interpreters)
