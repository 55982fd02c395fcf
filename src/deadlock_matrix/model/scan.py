"""What a scan of many processes finds: one process's deadlock, and when it is over."""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.report import SCHEMA_VERSION
from deadlock_matrix.model.verdict import Outcome


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a process runs. ``words`` are its arguments, as the process itself shows them."""

    words: tuple[str, ...]
    python: bool  # it contains a Python interpreter


class StuckThread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread that cannot go on or, if ``likely``, cannot if the assumptions hold.

    ``stack`` are its Python frames, outermost first: ``File "app.py", line 3, in work``.
    """

    pid: int
    tid: int
    name: str
    does: str
    likely: bool
    stack: tuple[str, ...] = ()


class StuckTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of asyncio that the answer is about, at its address, with its coroutines' frames."""

    pid: int
    address: int
    name: str
    does: str
    likely: bool
    stack: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A deadlock in one process, or its end, as a line of JSON reports it.

    ``pid`` and ``started`` (clock ticks since boot) name the process for good: ids are reused.
    ``over`` says in words why there is no deadlock any more; it is empty while it lasts.
    """

    schema_version: int = SCHEMA_VERSION
    event: Literal["deadlock", "over"]
    time_s: float  # since 1970
    pid: int
    started: int
    program: str
    outcome: Outcome
    sentence: str
    assumptions: tuple[str, ...]
    threads: tuple[StuckThread, ...]
    tasks: tuple[StuckTask, ...] = ()
    likely: str = ""  # besides a proof about some threads: what is likely about all
    over: str = ""

    @property
    def members(self) -> frozenset[tuple[int, int]]:
        """The threads and tasks that are stuck: process, and id or address."""
        threads = {(each.pid, each.tid) for each in self.threads}
        return frozenset(threads | {(each.pid, each.address) for each in self.tasks})


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many processes there were. ``refused`` maps a reason to a number."""

    processes: int
    looked_closely: int
    late: int  # not looked at closely in this round, for lack of time
    refused: dict[str, int]
