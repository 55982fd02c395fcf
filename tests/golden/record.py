"""Records the golden evidence anew; run by hand: ``python tests/golden/record.py [--python EXE]``.

Every deadlock scenario, and some that only look like one, is run on each interpreter given. What
the watchdog saw is stored with what the scenario says must come out. Where this machine keeps its
files is written in neutral names, so that nothing of it is left in the recording.
"""

from __future__ import annotations

import argparse
import getpass
import gzip
import queue
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.recordings import FOLDER, SUFFIX, Recording, minor_of, path_of
from scenarios.document import ScenarioKind
from scenarios.scenario import Scenario, build, load_scenarios

import deadlock_matrix
from deadlock_matrix.errors import Unavailable
from deadlock_matrix.model.cell import Cell, Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.observation import CellResult, End, Stopped
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
DEADLOCK_WITHIN_S = 30.0
LOOK_AFTER_S = 2.5  # at the look-alikes, which last longer
ATTEMPTS = 3
LARGEST_FILE = 60_000
LARGEST_TOTAL = 2_000_000

LOOK_ALIKES = (
    "healthy-child-stopped-continued",
    "healthy-clone-vm-child",
    "healthy-clone-vm-helper-holds-mutex",
    "healthy-clone-vm-outside",
    "healthy-condition-timer-thread",
    "healthy-crossed-locks-timeout",
    "healthy-crossed-mutexes-one-timed",
    "healthy-crossed-mutexes-timedlock",
    "healthy-daemon-threads-deadlocked",
    "healthy-deadlocked-child-killed-by-alarm",
    "healthy-deadlocked-child-killed-by-thread",
    "healthy-deadlocked-child-timeout",
    "healthy-fifo-held-open-by-reader",
    "healthy-full-pipes-drained-by-third",
    "healthy-futex-imitates-mutex",
    "healthy-futex-imitates-mutex-inline",
    "healthy-futex-in-read-only-file",
    "healthy-futex-woken-by-other-process",
    "healthy-gil-handover",
    "healthy-gil-held-until-native-post",
    "healthy-gil-holder-waits-for-mutex",
    "healthy-idle-pool-late-future",
    "healthy-import-join-interrupted",
    "healthy-import-join-timeout",
    "healthy-io-uring-writes-pipe",
    "healthy-io-uring-writes-word",
    "healthy-itimer-sets-event",
    "healthy-join-cancelled",
    "healthy-join-interrupted-by-timer",
    "healthy-lock-baton",
    "healthy-lock-held-by-sleeper",
    "healthy-lock-interrupted-by-child",
    "healthy-mutex-as-semaphore",
    "healthy-mutex-owner-exited",
    "healthy-own-pipe-second-thread",
    "healthy-pipe-child-writes-late",
    "healthy-pipe-detached-writer",
    "healthy-pipe-fed-by-second-thread",
    "healthy-pipe-reader-reopens-it-outside",
    "healthy-pipe-writer-in-flight",
    "healthy-pipe-writer-without-leader",
    "healthy-poll-socket-hangs-up",
    "healthy-poll-writer-reader-leaves",
    "healthy-posix-timer-aborts",
    "healthy-posix-timer-posts",
    "healthy-process-shared-mutex",
    "healthy-process-shared-mutex-outside",
    "healthy-self-pipe-alarm",
    "healthy-sigchld-handler",
    "healthy-sigint-handler",
    "healthy-signal-from-outside",
    "healthy-sigwait-outside",
    "healthy-slow-import",
    "healthy-stopped-timed-wait",
    "healthy-thread-own-descriptors",
    "healthy-waitpid-child-finishes",
)


def main() -> int:
    """Record; the exit status is 1 if something did not come out as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", metavar="EXE", help="may be repeated")
    parser.add_argument("--only", action="append", metavar="NAME", help="only these scenarios")
    parser.add_argument("--jobs", type=int, default=3)
    options = parser.parse_args()
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for executable in options.python or [sys.executable]:
            problems += Recorder(executable, Path(folder)).record(options.only, options.jobs)
    sizes = {path: path.stat().st_size for path in FOLDER.glob(f"*/*{SUFFIX}")}
    problems += [f"{path} has {size} bytes" for path, size in sizes.items() if size > LARGEST_FILE]
    if sum(sizes.values()) > LARGEST_TOTAL:
        problems.append(f"all recordings together have {sum(sizes.values())} bytes")
    print(f"{len(sizes)} recordings, {sum(sizes.values())} bytes")
    print("\n".join(problems))
    return 1 if problems else 0


class Recorder:
    """Records on one interpreter."""

    def __init__(self, executable: str, folder: Path) -> None:
        self.executable = executable
        self.cache = folder / "cache"
        self.scratch = folder / "scratch"
        asked = (
            "import platform, sys; print(platform.python_version(), sys.base_prefix, sys.prefix)"
        )
        answer = subprocess.check_output([executable, "-c", asked], text=True, timeout=30)
        self.version, *self.prefixes = answer.split()

    def record(self, only: list[str] | None, jobs: int) -> list[str]:
        """Record the scenarios; returns what went wrong."""
        todo: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
        for scenario in load_scenarios(ROOT / "repro" / "scenarios"):
            wanted = scenario.kind is ScenarioKind.DEADLOCK or scenario.name in LOOK_ALIKES
            chosen = only is None or scenario.name in only
            if wanted and chosen and scenario.applies_to(self.version) and not scenario.requires:
                todo.put(scenario)
        problems: list[str] = []
        if only is None:
            shutil.rmtree(FOLDER / minor_of(self.version), ignore_errors=True)
        workers = [threading.Thread(target=self._work, args=(todo, problems)) for _ in range(jobs)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return problems

    def _work(self, todo: queue.SimpleQueue[Scenario], problems: list[str]) -> None:
        with Workspace(self.cache, self.scratch) as workspace:
            while True:
                try:
                    scenario = todo.get_nowait()
                except queue.Empty:
                    return
                where = f"{scenario.name} on {self.version}"
                problem = ""
                for _ in range(ATTEMPTS):  # a busy machine may look too late
                    try:
                        problem = self._record(scenario, workspace)
                    except Unavailable as error:
                        problem = str(error)
                        break
                    if not problem:
                        break
                if problem:
                    problems.append(f"{where}: {problem}")

    def _record(self, scenario: Scenario, workspace: Workspace) -> str:
        built = build(scenario, self.executable, self.cache)
        look_alike = scenario.kind is ScenarioKind.LOOK_ALIKE
        cell = Cell(
            target="golden",
            interpreter=Interpreter(name="python", executable=self.executable),
            profile=Profile(name="scenario", set=scenario.environment),
            layout=Layout(name=scenario.name, overlays=(str(built),)),
            entry=Entry(name="scenario", statement=scenario.statement),
            context=Context(name="main"),
            deadline_s=LOOK_AFTER_S if look_alike else DEADLOCK_WITHIN_S,
        )
        result = run_cell(cell, workspace)
        expected = scenario.expectation_for(self.version)
        if not look_alike and result.verdict is not expected.verdict:
            return f"{result.verdict}, not {expected.verdict}: {result.why}"
        if look_alike and not isinstance(known_end(result), Stopped):
            return f"{result.verdict} after less than {LOOK_AFTER_S} s: {result.why}"
        if result.verdict is Verdict.OK:
            return ""  # nothing hung, as it must be on this version
        if look_alike and result.verdict is Verdict.DEADLOCK:
            return f"a deadlock: {result.why}"
        evidence = self._neutral(evidence_of(result), scenario, result)
        judgement = judge(evidence)
        kind = judgement.proof.kind if judgement.proof is not None else None
        if not look_alike and (expected.verdict is Verdict.DEADLOCK) != (
            judgement.outcome == "deadlock" and kind == expected.proof
        ):
            return f"{judgement.outcome} with the proof {kind}, not {expected.proof}"
        recording = Recording(
            scenario=scenario.name,
            python=self.version,
            outcome=judgement.outcome,
            proof=kind,
            evidence=evidence,
        )
        path = path_of(recording.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.encode(recording)
        path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
        return self._traces(content.decode())

    def _neutral(self, evidence: Evidence, scenario: Scenario, result: CellResult) -> Evidence:
        """Without what no proof needs, and in names that say nothing of this machine."""
        release = ".".join(evidence.machine.kernel.split(".")[:2])
        evidence = msgspec.structs.replace(
            evidence,
            machine=msgspec.structs.replace(evidence.machine, kernel=release),
            before=with_libraries_in_use(evidence.before),
            after=with_libraries_in_use(evidence.after),
            native_stacks=(),
        )
        text = msgspec.json.encode(evidence).decode()
        package = Path(deadlock_matrix.__file__).resolve().parent
        names = {
            str(package / "probe"): "/probe",
            str(package): "/deadlock_matrix",
            **{str(Path(prefix)): "/usr" for prefix in self.prefixes},
            **{str(Path(prefix).resolve()): "/usr" for prefix in self.prefixes},
            **{str(folder): "/scenario" for folder in sorted((self.cache / "layouts").glob("*"))},
            **{str(folder): "/scenario" for folder in sorted(self.cache.glob("*-*"))},
            str(self.scratch): "/scratch",
            str(ROOT): "/deadlock-matrix",
            str(Path.home()): "/home/user",
        }
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, names[name])
        return msgspec.json.decode(text, type=Evidence)

    def _traces(self, text: str) -> str:
        """What is left of this machine's names."""
        told = {str(ROOT), str(ROOT.parent), str(Path.home()), str(self.cache)}
        told |= {str(self.scratch), getpass.getuser() + "/", *self.prefixes}
        told |= {sys.prefix, sysconfig.get_path("purelib"), tempfile.gettempdir() + "/"}
        found = sorted(name for name in told - {"/usr", ""} if name in text)
        return f"the recording still names {', '.join(found)}" if found else ""


def known_end(result: CellResult) -> End | None:
    """How the cell ended, if it was run."""
    observation = result.observation
    return observation.value.end if isinstance(observation, Known) else None


def evidence_of(result: CellResult) -> Evidence:
    """The evidence of a cell that hung."""
    observation = result.observation
    assert isinstance(observation, Known)
    evidence = observation.value.evidence
    assert isinstance(evidence, Known), evidence
    return evidence.value


def with_libraries_in_use(snapshot: Snapshot) -> Snapshot:
    """Of the mapped libraries only those that a thread waits in."""
    processes = []
    for process in snapshot.processes:
        used = {t.code.value.library for t in process.threads if isinstance(t.code, Known)}
        used |= {t.word.value.mapping.path for t in process.threads if isinstance(t.word, Known)}
        libraries = process.libraries
        if isinstance(libraries, Known):
            kept = tuple(library for library in libraries.value if library.path in used)
            libraries = known(kept, libraries.source)
        processes.append(msgspec.structs.replace(process, libraries=libraries))
    return msgspec.structs.replace(snapshot, processes=tuple(processes))


if __name__ == "__main__":
    sys.exit(main())
