"""A process that is killed while it writes results has lost none that it said it had written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deadlock_matrix.model.fact import Known
from deadlock_matrix.report.journal import read_journals
from deadlock_matrix.report.side_files import SideFiles

ENOUGH = 20

WRITER = """
import sys
from pathlib import Path
import msgspec
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.store import read_report

replace = msgspec.structs.replace
example, folder = Path(sys.argv[1]), Path(sys.argv[2])
hung = next(each for each in read_report(example).cells if each.judgement)
evidence = hung.observation.value.evidence
with Journal(folder, "gw0") as journal:
    for number in range(1, 1_000_000):
        machine = replace(evidence.value.machine, kernel=str(number))
        other = replace(evidence, value=replace(evidence.value, machine=machine))
        observation = replace(hung.observation.value, evidence=other)
        journal.append(
            replace(
                hung,
                cell=replace(hung.cell, repeat=number),
                observation=replace(hung.observation, value=observation),
            )
        )
        print(number, flush=True)
"""


@pytest.mark.timeout(600)
def test_nothing_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "reports" / "example"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(example), str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        try:
            told = [int(writer.stdout.readline()) for _ in range(ENOUGH)]
        finally:
            writer.kill()
        told += map(int, writer.stdout.read().split())
    contents = read_journals(tmp_path)
    assert [each.cell.repeat for each in contents.results][: len(told)] == told
    assert len(contents.damaged) <= 1
    side_files = SideFiles(tmp_path)
    for result in contents.results:
        fetched = side_files.fetch(result)
        assert isinstance(fetched.observation, Known)
        evidence = fetched.observation.value.evidence
        assert isinstance(evidence, Known)
        assert evidence.value.machine.kernel == str(result.cell.repeat)
