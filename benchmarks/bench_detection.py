"""From the onset of a deadlock to its verdict, and what other tools say of the same cases.

The onset is the time that the scenario prints just before it closes the deadlock. The other tools
are given 3 s: pytest-timeout by both its methods, faulthandler's timer, timeout(1); py-spy is asked
once when the process hangs. For each: did it end or report the hang, after how long, and did it
tell a cause or only stacks.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import built, cell, deadlocks, workspace
from scenarios.scenario import Scenario

from deadlock_matrix.model.fact import Known
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

ONSET = re.compile(r"^onset (\d+\.\d+)$", re.MULTILINE)
GIVEN_S = 3.0
GIVEN_UP_AFTER_S = 8.0


def own(scenario: Scenario, python: str, opened: Workspace) -> float | None:
    """Seconds from the onset to the verdict; None if it was not proved."""
    result = run_cell(cell(python, scenario.statement, (built(scenario, python, opened),)), opened)
    if result.verdict != "deadlock" or not isinstance(result.observation, Known):
        print(f"  {scenario.name}: {result.verdict}: {result.why}", file=sys.stderr)
        return None
    seen = result.observation.value
    onsets = ONSET.findall(seen.stderr.kept)
    assert result.detected_after_s is not None and isinstance(seen.last_progress_s, Known)
    proved_at_s = seen.began_s + seen.last_progress_s.value + result.detected_after_s
    return proved_at_s - max(map(float, onsets))


def others(scenario: Scenario, python: str, opened: Workspace) -> dict[str, str]:
    folder = built(scenario, python, opened)
    script = f"import sys; sys.path.insert(0, {folder!r})\n{scenario.statement}\n"
    dump_later = f"import faulthandler; faulthandler.dump_traceback_later({GIVEN_S}, exit=True)\n"
    with tempfile.TemporaryDirectory() as scratch:
        test = Path(scratch) / "test_it.py"
        body = "".join(f"    {line}\n" for line in script.splitlines())
        test.write_text(f"def test_it():\n{body}")
        pytest_command = [
            python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
            f"--rootdir={scratch}", f"--timeout={GIVEN_S}", str(test),
        ]  # fmt: skip
        return {
            "pytest-timeout, signal": ends([*pytest_command, "--timeout-method=signal"]),
            "pytest-timeout, thread": ends([*pytest_command, "--timeout-method=thread"]),
            "faulthandler": ends([python, "-c", dump_later + script]),
            "timeout(1)": ends(["timeout", str(GIVEN_S), python, "-c", script]),
            "py-spy dump": spied(python, script),
        }


def ends(command: list[str]) -> str:
    """How long a command takes that should end by itself after ``GIVEN_S``."""
    begin = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(GIVEN_UP_AFTER_S)
        text = f"{time.monotonic() - begin:.1f} s"
    except subprocess.TimeoutExpired:
        text = "never"
    finally:
        end_session(process)
    return text


def spied(python: str, script: str) -> str:
    process = subprocess.Popen(
        [python, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("onset"):
                break
        spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"
        begin = time.monotonic()
        command = [spy, "dump", "--nonblocking", "--pid", str(process.pid)]
        done = subprocess.run(command, capture_output=True, timeout=GIVEN_UP_AFTER_S, check=False)
        took = time.monotonic() - begin
        return f"stacks, {took:.1f} s" if done.returncode == 0 else "failed"
    except subprocess.TimeoutExpired:
        return "never"
    finally:
        end_session(process)


def end_session(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=3, help="of each scenario")
    parser.add_argument("--others", type=int, default=6, help="how many scenarios for the others")
    parser.add_argument("scenario", nargs="*", help="only those whose name contains one of these")
    arguments = parser.parse_args()
    scenarios = deadlocks(arguments.python, *arguments.scenario)
    taken: list[float] = []
    missed = 0
    with workspace() as opened:
        print(f"{'scenario':44} from onset to proof (median of {arguments.runs})")
        for scenario in scenarios:
            times = [own(scenario, arguments.python, opened) for _ in range(arguments.runs)]
            found = [each for each in times if each is not None]
            missed += len(times) - len(found)
            taken += found
            shown = f"{statistics.median(found) * 1e3:7.0f} ms" if found else "not proved"
            print(f"{scenario.name:44} {shown}", flush=True)
        median, worst = statistics.median(taken) * 1e3, max(taken) * 1e3
        print(f"\nall: median {median:.0f} ms, worst {worst:.0f} ms of {len(taken)}")
        print(f"not proved: {missed}")
        print(f"\nother tools, given {GIVEN_S} s; 'never': not within {GIVEN_UP_AFTER_S} s")
        step = max(1, len(scenarios) // max(arguments.others, 1))
        for scenario in scenarios[::step][: arguments.others]:
            print(f"{scenario.name}")
            for tool, outcome in others(scenario, arguments.python, opened).items():
                print(f"    {tool:24} {outcome}", flush=True)


if __name__ == "__main__":
    main()
