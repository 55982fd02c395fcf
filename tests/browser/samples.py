"""Reports for the page: a large one, one with real evidence, and one that is hostile."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from pathlib import Path

import msgspec
from golden.recordings import read, recorded

from deadlock_matrix.model.cell import (
    Calling,
    Cell,
    Context,
    Entry,
    Interpreter,
    Layout,
    Profile,
    Role,
)
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.model.observation import (
    CellResult,
    Exited,
    ImportStep,
    Leftovers,
    Observation,
    Output,
    ProbeFacts,
    Raised,
)
from deadlock_matrix.model.report import SCHEMA_VERSION, Host, Report, Summary, Tool
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.report.store import read_report

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "golden" / "causes" / "results"
EXAMPLE = ROOT / "reports" / "example"

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    "<!-- \"quoted\" 'too' & &lt;b&gt; \u2028 \u2029 \x1b[31mred\x1b[0m "
    "\u202eback javascript:alert(1)"
)

INTERPRETERS = ("conda-mkl", "conda-openblas", "pip-torch", "debian")
PROFILES = (
    "baseline", "kmp-no-fork", "mkl-full", "mkl-sequential", "openblas-1", "threads-1",
    "threads-4", "wait-passive",
)  # fmt: skip
LAYOUTS = ("eager", "lazy", "lazy-as-written", "lazy-loader")
ENTRIES = (
    "create-gpt2", "from-factory", "multiplies", "package", "package-then-multiplies", "second",
    "torch", "transformers",
)  # fmt: skip
CONTEXTS = ("main", "fork-after-parallel")


def large() -> Report:
    """2,048 cells, of which some fail, and forty hang with the evidence of a real deadlock."""
    hang = golden("torch-after-fork")
    cells: list[CellResult] = []
    places = itertools.product(INTERPRETERS, PROFILES, LAYOUTS, ENTRIES, CONTEXTS)
    for number, place in enumerate(places):
        cell = _cell(*place)
        if place[4] != "main" and place[3] == "create-gpt2" and place[1] not in ("threads-1",):
            cells.append(msgspec.structs.replace(hang, cell=cell))
        elif place[0] == "debian" and place[3] == "transformers":
            cells.append(_result(cell, Verdict.UNAVAILABLE, "it needs transformers"))
        elif number % 97 == 5:
            cells.append(_result(cell, Verdict.SLOW, "still progressing at its deadline of 60 s"))
        elif number % 131 == 7:
            cells.append(_result(cell, Verdict.CRASH, "ended by SIGABRT in the entry"))
        else:
            cells.append(_healthy(cell, number))
    return report(cells)


def example() -> Report:
    """Return the report that the repository carries."""
    return read_report(EXAMPLE)


def with_evidence() -> Report:
    """The report in the repository, with what known causes were recorded of."""
    recorded = example()
    cells = list(recorded.cells)
    for path in sorted(RESULTS.glob("*.json.gz")):
        name = path.name.removesuffix(".json.gz")
        cells.append(_renamed(golden(name), f"recorded-{name}"))
    return report(cells, recorded.controls, recorded.interpreters)


def recorded_proofs() -> Report:
    """A cell for each deadlock that was recorded on Python 3.11."""
    template = golden("torch-after-fork")
    cells = []
    for identifier in recorded("deadlock", "partial"):
        version, _, name = identifier.partition("/")
        if version == "3.11":
            cells.append(_of_recording(template, name, read(identifier).evidence))
    return report(cells)


def _of_recording(template: CellResult, name: str, evidence: Evidence) -> CellResult:
    observed = template.observation
    assert isinstance(observed, Known)
    seen = msgspec.structs.replace(observed.value, evidence=known(evidence, "two snapshots"))
    judgement = judge(evidence)
    assert judgement.proof is not None
    return msgspec.structs.replace(
        _renamed(template, name),
        why=judgement.proof.sentence,
        judgement=judgement,
        observation=known(seen, "the harness"),
    )


def hostile() -> Report:
    """Whatever a probe, a user or a library can name is hostile."""
    cell = Cell(
        target="target",
        interpreter=Interpreter(name=f"py {HOSTILE}", executable=f"/usr/{HOSTILE}"),
        profile=Profile(name="baseline", set={"EVIL": HOSTILE}, summary=HOSTILE),
        layout=Layout(name=f"layout{HOSTILE}"),
        entry=Entry(name="entry", statement=f"import x # {HOSTILE}"),
        context=Context(name=HOSTILE),
    )
    hung = _hostile_evidence(golden("torch-after-fork"))
    observed = hung.observation
    assert isinstance(observed, Known)
    seen = msgspec.structs.replace(
        observed.value,
        stdout=Output(size=1, kept=HOSTILE),
        stderr=Output(size=1, kept=f"\x1b[2J{HOSTILE}"),
        raised=Raised(type=HOSTILE, message=HOSTILE, traceback=HOSTILE),
        environment={"EVIL": HOSTILE},
        command=("python", HOSTILE),
        probe=known(_facts(1, HOSTILE), "the probe"),
    )
    hung = msgspec.structs.replace(
        hung, cell=cell, why=HOSTILE, observation=known(seen, "the harness")
    )
    fingerprint = InterpreterFacts(
        name=cell.interpreter.name, executable=HOSTILE, fingerprint=unknown(HOSTILE)
    )
    made = report([hung], interpreters=[fingerprint])
    return msgspec.structs.replace(made, run=f"run {HOSTILE}", notes=(HOSTILE,))


def golden(name: str) -> CellResult:
    """A recorded result of a known cause."""
    data = gzip.decompress((RESULTS / f"{name}.json.gz").read_bytes())
    return msgspec.json.decode(data, type=CellResult)


def report(
    cells: list[CellResult],
    controls: tuple[CellResult, ...] | None = None,
    interpreters: tuple[InterpreterFacts, ...] | list[InterpreterFacts] | None = None,
) -> Report:
    """A whole report; by default with one control that is right, and its interpreters."""
    if controls is None:
        control = msgspec.structs.replace(
            _cell("pip-torch", "baseline", "eager", "package", "main"), role=Role.NEGATIVE_CONTROL
        )
        controls = (_healthy(control, 0),)
    if interpreters is None:
        interpreters = [_fingerprint(name) for name in INTERPRETERS]
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="deadlock-matrix", version="0.1.0", python="3.11.7"),
        host=Host(
            system="Linux", release="6.1", machine="x86_64", cores=8, memory_mib=unknown("not read")
        ),
        run="20260101-120000-abcd",
        started="2026-01-01T12:00:00Z",
        duration_s=4211.0,
        arguments=("tests/matrix", "--deadlock-matrix"),
        interpreters=tuple(interpreters),
        cells=tuple(sorted(cells, key=lambda each: each.cell.id)),
        controls=controls,
        planned=len(cells),
        summary=Summary(
            cells=len(cells),
            verdicts=dict(Counter(each.verdict.value for each in cells)),
            unexpected=sum(not each.as_expected for each in cells),
            controls=len(controls),
            controls_failed=(),
            complete=True,
        ),
    )


def _cell(interpreter: str, profile: str, layout: str, entry: str, context: str) -> Cell:
    forked = context != "main"
    return Cell(
        target="splitlearn_core",
        interpreter=Interpreter(name=interpreter, executable=f"/opt/{interpreter}/bin/python"),
        profile=Profile(name=profile, set={"OMP_NUM_THREADS": "1"} if "1" in profile else {}),
        layout=Layout(name=layout),
        entry=Entry(name=entry, statement=f"import splitlearn_core  # {entry}"),
        context=Context(
            name=context,
            calling=Calling.FORK if forked else Calling.MAIN,
            prelude="import torch" if forked else "",
        ),
        expect=(Verdict.OK, Verdict.DEADLOCK) if forked else (Verdict.OK,),
    )


def _result(cell: Cell, verdict: Verdict, why: str) -> CellResult:
    return CellResult(cell=cell, verdict=verdict, why=why, observation=unknown(why))


def _healthy(cell: Cell, number: int) -> CellResult:
    seconds = 0.01 + number % 13 * 0.31
    seen = Observation(
        phase="ended",
        end=Exited(status=0),
        duration_s=seconds + 0.2,
        last_progress_s=known(seconds, "the main thread, seen from outside"),
        probe=known(_facts(seconds, f"module{number % 5}"), "the probe"),
        raised=None,
        stdout=Output(size=0, kept=""),
        stderr=Output(size=40, kept=f"warning {number}: something is deprecated"),
        evidence=unknown("it ended by itself"),
        leftovers=Leftovers(ended=0, alive=()),
        command=("/usr/bin/python", "/probe/probe.py", f"/scratch/{number}/request.json"),
        environment={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": str(number % 4)},
    )
    return CellResult(
        cell=cell,
        verdict=Verdict.OK,
        why=f"the entry took {seconds:.2f} s",
        observation=known(seen, "the harness"),
    )


def _facts(seconds: float, module: str) -> ProbeFacts:
    def step(name: str, importer: str) -> ImportStep:
        return ImportStep(module=name, importer=importer, file=f"/site/{importer}.py", line=7)

    package = [step("splitlearn_core", "__main__")]
    inner = [*package, step(module, "splitlearn_core")]
    torch = [*inner, step("torch", module)]
    numpy = [*torch, step("torch._utils", "torch"), step("numpy", "torch._utils")]
    times = (0.002, 0.01, seconds / 2, seconds)
    chains = {"splitlearn_core": package, module: inner, "torch": torch, "numpy": numpy}
    libraries = [f"/site/torch/lib/lib{name}.so" for name in ("torch", "c10", "gomp", "mkl")]
    return ProbeFacts(
        python="3.11.7",
        entry_s=seconds,
        prelude_s=0.0,
        modules_before=33,
        modules_after=2443,
        top_levels={"torch": 1200, "transformers": 400, "numpy": 150, module: 3},
        watched=dict.fromkeys(chains, 1),
        chains={name: tuple(chain) for name, chain in chains.items()},
        imported_s=dict(zip(chains, times, strict=True)),
        own_modules=("splitlearn_core",),
        native_libraries=known(tuple(libraries), "/proc/self/maps"),
        threads=known(("python", "python"), "/proc/self/task"),
        python_threads=1,
        peak_memory_kib=known(412_000, "getrusage"),
    )


def _fingerprint(name: str) -> InterpreterFacts:
    fingerprint = Fingerprint(
        name=name,
        executable=f"/opt/{name}/bin/python",
        version="3.11.7",
        implementation="cpython",
        build="3.11.7 (main) [GCC 12.2.0]",
        distribution="venv of pyenv",
        free_threaded=False,
        packages={"torch": "2.13.0+cpu", "numpy": "2.4.6"},
        libraries=known((), "files"),
    )
    return InterpreterFacts(
        name=name, executable=fingerprint.executable, fingerprint=known(fingerprint, "its files")
    )


def _renamed(result: CellResult, entry: str) -> CellResult:
    cell = msgspec.structs.replace(
        result.cell,
        interpreter=Interpreter(name="recorded", executable="/usr/bin/python"),
        profile=Profile(name="baseline"),
        layout=Layout(name="none"),
        entry=msgspec.structs.replace(result.cell.entry, name=entry),
    )
    return msgspec.structs.replace(result, cell=cell)


def _hostile_evidence(result: CellResult) -> CellResult:
    """With a name in it that came from the process: of a thread, a function, a file, a lock."""
    text = msgspec.json.encode(result).decode()
    spelled = msgspec.json.encode(HOSTILE).decode()[1:-1]
    for harmless in ("libgomp.so.1", "<module>"):
        assert harmless in text
        text = text.replace(harmless, spelled)
    return msgspec.json.decode(text, type=CellResult)


# --- pages --------------------------------------------------------------------------------------


def earlier() -> Report:
    """What `with_evidence` is compared with: a run before something was cured."""
    now = with_evidence()
    cells = [_failing(each) for each in now.cells if "mkl_after" not in each.cell.id]
    gone = _cell("pip-torch", "baseline", "eager", "taken-out", "main")
    made = report([*cells, _healthy(gone, 1)], now.controls, now.interpreters)
    return msgspec.structs.replace(made, run="20251231-080000-0000")


def _failing(result: CellResult) -> CellResult:
    cell = result.cell
    if (cell.profile.name, cell.layout.name, cell.entry.name) != ("threads-1", "lazy", "package"):
        return result
    return msgspec.structs.replace(result, verdict=Verdict.ERROR, why="ImportError: not yet")


def page(name: str) -> str:
    """One of the pages that the tests open."""
    from deadlock_matrix.causes import load_causes
    from deadlock_matrix.cli.report_render import read_assets
    from deadlock_matrix.render.html.compared import Base
    from deadlock_matrix.render.html.page import html
    from deadlock_matrix.report.compare.comparison import compare
    from deadlock_matrix.studies import load_studies

    assets, causes, studies = read_assets(), load_causes(), load_studies()
    if name == "compared":
        before, now = earlier(), with_evidence()
        base = Base(report=before, comparison=compare(before, now))
        return html(now, assets, causes=causes, studies=studies, base=base)
    made = {
        "evidence": with_evidence,
        "example": example,
        "hostile": hostile,
        "large": large,
        "large-without": large,
        "proofs": recorded_proofs,
    }[name]()
    limit = 0 if name == "large-without" else 3_000_000
    return html(made, assets, causes=causes, studies=studies, evidence_bytes=limit)
