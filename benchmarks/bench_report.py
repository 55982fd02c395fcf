"""How long a report of ten thousand cells takes to write and to read, and how large it is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from deadlock_matrix.cli.report_validate import judge_again
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Observation
from deadlock_matrix.model.report import Report
from deadlock_matrix.report.plan import Plan
from deadlock_matrix.report.private import make_redaction
from deadlock_matrix.report.store import read_report, write_report
from deadlock_matrix.report.summary import summarise
from deadlock_matrix.report.validation import validate

EXAMPLE = Path(__file__).resolve().parents[1] / "reports" / "example"
CELLS = 10_000
HUNG_EVERY = 100

T = TypeVar("T")


def main() -> None:
    example = read_report(EXAMPLE)
    report = enlarge(example, CELLS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written, path = timed(lambda: write_report(report, folder))
        side = [file.stat().st_size for file in (folder / "evidence").iterdir()]
        print(f"{CELLS} cells of {len(example.cells)} kinds, one in {HUNG_EVERY} with evidence")
        print(f"report.json         {path.stat().st_size / 1e6:8.1f} MB")
        print(f"evidence            {sum(side) / 1e6:8.1f} MB in {len(side)} files")
        print("seconds of the processor:")
        print(f"write               {written:8.2f} s")
        for words, evidence in (("read", False), ("read with evidence", True)):
            spent = [timed(lambda e=evidence: read_report(path, evidence=e))[0] for _ in range(3)]
            print(f"{words:19} {min(spent):8.2f} s (best of 3)")
        print(f"validate            {timed(lambda: validate(path, judge_again))[0]:8.2f} s")
    redaction = make_redaction(plan_of(example), {"HOME": "/home/somebody", "A_TOKEN": "x" * 20})
    for words, result in (("a healthy cell", example.cells[0]), ("a hung cell", hung(example)[0])):
        spent, _ = timed(lambda r=result: redaction.apply(r))
        print(f"redact {words:14} {spent * 1e3:6.1f} ms")


def enlarge(example: Report, size: int) -> Report:
    """The example with other numbers, again and again; each hung cell has evidence of its own."""
    healthy = [each for each in example.cells if each not in hung(example)]
    cells = [
        numbered(pick(hung(example) if number % HUNG_EVERY == 0 else healthy, number), number)
        for number in range(1, size + 1)
    ]
    cells.sort(key=lambda result: result.cell.id)
    ids = [result.cell.id for result in cells]
    summary = summarise(cells, example.controls, ids)
    return msgspec.structs.replace(example, cells=tuple(cells), planned=size, summary=summary)


def hung(report: Report) -> list[CellResult]:
    return [each for each in report.cells if each.judgement is not None]


def pick(results: Sequence[CellResult], number: int) -> CellResult:
    return results[number % len(results)]


def numbered(result: CellResult, number: int) -> CellResult:
    assert isinstance(result.observation, Known)
    replace = msgspec.structs.replace
    observation = timed_anew(result.observation.value, number)
    evidence = observation.evidence
    if isinstance(evidence, Known):
        observation = replace(observation, evidence=replace(evidence, value=copy(evidence, number)))
    cell = replace(result.cell, repeat=number)
    return replace(result, cell=cell, observation=replace(result.observation, value=observation))


def timed_anew(observation: Observation, number: int) -> Observation:
    """The same with times and folders of its own, as no two runs of a cell have the same."""
    replace = msgspec.structs.replace
    later = number * 1.1e-9
    probe, progress = observation.probe, observation.last_progress_s
    if isinstance(probe, Known):
        facts = replace(
            probe.value,
            entry_s=probe.value.entry_s + later,
            imported_s={name: at_s + later for name, at_s in probe.value.imported_s.items()},
        )
        probe = replace(probe, value=facts)
    if isinstance(progress, Known):
        progress = replace(progress, value=progress.value + later)
    return replace(
        observation,
        began_s=float(number),
        duration_s=observation.duration_s + later,
        last_progress_s=progress,
        probe=probe,
        command=tuple(
            text.replace("/progress", f"-{number}/progress").replace(
                "/result.json", f"-{number}/result.json"
            )
            for text in observation.command
        ),
    )


def copy(evidence: Known[Evidence], number: int) -> Evidence:
    machine = msgspec.structs.replace(evidence.value.machine, kernel=f"6.1.{number}")
    return msgspec.structs.replace(evidence.value, machine=machine)


def plan_of(report: Report) -> Plan:
    return Plan(
        tool=report.tool,
        host=report.host,
        run=report.run,
        started=report.started,
        arguments=report.arguments,
        interpreters=report.interpreters,
        controls=tuple(each.cell for each in report.controls),
        cells=tuple(each.cell for each in report.cells),
    )


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Seconds of the processor, which others on the machine do not add to, and the result."""
    began = time.process_time()
    result = action()
    return time.process_time() - began, result


if __name__ == "__main__":
    main()
