"""Runs every scenario once on several CPythons, and writes what came out as a table.

``nox -s scenarios`` starts it. What was found is kept in a JSON file, one entry for each
interpreter, so that a later run can renew some of them and write the table of all.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from integration.cells import Outcome, Python, missing, of_kind, run_all, scenarios
from integration.soak import JOBS, find
from scenarios.document import ScenarioKind

from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.markup import code, escaped, table
from deadlock_matrix.run.workspace import Workspace

NOT_SHOWN = "–"
TITLES = {ScenarioKind.DEADLOCK: "Deadlocks", ScenarioKind.LOOK_ALIKE: "Healthy look-alikes"}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """What one interpreter showed: a short result for each scenario, and what was unexpected."""

    version: str
    build: str
    ran_on: str
    date: str
    results: dict[str, str]
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """``3.13.5``, or ``3.13.5t`` of a free-threaded build."""
        return self.version + ("t" if self.build == "free-threaded" else "")


def column_of(python: Python, only: Sequence[str]) -> Column:
    """Run all scenarios, or those that are named, on one interpreter."""
    results: dict[str, str] = {}
    problems: list[str] = []
    for kind in ScenarioKind:
        chosen = [
            each
            for each in of_kind(kind, python)
            if (not only or each.name in only) and not missing(each, python)
        ]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            outcomes = run_all(
                [(scenario, python) for scenario in chosen],
                JOBS[kind],
                lambda folder=folder: Workspace(folder / "cache", folder / "scratch"),
            )
        results |= {outcome.scenario.name: short(outcome) for outcome in outcomes}
        problems += [problem for outcome in outcomes if (problem := outcome.problem())]
    return Column(
        version=python.version,
        build="free-threaded" if python.free_threaded else "with a GIL",
        ran_on=f"{platform.system()}, {platform.machine()}, {libc_of(python)}",
        date=datetime.now(UTC).date().isoformat(),
        results=results,
        problems=tuple(problems),
    )


def libc_of(python: Python) -> str:
    """The C library of an interpreter, which may have come with it."""
    ask = "import platform; print(*platform.libc_ver())"
    command = [python.executable, "-I", "-c", ask]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def short(outcome: Outcome) -> str:
    """The verdict and its kind in a word or two."""
    result = outcome.result
    if result is None:
        return NOT_SHOWN
    judgement = result.judgement
    if result.verdict is Verdict.DEADLOCK and judgement is not None and judgement.proof is not None:
        return judgement.proof.kind.value
    if result.verdict is Verdict.HANG and judgement is not None:
        return "hang" if judgement.outcome == "not-proved" else judgement.outcome
    return result.verdict.value


def document(columns: Sequence[Column]) -> str:
    """The page: what ran where, both tables, and where versions differ."""
    return "\n".join([*_head(columns), *_tables(columns), *_differences(columns)]) + "\n"


def _head(columns: Sequence[Column]) -> Iterator[str]:
    yield "# Pythons"
    yield ""
    yield "Every scenario, run once on every CPython that was found. `nox -s scenarios -- --output"
    yield "docs/pythons.md` writes this page anew; nothing in it is written by hand."
    yield ""
    yield "| word | what came out |"
    yield "| --- | --- |"
    yield "| owner, closed-world | a proved deadlock, by this kind of proof |"
    yield "| likely, partial, likely-partial | a hang at the deadline, told so |"
    yield "| hang | a hang of which nothing is proved |"
    yield "| ok | it ended by itself, as a healthy program |"
    yield f"| {NOT_SHOWN} | it cannot be shown there: another build, or a module is missing |"
    yield ""
    rows = [
        [
            escaped(each.name),
            each.build,
            str(sum(result != NOT_SHOWN for result in each.results.values())),
            str(len(each.problems)),
            escaped(f"{each.date}, {each.ran_on}"),
        ]
        for each in columns
    ]
    yield table(["CPython", "build", "scenarios run", "unexpected", "when and where"], rows)
    yield ""
    for each in columns:
        for problem in each.problems:
            yield f"- unexpected: {escaped(problem.splitlines()[0])}"
    yield ""


def _tables(columns: Sequence[Column]) -> Iterator[str]:
    for kind, title in TITLES.items():
        names = [each.name for each in scenarios() if each.kind is kind]
        rows = [
            [code(name), *(each.results.get(name, NOT_SHOWN) for each in columns)] for name in names
        ]
        yield f"## {title}"
        yield ""
        yield table(["scenario", *(each.name for each in columns)], rows)
        yield ""


def _differences(columns: Sequence[Column]) -> Iterator[str]:
    yield "## Where they differ"
    yield ""
    differing = 0
    for scenario in scenarios():
        shown = {each.name: each.results.get(scenario.name, NOT_SHOWN) for each in columns}
        words = sorted(set(shown.values()) - {NOT_SHOWN})
        if len(words) > 1:
            differing += 1
            told = "; ".join(
                f"{word} on {', '.join(name for name, found in shown.items() if found == word)}"
                for word in words
            )
            yield f"- {code(scenario.name)}: {told}. {escaped(_expected(scenario.name, columns))}"
    if not differing:
        yield "No scenario comes out differently on two of them, where it can be shown."


def _expected(name: str, columns: Sequence[Column]) -> str:
    unexpected = any(problem.startswith(f"{name} on ") for c in columns for problem in c.problems)
    return "Not as its scenario.toml says." if unexpected else "Its scenario.toml says why."


def main() -> int:
    """Run and write; 1 if anything was unexpected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[], help="an interpreter to run")
    parser.add_argument("--only", action="append", default=[], help="a scenario to run")
    parser.add_argument("--keep", type=Path, required=True, help="the JSON file of all results")
    parser.add_argument("--output", type=Path, required=True, help="the Markdown file to write")
    options = parser.parse_args()
    kept: dict[str, Column] = {}
    if options.keep.exists():
        kept = msgspec.json.decode(options.keep.read_bytes(), type=dict[str, Column])
    unexpected = 0
    for executable in options.python:
        column = column_of(find(executable), options.only)
        if options.only and column.name in kept:
            before = kept[column.name]
            again = tuple(f"{name} on " for name in column.results)
            column = msgspec.structs.replace(
                column,
                results=before.results | column.results,
                problems=(
                    *(each for each in before.problems if not each.startswith(again)),
                    *column.problems,
                ),
            )
        kept[column.name] = column
        unexpected += len(column.problems)
        print(f"{column.name}: {len(column.results)} scenarios", *column.problems, sep="\n  ")
        options.keep.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
        columns = sorted(kept.values(), key=lambda each: (_number(each.version), each.build))
        options.output.write_text(document(columns), encoding="utf-8")
    print(f"written: {options.output}")
    return 1 if unexpected else 0


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


if __name__ == "__main__":
    sys.exit(main())
