"""The arguments with which an earlier run chose its cells, for ``run --resume`` without any."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SWITCH = "--deadlock-matrix"
OWN_ARGUMENTS_END = ("-c", os.devnull)
"""The last arguments that ``run`` itself gives to pytest; the user's follow."""

_NOT_CHOOSING = {
    "--resume": 1,
    "--rerun": 1,
    "--only-changed": 0,
    "--fail-fast": 0,
    "--events": 1,
    "--deadlock-matrix-report": 1,
    "--dask": 1,
    "--dask-wait": 1,
    "--tls-ca": 1,
    "--tls-cert": 1,
    "--tls-key": 1,
    "--include-host": 0,
    "--jobs": 1,
    "-n": 1,
    "-x": 0,
    "-q": 0,
    "-v": 0,
}
"""Options that say how a run goes, with the number of values; a resumed run has its own."""


class Chosen(NamedTuple):
    """How an earlier run was told what to run."""

    switch: str
    arguments: tuple[str, ...]


def chosen_before(arguments: Sequence[str]) -> Chosen | None:
    """Return how the run to be resumed chose its cells; ``None`` if ``arguments`` choose.

    Raises:
        ReportError: There is no run to resume.
    """
    path = _value(arguments, "--resume")
    if path is None or any(True for _ in _choosing(arguments)):
        return None
    from deadlock_matrix.report.earlier import read_earlier

    before = [_restored(each) for each in read_earlier(Path(path)).report.arguments]
    end = len(OWN_ARGUMENTS_END)
    for at in range(len(before) - end + 1):
        if tuple(before[at : at + end]) == OWN_ARGUMENTS_END:
            switch = next((each for each in before[:at] if each.startswith(SWITCH)), SWITCH)
            return Chosen(switch, tuple(_choosing(before[at + end :])))
    return None


def _choosing(arguments: Sequence[str]) -> Iterator[str]:
    left = iter(arguments)
    for each in left:
        name, equals, _ = each.partition("=")
        name = "-n" if each.startswith("-n") and each[2:].isalnum() else name
        if name not in _NOT_CHOOSING:
            yield each
        elif not equals and name == each:
            for _ in range(_NOT_CHOOSING[name]):
                next(left, None)


def _value(arguments: Sequence[str], option: str) -> str | None:
    for at, each in enumerate(arguments):
        name, equals, value = each.partition("=")
        if name == option:
            return value if equals else next(iter(arguments[at + 1 :]), None)
    return None


def _restored(argument: str) -> str:
    """Restore a home directory from ``~`` and a name from ``USER``, as a report has them.

    A path may follow names: ``--interpreter=py=/home/me/bin/python``.
    """
    from deadlock_matrix.report.private import restored

    parts = argument.split("=")
    for at in range(len(parts)):
        path = "=".join(parts[at:])
        if (before := restored(path, os.environ)) != path:
            return "=".join([*parts[:at], before])
    return argument
