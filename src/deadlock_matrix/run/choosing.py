"""Which of a machine's processes to look at: those that run Python, or that were asked for."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.capture.permission import owner_of
from deadlock_matrix.capture.programs import control_groups_of, name_of
from deadlock_matrix.capture.tree import Process, members, process_table, read_entry
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.scan import Program

ASK_AGAIN_S = 60.0
"""A process that could not be read is tried again after this long."""

EACH_S = 2.0
"""How long finding out what one process runs may take."""

_SWITCH_WITH_CODE = "-c"
_Key = tuple[int, int, tuple[int, ...], str]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for. An empty field asks for nothing; all others must match."""

    pids: frozenset[int] = frozenset()
    users: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()  # patterns as in a shell
    groups: tuple[str, ...] = ()  # parts of the path of a control group


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A process to look at; its start, in clock ticks since boot, tells it from earlier ones."""

    pid: int
    started: int
    program: Program


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The processes, and why others could not be read: a reason and how many."""

    chosen: tuple[Chosen, ...]
    refused: dict[str, int]


@dataclass
class _Asked:
    program: Program | None
    refused: str = ""
    again_s: float = field(default=0.0)


class Chooser:
    """Remembers what each process runs, so that each is asked only once."""

    def __init__(self, collector: Collector, wanted: Wanted) -> None:
        """Prepare; nothing is read yet."""
        self._collector = collector
        self._wanted = wanted
        self._asked: dict[_Key, _Asked] = {}

    def choose(self, until_s: float) -> Choice:
        """Go through the table of processes.

        Args:
            until_s: The instant of CLOCK_MONOTONIC after which nobody new is asked.
        """
        chosen: list[Chosen] = []
        refused: dict[str, int] = {}
        asked: dict[_Key, _Asked] = {}
        for process in self._eligible():
            pid = process.pid
            # A forked child shows its parent's program until it executes its own; then the place of
            # its code and stack is chosen anew. We may not be allowed to see that place: see
            # proc(5).
            key = pid, process.started, process.memory, "" if process.memory else name_of(pid)
            answer = self._asked.get(key)
            if answer is None or (answer.refused and time.monotonic() >= answer.again_s):
                answer = self._ask(pid, until_s)
            if answer is None:
                continue  # it has ended, or nobody had the time
            asked[key] = answer
            if answer.program is None:
                if self._is_named(pid, ()):
                    refused[answer.refused] = refused.get(answer.refused, 0) + 1
            elif (answer.program.python or self._wanted.pids) and self._is_named(
                pid, answer.program.words
            ):
                chosen.append(Chosen(pid=pid, started=process.started, program=answer.program))
        self._asked = asked
        return Choice(chosen=tuple(chosen), refused=refused)

    def _eligible(self) -> Iterator[Process]:
        """Yield those that are not ours and match the user and control group asked for."""
        wanted = self._wanted
        if wanted.pids:
            entries = map(read_entry, sorted(wanted.pids))
            table = {entry.pid: entry for entry in entries if entry is not None}
        else:
            table = process_table()
        ours = frozenset(members([os.getpid()], table))
        for pid, process in table.items():
            if process.is_kernel_thread or process.has_ended or pid in ours:
                continue
            if wanted.users and owner_of(pid) not in wanted.users:
                continue
            if wanted.groups:
                paths = control_groups_of(pid)
                if not any(group in path for group in wanted.groups for path in paths):
                    continue
            yield process

    def _ask(self, pid: int, until_s: float) -> _Asked | None:
        now = time.monotonic()
        if now >= until_s:
            return None
        self._collector.hurry(min(until_s, now + EACH_S))
        try:
            return _Asked(self._collector.program(pid))
        except CaptureError as error:
            entry = read_entry(pid)
            if entry is None or entry.has_ended:
                return None
            return _Asked(None, reason_of(pid, error), now + ASK_AGAIN_S)

    def _is_named(self, pid: int, words: tuple[str, ...]) -> bool:
        patterns = self._wanted.names
        if not patterns:
            return True
        names = {name_of(pid), *program_names(words)}
        names |= {name.removesuffix(".py") for name in names}
        return any(fnmatch.fnmatchcase(name, each) for name in names for each in patterns)


def reason_of(pid: int, error: CaptureError) -> str:
    """Return why a process could not be looked at, in the same words for each process."""
    text = str(error).removeprefix(f"process {pid} ").removeprefix("cannot be inspected: ")
    return re.sub(rf"\b{pid}\b", "PID", text).rstrip(".")


@lru_cache(maxsize=4096)
def program_names(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the executable, and the script or module that Python runs, without folders."""
    if not words:
        return ()
    names = [PurePath(words[0]).name]
    rest = iter(words[1:])
    for word in rest:
        if word == "-m":
            names.append(next(rest, ""))
            break
        if word.startswith("-"):
            if word in (_SWITCH_WITH_CODE, "-"):
                break
            if word in ("-W", "-X"):
                next(rest, "")
            continue
        names.append(PurePath(word).name)
        break
    return tuple(name for name in names if name)


def label_of(words: tuple[str, ...]) -> str:
    """Return a program in a few words, without its arguments, which may be private."""
    names = program_names(words)
    if len(names) == 2 and "-m" in words:
        return f"{names[0]} -m {names[1]}"
    if len(names) == 1 and _SWITCH_WITH_CODE in words:
        return f"{names[0]} -c"
    return " ".join(names)
