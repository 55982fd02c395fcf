"""Builds environments and tells how far it is: ``python -m environments.building RECIPE...``.

Runs in the harness' environment. nox builds in a process of its own, so that what fails there fails
nothing here; what it prints goes into a file. With ``--first-answer``, the matrix's first question
is put to the recipes marked as first as soon as they are there, while the others are built.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from environments import collect, marks
from environments.recipes import FOLDER, NOX, RECIPES, Recipe

LOG = NOX / "environments.log"
FIRST_ANSWER = NOX / "first-answer"
PARALLEL = 2
POLL_S = 0.5
TELL_EVERY_S = 20.0
ENDING_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is to be built; what could not be is told by `environments.collect`."""
    parser = argparse.ArgumentParser(prog="python -m environments.building")
    parser.add_argument("recipes", nargs="+", choices=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--first-answer", action="store_true")
    options = parser.parse_args(arguments)
    todo = [RECIPES[name] for name in options.recipes if RECIPES[name].is_to_be_built()]
    collect.REPORT.unlink(missing_ok=True)
    if not todo:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    first = [each for each in todo if each.first] if options.first_answer else []
    with _builder(sessions(todo)) as builder:
        if first and len(first) < len(todo):
            _wait(builder, todo, first)
            if builder.poll() is None:
                _answer_first([RECIPES[name] for name in options.recipes if RECIPES[name].first])
        _wait(builder, todo, todo)
    return 0


def sessions(todo: Sequence[Recipe]) -> list[str]:
    """The sessions of the noxfile that build recipes, in the order in which they are to begin.

    Recipes that give the first answer come first, with what they wait for.
    """
    ordered = sorted(todo, key=lambda recipe: not recipe.first)
    names = [name for each in ordered for name in (*each.requires, each.session)]
    return list(dict.fromkeys(names))


def progress(built: int, planned: int, under_way: Sequence[tuple[str, float]]) -> str:
    """``3 of 9 interpreters are ready; building pip-mkl (for 41 s)``."""
    now = ", ".join(f"{name} (for {seconds:.0f} s)" for name, seconds in under_way)
    return f"{built} of {planned} interpreters are ready; building {now or 'begins'}"


@contextmanager
def _builder(names: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The nox that builds, ended with all that it has started when the block is left."""
    marks.clear()
    command = [sys.executable, "-m", "nox", "--parallel", str(PARALLEL)]
    command += ["--report", str(collect.REPORT), "--sessions", *names]
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=FOLDER.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_S)


def _wait(
    builder: subprocess.Popen[bytes], planned: Sequence[Recipe], wanted: Sequence[Recipe]
) -> None:
    """Wait until recipes are built, or nothing is built any more; tell how far it is."""
    line, told_s = _Line(), 0.0
    before: tuple[int, list[str]] = (-1, [])
    while builder.poll() is None and any(each.built() is None for each in wanted):
        built = sum(each.built() is not None for each in planned)
        under_way = marks.under_way()
        state = built, [name for name, _ in under_way]
        # On a terminal the line is written anew; elsewhere it is told when something changes.
        if line.rewrites or state != before or time.monotonic() - told_s > TELL_EVERY_S:
            line.write(progress(built, len(planned), under_way))
            before, told_s = state, time.monotonic()
        time.sleep(POLL_S)
    if wanted is planned:  # what comes after the last recipe is short
        builder.wait()
    line.end()


class _Line:
    """A line of progress, rewritten where that can be done."""

    def __init__(self) -> None:
        self.rewrites = sys.stdout.isatty()

    def write(self, text: str) -> None:
        print(*(["\r\033[K" + text] if self.rewrites else [text]), flush=True, end=self._end)

    def end(self) -> None:
        if self.rewrites:
            print("\r\033[K", end="", flush=True)

    @property
    def _end(self) -> str:
        return "" if self.rewrites else "\n"


def _answer_first(recipes: Sequence[Recipe]) -> None:
    """Put the first question to the interpreters that are there. The whole run asks it again."""
    found = [collect.collect(recipe, {}) for recipe in recipes]
    ready = [each for each in found if not each.unavailable]
    if not ready:
        return
    building = ", ".join(name for name, _ in marks.under_way())
    print(f"a first answer, while {building or 'other interpreters'} are built:", flush=True)
    file = NOX / "first.json"
    file.write_bytes(msgspec.json.encode(ready))
    shutil.rmtree(FIRST_ANSWER, ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "tests/matrix", "--deadlock-matrix", "-q"]
    command += ["--preset=first", f"--interpreters-file={file}", "-n", "auto"]
    command += [f"--deadlock-matrix-report={FIRST_ANSWER}"]
    subprocess.run(command, cwd=FOLDER.parent, check=False)
    print("that was the first answer; the whole follows", flush=True)


if __name__ == "__main__":
    sys.exit(main())
