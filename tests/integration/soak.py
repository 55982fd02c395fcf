"""Runs scenarios many times and prints what came out wrong: the soak tests start it as a script.

It is a process of its own, so that a test can stop and continue the watcher, and nothing but it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from integration.cells import Python, missing, of_kind, run_all
from integration.looked_at import Said, look_at_all
from scenarios.document import ScenarioKind

from deadlock_matrix.capture import observer
from deadlock_matrix.run.rates import Rates
from deadlock_matrix.run.workspace import Workspace

DELAYED = Path(__file__).with_name("delayed_observer.py")
JOBS = {ScenarioKind.DEADLOCK: 2, ScenarioKind.LOOK_ALIKE: 20}
MODES = {
    "as-it-is": [],
    "ten-times-as-often": ["--rates", "10"],
    "delays-between-reads": ["--delays"],
    "often-and-delayed": ["--rates", "10", "--delays"],
    "stopped-and-continued": ["--rates", "3"],
    "looked-at": ["--looked-at"],
}


def soak(kind: ScenarioKind, mode: str, *, python: str, runs: int, load: bool) -> list[str]:
    """Start the script in one of the modes; returns the problems it found."""
    command = [sys.executable, __file__, kind.value, "--python", python, *MODES[mode]]
    command += ["--runs", str(runs), "--jobs", str(JOBS[kind]), *(["--load"] if load else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if mode == "stopped-and-continued":
            stop_and_continue(process)
        output, _ = process.communicate()
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()
    assert process.returncode == 0, f"it ended with status {process.returncode}: see stderr"
    told = json.loads(output.splitlines()[-1])
    assert told["runs"], "no scenario could be run"
    return [*told["problems"]]


def stop_and_continue(process: subprocess.Popen[str]) -> None:
    """The watcher and its readers, at any moment, for longer than it takes to read a snapshot."""
    watcher = psutil.Process(process.pid)
    while process.poll() is None:
        time.sleep(random.uniform(0.01, 0.3))
        stopped = [watcher, *readers(watcher)]
        random.shuffle(stopped)
        try:
            for each in stopped:
                with suppress(psutil.NoSuchProcess):
                    each.suspend()
            time.sleep(random.uniform(0.001, 0.15))
        finally:
            for each in stopped:
                with suppress(psutil.NoSuchProcess):
                    each.resume()


def readers(watcher: psutil.Process) -> list[psutil.Process]:
    """The helpers that read for it."""
    found = []
    for child in watcher.children():
        with suppress(psutil.NoSuchProcess):
            if str(observer.SCRIPT) in child.cmdline():
                found.append(child)
    return found


def main() -> None:
    """Run; the last line printed is JSON: how many runs, and the problems."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", type=ScenarioKind)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rates", type=float, default=1.0)
    parser.add_argument("--delays", action="store_true", help="between any two reads")
    parser.add_argument("--load", action="store_true", help="keep two processors busy")
    parser.add_argument("--looked-at", action="store_true", help="by watch and inspect: no cells")
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    if options.delays:
        observer.SCRIPT = DELAYED
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(2 * options.load)]
    for process in busy:
        process.start()
    python = find(options.python)
    scenarios = [
        scenario
        for scenario in of_kind(options.kind, python)
        if (options.only is None or scenario.name in options.only) and not missing(scenario, python)
    ]
    rates = Rates().times(options.rates)
    if options.looked_at:
        todo = [scenario for _ in range(options.runs) for scenario in scenarios]
        print(json.dumps(told_of_all(look_at_all(todo, python, options.jobs))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outcomes = run_all(
            [(scenario, python) for _ in range(options.runs) for scenario in scenarios],
            options.jobs,
            lambda: Workspace(folder / "cache", folder / "scratch", rates),
        )
    for process in busy:
        process.kill()
    problems = [problem for outcome in outcomes if (problem := outcome.problem())]
    detected = sorted(
        outcome.result.detected_after_s
        for outcome in outcomes
        if outcome.result is not None and outcome.result.detected_after_s is not None
    )
    print(json.dumps({"runs": len(outcomes), "problems": problems, "detected_s": detected}))


def told_of_all(said: Iterable[Said]) -> dict[str, Any]:
    """What was said of healthy programs while they ran, and what of it is wrong."""
    runs = 0
    told: Counter[str] = Counter()
    problems: list[str] = []
    for each in said:
        runs += 1
        problems += each.problems()
        for (by, outcome), times in each.times.items():
            told[f"{each.scenario.name}, {by}: {outcome}"] += times
    return {"runs": runs, "problems": problems, "told": dict(sorted(told.items()))}


def find(executable: str) -> Python:
    """The interpreter with its version; cells start it from folders of their own."""
    executable = str(Path(executable).absolute())
    ask = (
        "import platform, sysconfig\n"
        "print(platform.python_version(), sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    )
    answer = subprocess.run(
        [executable, "-c", ask], capture_output=True, text=True, timeout=300, check=True
    )
    version, free_threaded = answer.stdout.split()
    return Python(executable=executable, version=version, free_threaded=free_threaded == "1")


def spin() -> None:
    """Be busy."""
    while True:
        pass


if __name__ == "__main__":
    main()
