"""Runs the README's two lines as a newcomer meets them: ``python -m environments.fresh``.

In a bare Debian root with what the README asks for and nothing else, as an ordinary user with an
empty home, in a clean clone of what is committed. The root, its mounts and every process in it live
in namespaces of their own and are gone with them, however this ends. Where no root can be made, it
says why, and runs the lines in a clean clone with an emptied environment.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from environments import pip_settings, pristine
from environments.pristine import PROJECT, UID, USER

LINE_TIMEOUT_S = 40 * 60
ENDING_S = 30
NOT_ENTERED = 77  # exit status inside: nothing has been run
ROOT = "root"  # the root's folder, beside its archive
_IGNORED_BY_NOHUP = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What took how long; ``status`` is 0 if it went well."""

    name: str
    status: int
    elapsed_s: float
    cpu_s: float
    decides: bool = True
    """Whether the whole fails with it."""


def read_lines(readme: str) -> list[str]:
    """The command lines of the first block of shell in the README."""
    block = re.search(r"^```sh\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    return [line for line in block[1].splitlines() if line.strip()] if block else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lines; 0 if all of them ended with 0."""
    options = _parse(arguments)
    lines = read_lines((PROJECT / "README.md").read_text(encoding="utf-8"))
    numbers = [options.line] if options.line else list(range(1, len(lines) + 1))
    if not numbers or max(numbers) > len(lines):
        raise SystemExit(f"README.md has {len(lines)} command lines in its first block")
    if options.inside:
        return _run_inside(options, lines, numbers)
    phases: list[Phase] = []
    _leave_nothing_when_told_to_end()
    with tempfile.TemporaryDirectory(prefix="fresh-", ignore_cleanup_errors=True) as scratch:
        try:
            with _timed("make the root", phases):
                archive = pristine.make_archive(Path(scratch))
        except pristine.NoRoot as reason:
            print(f"no root can be made: {reason}; a clean clone has to do", flush=True)
            return _run_in_clone(options, lines, numbers, Path(scratch))
        _print(phases)
        given = sys.argv[1:] if arguments is None else list(arguments)
        command = [*pristine.namespaces(), sys.executable, "-m", "environments.fresh", *given]
        command += ["--inside", str(archive)]
        try:
            status = subprocess.run(command, cwd=PROJECT, check=False).returncode
        finally:
            pristine.remove(Path(scratch, ROOT))
        if status != NOT_ENTERED:
            return status
        return _run_in_clone(options, lines, numbers, Path(scratch))


def _leave_nothing_when_told_to_end() -> None:
    """Let SIGTERM and SIGHUP unwind, so that the root and what runs in it go with us."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s fresh --")
    parser.add_argument("--line", type=int, help="only this line of the README, from 1")
    parser.add_argument("--nohup", action="store_true", help="SIGINT, SIGQUIT, SIGHUP ignored")
    parser.add_argument("--folder", default="project", help="the name of the clone's folder")
    parser.add_argument("--lang", default="C.UTF-8", help="LANG; nothing else is set of its kind")
    parser.add_argument(
        "--umask", type=lambda text: int(text, 8), default=0o022, help="such as 077"
    )
    parser.add_argument("--tmpdir", help="a folder for TMPDIR, made beside the clone")
    parser.add_argument("--locked-home", action="store_true", help="HOME cannot be written to")
    parser.add_argument("--one-core", action="store_true", help="run on one core only")
    parser.add_argument(
        "--second-try", metavar="COMMAND", help="run this where a line fails, and let it decide"
    )
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _run_inside(options: argparse.Namespace, lines: list[str], numbers: list[int]) -> int:
    """In namespaces of our own: lay the root out, and run the lines there.

    Nothing is removed here, where folders of this machine are mounted in the root; the mounts end
    with the namespaces, and the root is removed outside, where they have never been.
    """
    phases: list[Phase] = []
    root = options.inside.with_name(ROOT)
    try:
        with _timed("lay it out", phases):
            settings = pristine.lay_out(root, options.inside, options.folder)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"the root cannot be laid out: {error}; a clean clone has to do", flush=True)
        return NOT_ENTERED
    variables = {
        "HOME": f"/home/{USER}",
        "USER": USER,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": options.lang,
        **settings,
    }
    if options.locked_home:
        variables["HOME"] = _locked(root)
    if options.tmpdir:
        scratch = Path("home", USER, options.tmpdir)
        (root / scratch).mkdir()
        os.chown(root / scratch, UID, UID)
        variables["TMPDIR"] = f"/{scratch}"
    enter = [pristine.program("chroot"), f"--userspec={UID}:{UID}", str(root), "/bin/sh", "-c"]
    chosen = {number: lines[number - 1] for number in numbers}
    _run_lines(chosen, enter, f"/home/{USER}/{options.folder}", variables, options, phases)
    return _summed_up(phases)


def _locked(root: Path) -> str:
    """An empty home that belongs to somebody else."""
    home = Path("home", "locked")
    (root / home).mkdir(mode=0o555)
    return f"/{home}"


def _run_in_clone(
    options: argparse.Namespace, lines: list[str], numbers: list[int], scratch: Path
) -> int:
    phases: list[Phase] = []
    home, clone = scratch / "home", scratch / options.folder
    home.mkdir()
    pristine.clone(clone)
    variables = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": options.lang,
        **pip_settings.variables(),
    }
    chosen = {number: lines[number - 1] for number in numbers}
    _run_lines(chosen, ["/bin/sh", "-c"], str(clone), variables, options, phases)
    return _summed_up(phases)


def _run_lines(
    lines: Mapping[int, str],
    shell: list[str],
    folder: str,
    variables: Mapping[str, str],
    options: argparse.Namespace,
    phases: list[Phase],
) -> None:
    """Run the lines in the folder; where one fails, what is to be tried then decides."""
    for number, line in lines.items():
        name = f"line {number}"
        _run_line(name, [*shell, f'cd "$0" && {line}', folder], variables, options, phases)
        if phases[-1].status and options.second_try:
            again = [*shell, f'cd "$0" && {options.second_try}', folder]
            print(f"\nFAILED ONCE: {name}; what is tried now decides\n", flush=True)
            _run_line(f"{name}, tried again", again, variables, options, phases)
            phases[-2] = replace(phases[-2], decides=False)


def _run_line(
    name: str,
    command: list[str],
    variables: Mapping[str, str],
    options: argparse.Namespace,
    phases: list[Phase],
) -> None:
    """Run one line with signals as the shell of a user, or of a user's ``nohup``, leaves them."""

    def dispose() -> None:
        wanted = signal.SIG_IGN if options.nohup else signal.SIG_DFL
        for each in _IGNORED_BY_NOHUP:
            signal.signal(each, wanted)
        os.umask(options.umask)
        if options.one_core:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    with _timed(name, phases) as result:
        process = subprocess.Popen(
            command,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=dispose,
            start_new_session=True,
        )
        guard = threading.Timer(LINE_TIMEOUT_S, os.killpg, (process.pid, signal.SIGKILL))
        guard.start()
        try:
            _show(process, time.monotonic())
            result.append(process.wait(ENDING_S))
        finally:
            guard.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _show(process: subprocess.Popen[bytes], began_s: float) -> None:
    """Print each line of output with the minutes and seconds since the command's start."""
    assert process.stdout is not None
    for line in process.stdout:
        minutes, seconds = divmod(int(time.monotonic() - began_s), 60)
        sys.stdout.buffer.write(f"{minutes:2}:{seconds:02} ".encode() + line)
        sys.stdout.buffer.flush()


@contextmanager
def _timed(name: str, phases: list[Phase]) -> Iterator[list[int]]:
    """Note how long the body took, and with which status, if it says one."""
    began_s, cpu_s, result = time.monotonic(), _cpu_s(), list[int]()
    print(f"fresh: {name} ...", flush=True)
    yield result
    phases.append(
        Phase(
            name=name,
            status=result[0] if result else 0,
            elapsed_s=time.monotonic() - began_s,
            cpu_s=_cpu_s() - cpu_s,
        )
    )


def _cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _summed_up(phases: Sequence[Phase]) -> int:
    _print(phases)
    return max(phase.status != 0 for phase in phases if phase.decides)


def _print(phases: Sequence[Phase]) -> None:
    for phase in phases:
        how = "" if phase.status == 0 else f", status {phase.status}"
        took = f"{phase.elapsed_s:.0f} s, {phase.cpu_s:.0f} s of them computing"
        print(f"fresh: {phase.name} took {took}{how}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
