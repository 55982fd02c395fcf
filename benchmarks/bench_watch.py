"""What being watched costs a healthy process: wall time, and processor time of the watcher."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path

from measure import spread

from deadlock_matrix.capture.collector import Collector, open_collector
from deadlock_matrix.run.process import Order, Supervisor
from deadlock_matrix.run.supervisors import open_supervisor
from deadlock_matrix.run.watchdog import Watchdog


def run(supervisor: Supervisor, python: str, statement: str, watched: bool) -> tuple[float, float]:
    """Wall seconds of one process, and processor seconds that this process spent meanwhile."""
    null = os.open(os.devnull, os.O_RDWR)
    order = Order(
        command=(python, "-c", statement),
        environment=dict(os.environ),
        folder=Path.cwd(),
        streams=(null, null, null),
    )
    cpu, begin = time.process_time(), time.perf_counter()
    pid = supervisor.start(order)
    if watched:
        collector = open_collector()
        Watchdog(supervisor, collector, pid, 300.0).watch()
        wall = time.perf_counter() - begin
        collector.close()
    else:
        while supervisor.wait(60.0) is None:
            pass
        wall = time.perf_counter() - begin
    spent = time.process_time() - cpu
    supervisor.end()
    os.close(null)
    return wall, spent


def compare(python: str, statement: str, runs: int) -> None:
    bare: list[float] = []
    watched: list[float] = []
    spent: list[float] = []
    with open_supervisor() as supervisor:
        run(supervisor, python, statement, watched=True)  # a warm cache for both
        for number in range(runs):
            for is_watched in (number % 2 == 0, number % 2 == 1):
                wall, cpu = run(supervisor, python, statement, is_watched)
                if is_watched:
                    watched.append(wall)
                    spent.append(cpu / wall)
                else:
                    bare.append(wall)
    ratios = [w / b for w, b in zip(watched, bare, strict=True)]
    added = [w - b for w, b in zip(watched, bare, strict=True)]
    print(f"{statement!r}, {runs} pairs in turns")
    print(f"  bare     {spread(bare)}")
    print(f"  watched  {spread(watched)}: {(statistics.median(ratios) - 1) * 100:+.1f} % "
          f"({statistics.median(added) * 1e3:+.1f} ms), median of the pairs")  # fmt: skip
    print(f"  watcher  {statistics.median(spent) * 100:.2f} % of a core, median")


QUIET = """
import sys, threading, time
threading.stack_size(256 * 1024)
idle = threading.Event()
for _ in range(int(sys.argv[1])):
    threading.Thread(target=idle.wait, daemon=True).start()
while True:
    {main}
"""
WARM_UP_S = 8.0


class Stopwatch:
    """Ends a watch after some seconds; counts what it and its helper spend after the first few."""

    def __init__(self, collector: Collector, seconds: float) -> None:
        self._collector = collector
        self._begin_s = time.monotonic() + WARM_UP_S
        self._seconds = seconds
        self._spent_s: float | None = None
        self.share = 0.0

    def over(self) -> bool:
        now = time.monotonic()
        if self._spent_s is None and now >= self._begin_s:
            self._begin_s, self._spent_s = now, self._collector.cpu_s()
        if self._spent_s is None or now < self._begin_s + self._seconds:
            return False
        self.share = (self._collector.cpu_s() - self._spent_s) / (now - self._begin_s)
        return True


def watch_quiet(python: str, threads: int, seconds: float) -> None:
    print(f"{threads} quiet threads for {seconds:g} s, after the first {WARM_UP_S:g}:")
    kinds = {"sleeps a second at a time": "time.sleep(1)", "waits for a pipe": "sys.stdin.read(1)"}
    for told, main in kinds.items():
        waiting, held = os.pipe()
        with open_supervisor() as supervisor, closing(open_collector()) as collector:
            null = os.open(os.devnull, os.O_RDWR)
            order = Order(
                command=(python, "-c", QUIET.format(main=main), str(threads)),
                environment=dict(os.environ),
                folder=Path.cwd(),
                streams=(waiting, null, null),
            )
            pid = supervisor.start(order)
            watch = Stopwatch(collector, seconds)
            Watchdog(
                supervisor, collector, pid, None, stop=watch.over, tell=lambda *found: None
            ).watch()
            supervisor.end()
            for number in (null, waiting, held):
                os.close(number)
        print(f"  the main one {told:26} {watch.share * 100:.2f} % of a core", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="one that has torch, if wanted")
    parser.add_argument("--runs", type=int, default=15, help="pairs; 0 for the first table alone")
    parser.add_argument("--quiet", type=int, default=500, help="threads of a quiet process")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which it is watched")
    arguments = parser.parse_args()
    watch_quiet(arguments.python, arguments.quiet, arguments.seconds)
    if not arguments.runs:
        return
    compare(arguments.python, "import this", arguments.runs)
    has_torch = os.system(f"{arguments.python} -c 'import torch, transformers' 2>/dev/null") == 0
    if has_torch:
        compare(arguments.python, "import torch, transformers", arguments.runs)
    else:
        print(f"{arguments.python} has no torch and transformers: name one that has with --python")


if __name__ == "__main__":
    main()
