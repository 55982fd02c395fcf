"""What ``pytest --prove-hangs`` costs a suite that does not hang, and finds in one that does.

The cost is measured on trivial tests, as a ratio: within one session, with the plugins of the
option in and out by turns; of pairs of sessions of a single test, which is what does not grow with
their number; and of pairs with many. On a busy machine only the first and the processor times tell
anything. The table runs `repro/hanging_suite`, 30 tests of which 8 hang, under what people use
against hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
PATH = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
SUITE = HERE.parent / "repro" / "hanging_suite"
SCHEMA = HERE.parent / "tests" / "schemas" / "junit-10.xsd"
TESTS = 5000
LIMIT_S = 3
HANGS = (
    "test_setup_hangs",
    "test_teardown_hangs",
    "test_mutex_against_the_gil",
    "test_forked_child_needs_a_lock_that_a_thread_held",
    "test_two_threads_join_each_other",
    "test_crossed_locks",
    "test_queue_that_nobody_feeds",
    "test_future_that_nobody_sets",
)
OTHERS = 22
METHODS = {
    "pytest alone": (),
    "faulthandler_timeout": ("-o", f"faulthandler_timeout={LIMIT_S}"),
    "pytest-timeout, signal": (f"--timeout={LIMIT_S}", "--timeout-method=signal"),
    "pytest-timeout, thread": (f"--timeout={LIMIT_S}", "--timeout-method=thread"),
    "--prove-hangs": ("--prove-hangs", f"--prove-hangs-after={LIMIT_S}"),
}
MODES = {
    "": (),
    "-n 2": ("-n", "2"),
    "-n 4 --dist loadfile": ("-n", "4", "--dist", "loadfile"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--only", choices=["cost", "table"])
    parser.add_argument("--method", help="only methods whose name contains this")
    parser.add_argument("--within", type=float, default=90, help="seconds for each session")
    options = parser.parse_args()
    if options.only != "table":
        with tempfile.TemporaryDirectory() as folder:
            cost(Path(folder), options.pairs)
    if options.only != "cost":
        table([name for name in METHODS if (options.method or "") in name], options.within)


# --- the cost -----------------------------------------------------------------------------------


def cost(folder: Path, pairs: int) -> None:
    write_tests(folder, 1)
    timed(folder, ("--prove-hangs",))  # so that all that is loaded is compiled
    turns(folder)
    for tests, own in ((1, ()), (TESTS, ()), (TESTS, ("-n", "2"))):
        write_tests(folder, tests)
        pairs_of: dict[str, list[tuple[float, float]]] = {
            "wall": [],
            "all processor": [],
            "session's own processor": [],
        }
        for number in range(pairs):
            # Who comes first has the machine's caches against it, so they take turns.
            first = bool(number % 2)
            times = {
                watched: timed(folder, (*own, *(("--prove-hangs",) if watched else ())))
                for watched in (first, not first)
            }
            for kind, of_kind in pairs_of.items():
                of_kind.append((times[False][kind], times[True][kind]))
        print(f"{tests} trivial tests {' '.join(own)}, {pairs} pairs: with --prove-hangs / without")
        for kind, of_kind in pairs_of.items():
            ratios = sorted(watched / plain for plain, watched in of_kind)
            low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
            least = min(watched for _, watched in of_kind) / min(plain for plain, _ in of_kind)
            more = statistics.median(watched - plain for plain, watched in of_kind)
            print(
                f"  {kind} time: median {statistics.median(ratios):.4f} (half of them {low:.3f} to "
                f"{high:.3f}), fastest against fastest {least:.4f}, {1e3 * more:.0f} ms more than "
                f"{statistics.median(plain for plain, _ in of_kind):.2f} s",
                flush=True,
            )


def write_tests(folder: Path, number: int) -> None:
    (folder / "test_many.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('i', range({number}))\ndef test_it(i): pass\n"
    )


def turns(folder: Path) -> None:
    write_tests(folder, 8 * TESTS)
    timed(folder, ("--prove-hangs",), TURNS_FILE=str(folder / "turns"))
    plain, watched = (sorted(each) for each in json.loads((folder / "turns").read_text()))
    print(f"{8 * TESTS} trivial tests, by turns with the option's plugins and without:")
    for name, at in (("quarter", 4), ("median", 2)):
        less, more = plain[len(plain) // at], watched[len(watched) // at]
        print(
            f"  processor time of a test, {name}: {1e6 * more:.1f} µs against {1e6 * less:.1f} µs, "
            f"{more / less:.4f} times",
            flush=True,
        )


def timed(folder: Path, options: Iterable[str], **environment: str) -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "session_notes", *options),
        ],
        cwd=folder,
        env={
            **{name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "PYTHONPATH": PATH,
            "USED_FILE": str(folder / "used"),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    own = float((folder / "used").read_text())
    return {"wall": wall, "all processor": processor, "session's own processor": own}


# --- the table ----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Run:
    """One session: the lines it printed, each with the time, and what it left."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    began_s: dict[str, float] = field(default_factory=dict)  # of each test
    results: set[tuple[str, str]] = field(default_factory=set)  # of tests that do not hang
    junit: str = "none"
    ended: bool = True
    seconds: float = 0.0
    processes: int = 0  # left behind

    def named_after(self) -> dict[str, float]:
        """For each hang that was named, the seconds from the beginning of its test.

        The progress that ``-v`` prints when a test begins names it too; that it hangs it does not
        say.
        """
        found: dict[str, float] = {}
        for at_s, line in self.lines:
            progress = re.match(r"(\[gw\d+\].*%\] \w+ )?\S+::\w+(\[.*\])? *$|^\S+::\w+ ", line)
            for name in HANGS:
                if name in self.began_s and name not in found and not progress and name in line:
                    found[name] = at_s - self.began_s[name]
        return found


def table(methods: Iterable[str], within_s: float) -> None:
    print(
        "method | mode | ended by itself | seconds | hangs named | after | results | JUnit | left"
    )
    print("--- | --- | --- | --- | --- | --- | --- | --- | ---")
    for name in methods:
        for mode, workers in MODES.items():
            run = session((*METHODS[name], *workers), within_s)
            named = run.named_after()
            after = f"{min(named.values()):.1f} to {max(named.values()):.1f} s" if named else ""
            print(
                f"{name} | {mode} | {'yes' if run.ended else 'no'} | {run.seconds:.0f} | "
                f"{len(named)} of {len(HANGS)} | {after} | {len(run.results)} of {OTHERS} | "
                f"{run.junit} | {run.processes}",
                flush=True,
            )


def session(options: Iterable[str], within_s: float) -> Run:
    token = uuid.uuid4().hex
    run = Run()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST")}
        environment |= {
            "ONSET_FILE": str(folder / "onsets"),
            "PYTHONPATH": PATH,
            "BENCHMARK_TOKEN": token,
        }
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "-p",
            "session_notes",
        ]
        command += ["-c", os.devnull, f"--rootdir={folder}", f"--junitxml={folder}/junit.xml"]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, *options, str(SUITE)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        reader = threading.Thread(target=read, args=[process, run], daemon=True)
        reader.start()
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            run.ended = False
        run.seconds = time.monotonic() - began
        if run.ended:
            time.sleep(0.5)
            run.processes = len(list(processes_with(token)))
        end_all(token)
        process.wait()
        reader.join(5)
        onsets = folder / "onsets"  # on a very busy machine no test may have begun
        for line in onsets.read_text().splitlines() if onsets.exists() else ():
            name, at_s = json.loads(line)
            run.began_s.setdefault(name, at_s)
        if run.ended:  # who is killed from outside may leave half a file
            read_junit(folder / "junit.xml", run)
    return run


def read(process: subprocess.Popen[str], run: Run) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        run.lines.append((time.monotonic(), line.rstrip("\n")))


def processes_with(token: str) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (path / "environ").read_bytes():
                yield int(path.name)
        except OSError:
            continue


def end_all(token: str) -> None:
    while left := list(processes_with(token)):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def read_junit(path: Path, run: Run) -> None:
    from lxml import etree

    if not path.exists():
        return
    document = etree.parse(str(path))
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    run.junit = "valid" if schema.validate(document) else "not valid"
    # A session that crashed may leave one without a name.
    cases = [
        (each.get("classname", ""), each.get("name", "")) for each in document.iter("testcase")
    ]
    names = {name for _, name in cases}
    run.results = {case for case in cases if case[1] and not case[1].endswith(HANGS)}
    if not names.issuperset(HANGS):
        missing = [each for each in HANGS if not any(name.endswith(each) for name in names)]
        run.junit += f", {len(missing)} hangs not in it" if missing else ""


if __name__ == "__main__":
    main()
