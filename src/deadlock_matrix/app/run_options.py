"""The options that say how a run goes, not which cells it has: repeats, resuming, stopping."""

from __future__ import annotations

import argparse
from typing import Any, Protocol


class Group(Protocol):
    """Something that takes options: pytest's group of them, or a help text."""

    def addoption(self, *names: str, **attributes: Any) -> None:
        """Add one, as ``argparse`` would."""


class _Described:
    """Notes what is added, for a help text."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def addoption(self, *names: str, **attributes: Any) -> None:
        value = attributes.get("metavar") or "|".join(attributes.get("choices", ()))
        self.rows.append((f"{names[0]} {value}".strip(), attributes["help"]))


def described() -> list[tuple[str, str]]:
    """Return each option, with its metavariable, and its help."""
    noted = _Described()
    add(noted)
    return noted.rows


def add(group: Group) -> None:
    """Add them to the matrix's own group of options."""
    group.addoption(
        "--repeat",
        dest="deadlock_matrix_repeat",
        metavar="N",
        type=_positive,
        default=1,
        help="Run each cell N times",
    )
    group.addoption(
        "--include-host",
        dest="deadlock_matrix_include_host",
        action="store_true",
        help="Leave home directories and the names of user and host in what is written",
    )
    group.addoption(
        "--jobs",
        dest="deadlock_matrix_jobs",
        metavar="N",
        type=_jobs,
        help="Run N cells at once from this process, without pytest-xdist; auto: as many as memory "
        "and cores allow",
    )
    group.addoption(
        "--dask",
        dest="deadlock_matrix_dask",
        metavar="SCHEDULER",
        help="Run the cells on the workers of this Dask scheduler (tcp://HOST:PORT or "
        "tls://HOST:PORT); local: start a scheduler and a worker here",
    )
    group.addoption(
        "--dask-wait",
        dest="deadlock_matrix_dask_wait",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="How many seconds to wait for the first worker, and for a lost worker to come back",
    )
    for name, what in (("ca", "authority"), ("cert", "certificate"), ("key", "key")):
        group.addoption(
            f"--tls-{name}",
            dest=f"deadlock_matrix_tls_{name}",
            metavar="FILE",
            help=f"With --dask tls://...: the {what}, in PEM",
        )
    group.addoption(
        "--fail-fast",
        dest="deadlock_matrix_fail_fast",
        action="store_true",
        help="Stop at the first cell that is not as expected",
    )
    group.addoption(
        "--shard",
        dest="deadlock_matrix_shard",
        metavar="I/N",
        help="Run shard I of N; 'report merge' puts them together and says if one is missing",
    )
    group.addoption(
        "--shard-times",
        dest="deadlock_matrix_shard_times",
        metavar="REPORT",
        help="Balance the shards by the times of this report, which must be the same for all",
    )
    group.addoption(
        "--resume",
        dest="deadlock_matrix_resume",
        metavar="REPORT",
        help="Go on with the run in this folder: run what has no result yet. With --rerun or "
        "--only-changed: begin a new run, which reuses the results that still hold",
    )
    group.addoption(
        "--rerun",
        dest="deadlock_matrix_rerun",
        metavar="WHICH",
        choices=("not-ok", "hung", "unexpected"),
        help="With --resume: also run again what was not ok (not-ok), what hung or was slow "
        "(hung), or what was not as expected (unexpected)",
    )
    group.addoption(
        "--only-changed",
        dest="deadlock_matrix_only_changed",
        action="store_true",
        help="With --resume: run again only what could come out differently, because the "
        "interpreter, a package, the code under test, a variable or this tool has changed",
    )
    group.addoption(
        "--events",
        dest="deadlock_matrix_events",
        metavar="FILE",
        help="Append a line of JSON to FILE as the run begins, as each cell starts and ends, and "
        "as the run ends",
    )


def _jobs(text: str) -> str:
    return text if text == "auto" else str(_positive(text))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
