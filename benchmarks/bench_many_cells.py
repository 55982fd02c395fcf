"""What a run costs beyond its processes: trivial cells, beside the same processes by ``xargs -P``.

The seconds of the processors are those of the command and of all processes that it waited for, so
they can be compared on a busy machine too; the seconds by the clock cannot.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deadlock_matrix.report.host import describe_host
from deadlock_matrix.run.cell import PROBE

MATRIX = """
target = "json"
deadline-s = 60

[[entry]]
name = "trivial"
statement = "pass"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1, help="of both, one after the other")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    host = describe_host()
    where = f"{host.system} {host.machine}, {host.cores} cores, Python {platform.python_version()}"
    print(f"{where}; {given.cells} cells, {given.jobs} at once, load {os.getloadavg()[0]:.1f}")
    print(f"{'':24}{'seconds':>10}{'of CPU':>10}{'CPU a cell':>14}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "matrix.toml").write_text(MATRIX)
        # Once for nothing: interpreters are asked, and what every run costs is known.
        run(folder, given, 1, "first")
        ratios = []
        for number in range(given.rounds):
            once = run(folder, given, 1, f"once-{number}")
            bare = xargs(folder, given)
            whole = run(folder, given, given.cells, f"run-{number}")
            for words, (wall, cpu), cells in (
                ("one cell, 3 controls", once, 1),
                ("xargs -P", bare, given.cells),
                ("deadlock-matrix run", whole, given.cells),
            ):
                told = f"{words:24}{wall:10.1f}{cpu:10.1f}{cpu / cells * 1e3:11.1f} ms"
                print(told, flush=True)
            more = tuple(w - o for w, o in zip(whole, once, strict=True))
            ratios.append((*(w / b for w, b in zip(whole, bare, strict=True)), more[1] / bare[1]))
            wall, cpu, without = ratios[-1]
            print(f"{'ratio':24}{wall:10.2f}{cpu:10.2f}  {without:.2f} without one run's start")
    medians = [statistics.median(each) for each in zip(*ratios, strict=True)]
    told = " / ".join(f"{each:.2f}" for each in medians)
    print(
        f"median ratio: by the clock / of CPU / of CPU without one run's start: {told}", flush=True
    )


def xargs(folder: Path, given: argparse.Namespace) -> tuple[float, float]:
    """The very commands that the cells are."""
    command = (
        f"seq {given.cells} | xargs -P {given.jobs} -I N {given.python} {PROBE} "
        f"{folder}/N.progress {folder}/N.result main '' '' pass ''"
    )
    return timed(["sh", "-c", command], folder)


def run(folder: Path, given: argparse.Namespace, cells: int, name: str) -> tuple[float, float]:
    command = [
        *(sys.executable, "-m", "deadlock_matrix", "run", "--config=matrix.toml", "-q"),
        *("--profile=baseline", "--context=main", "--entry=trivial", f"--repeat={cells}"),
        *(f"--interpreter=py={given.python}", f"--jobs={given.jobs}"),
        f"--deadlock-matrix-report={name}",
    ]
    return timed(command, folder)


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds by the clock, and of the processors, of a command with all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(done.stdout[-2000:] + done.stderr[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


if __name__ == "__main__":
    main()
