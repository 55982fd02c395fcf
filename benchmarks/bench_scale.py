"""Reports of a hundred thousand cells: seconds and memory of every command that reads one."""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from bench_report import EXAMPLE, enlarge, plan_of

from deadlock_matrix.report.host import describe_host
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.plan import begin
from deadlock_matrix.report.store import read_report, write_report

RUNNER = """
import resource, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss, done.returncode)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--only", default="", help="commands that contain this word")
    given = parser.parse_args()
    host = describe_host()
    print(f"{host.system} {host.machine}, {host.cores} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        example = read_report(EXAMPLE)
        report = enlarge(example, given.cells)
        path = write_report(report, folder / "report")
        run = folder / "killed"
        begin(run, plan_of(report))
        with Journal(run, "main") as journal:
            journal.extend((*report.cells, *report.controls))
        other = msgspec.structs.replace(report, run="another", started="2026-02-01T00:00:00Z")
        write_report(other, folder / "other")
        size = path.stat().st_size / 1e6
        side = sum(each.stat().st_size for each in (folder / "report" / "evidence").iterdir()) / 1e6
        print(f"{given.cells} cells: report.json {size:.0f} MB, evidence {side:.0f} MB")
        del report, other, example
        print(f"{'':32}{'seconds':>9}{'of CPU':>9}{'MB':>9}{'status':>8}")
        page = folder / "page.html"
        for words in (
            f"show {path}",
            f"show {run}",
            f"render {path} --html {page}",
            f"render {path} --html {page} --no-evidence",
            f"render {path} --markdown {folder / 'page.md'}",
            f"render {path} --junit {folder / 'page.xml'}",
            f"compare {path} {folder / 'other'}",
            f"merge {path} {folder / 'other'} -o {folder / 'merged'}",
            f"validate {path}",
        ):
            if given.only in words:
                told = words.replace(str(folder), "").replace("/report/", "")
                command = [sys.executable, "-m", "deadlock_matrix", "report", *words.split()]
                asked = subprocess.run(
                    [sys.executable, "-c", RUNNER, *command], capture_output=True, text=True
                )
                wall, cpu, peak, status = asked.stdout.split()
                figures = f"{float(wall):9.1f}{float(cpu):9.1f}{int(peak) / 1024:9.0f}"
                print(f"{told:32}{figures}{status:>8}", flush=True)
                if page.exists():
                    print(f"{'':4}{page.stat().st_size / 1e6:.1f} MB")
                    page.unlink()
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB to make them")
    print(time.strftime("%Y-%m-%d"))


if __name__ == "__main__":
    main()
