"""Records results that known causes are tested on anew; run by hand, with what each one needs.

``python tests/golden/causes/record.py [--only NAME] [--torch EXE] [--openmp LIBRARY]
[--mkl EXE [--set A=B]]``

A scenario or a program of ``programs/`` is really run. The result is stored as a report would hold
it, in names that say nothing of this machine.
"""

from __future__ import annotations

import argparse
import getpass
import gzip
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from scenarios.scenario import build, load_scenarios

import deadlock_matrix
from deadlock_matrix.app.targets import script_statement
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RESULTS = HERE / "results"
SUFFIX = ".json.gz"
LARGEST_FILE = 60_000
HANGS_FOR_S = 5.0
CUT = "there was no time for a second look"  # as `run.examination` says it
KEPT_LIBRARIES = ("libgomp", "libiomp5", "libomp", "libmkl", "libtorch", "libc10")


def main() -> int:
    """Record what can be; the exit status is 1 if a name of this machine is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="of these alone")
    parser.add_argument("--torch", metavar="EXE", help="a Python with torch")
    parser.add_argument("--openmp", metavar="LIBRARY", help="libiomp5.so or libomp.so")
    parser.add_argument("--mkl", metavar="EXE", help="a Python with mkl-service")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        with Workspace(cache, Path(folder) / "scratch") as workspace:
            for name, cell in cells(options, cache):
                if options.only and name not in options.only:
                    continue
                result = neutral(run_cell(cell, workspace), Path(folder), cell)
                content = msgspec.json.encode(result)
                path = RESULTS / f"{name}{SUFFIX}"
                path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
                print(f"{name}: {result.verdict.value}: {result.why[:100]}")
                problems += [f"{name} names {left}" for left in traces(content.decode(), folder)]
                if CUT in content.decode():
                    problems.append(f"{name} lacks a second look: this machine is too busy")
                if path.stat().st_size > LARGEST_FILE:
                    problems.append(f"{name} has {path.stat().st_size} bytes")
    print("\n".join(problems))
    return 1 if problems else 0


def cells(options: argparse.Namespace, cache: Path) -> Iterator[tuple[str, Cell]]:
    """What can be run with the options given."""
    scenarios = {each.name: each for each in load_scenarios(ROOT / "repro" / "scenarios")}

    def of_scenario(name: str, executable: str) -> tuple[str, Cell]:
        scenario = scenarios[name]
        folder = build(scenario, executable, cache)
        return name, cell(executable, folder, scenario.statement, scenario.environment)

    def of_program(name: str, executable: str, **environment: str) -> tuple[str, Cell]:
        return name, cell(executable, HERE / "programs", f"import {name}", environment)

    yield of_scenario("mutex-type-clash", sys.executable)
    yield of_program("logging_lock_over_fork", sys.executable)
    yield of_program("import_waits_for_executor", sys.executable)
    yield of_program("import_waits_for_pool", sys.executable)
    yield of_program("syslog_over_tcp", sys.executable)
    program = HERE / "programs" / "main_without_guard.py"
    as_script = script_statement(program, (), program.parent)
    yield program.stem, cell(sys.executable, program.parent, as_script, {})
    if options.torch:
        yield of_scenario("torch-after-fork", options.torch)
    if options.openmp:
        yield of_program("two_openmp_runtimes", sys.executable, RECORDED_OPENMP=options.openmp)
    if options.mkl:
        given = dict(each.split("=", 1) for each in options.set)
        yield of_program("mkl_after_libgomp", options.mkl, MKL_THREADING_LAYER="INTEL", **given)


def cell(executable: str, folder: Path, statement: str, environment: dict[str, str]) -> Cell:
    """One cell as the matrix would have it."""
    return Cell(
        target="golden",
        interpreter=Interpreter(name="python", executable=executable),
        profile=Profile(name="recorded", set=environment),
        layout=Layout(name="recorded", overlays=(str(folder),)),
        entry=Entry(name="import", statement=statement),
        context=Context(name="main"),
        deadline_s=60.0 if "torch" in statement else HANGS_FOR_S,
    )


def neutral(result: CellResult, folder: Path, run: Cell) -> CellResult:
    """Without libraries that say nothing, and without names of this machine."""
    replace = msgspec.structs.replace
    observation = result.observation
    assert isinstance(observation, Known), result.why
    seen = observation.value
    if isinstance(seen.evidence, Known):
        seen = replace(seen, evidence=known(smaller(seen.evidence.value), seen.evidence.source))
    result = replace(result, observation=known(seen, observation.source))
    text = msgspec.json.encode(result).decode()
    package = Path(deadlock_matrix.__file__).resolve().parent
    executable = Path(run.interpreter.executable)
    names = {
        str(package / "probe"): "/probe",
        str(package): "/deadlock_matrix",
        str(folder): "/scratch",
        str(ROOT): "/deadlock-matrix",
        str(executable): "/usr/bin/python",
        str(executable.resolve().parents[1]): "/usr",
        str(executable.parents[1]): "/usr",
        sys.base_prefix: "/usr",
        sys.prefix: "/usr",
        str(Path.home()): "/home/user",
        **{
            value: f"/given/{name.lower()}"
            for name, value in run.profile.set.items()
            if value.startswith("/")
        },
    }
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    text = re.sub(r"/tmp/python-build[^/]*", "/build", text)  # from debugging information
    return msgspec.json.decode(text, type=CellResult)


def smaller(evidence: Evidence) -> Evidence:
    """Without most libraries, and without the kernel's exact version."""
    release = ".".join(evidence.machine.kernel.split(".")[:2])
    return msgspec.structs.replace(
        evidence,
        machine=msgspec.structs.replace(evidence.machine, kernel=release),
        before=with_libraries_wanted(evidence.before),
        after=with_libraries_wanted(evidence.after),
    )


def with_libraries_wanted(snapshot: Snapshot) -> Snapshot:
    """Of the mapped libraries those that a thread waits in, and those that causes ask for."""
    processes = []
    for process in snapshot.processes:
        used = {t.code.value.library for t in process.threads if isinstance(t.code, Known)}
        libraries = process.libraries
        if isinstance(libraries, Known):
            kept = [
                each
                for each in libraries.value
                if each.path in used or Path(each.path).name.startswith(KEPT_LIBRARIES)
            ]
            libraries = known(tuple(kept), libraries.source)
        processes.append(msgspec.structs.replace(process, libraries=libraries))
    return msgspec.structs.replace(snapshot, processes=tuple(processes))


def traces(text: str, folder: str) -> list[str]:
    """What is left of this machine's names."""
    told = {str(ROOT), str(ROOT.parent), str(Path.home()), folder, getpass.getuser() + "/"}
    told |= {sys.prefix, sys.base_prefix, platform.node(), tempfile.gettempdir() + "/"}
    return sorted(name for name in told - {"/usr", ""} if name in text)


if __name__ == "__main__":
    sys.exit(main())
