"""What the parts of an inspection's text share: stacks by thread, and the user's line of each."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from deadlock_matrix.diagnosis.frames import users_frame
from deadlock_matrix.diagnosis.text import base_name, one_line
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import StackFacts, ThreadStack
from deadlock_matrix.model.tasks import Task
from deadlock_matrix.model.verdict import Doing, TaskDoing

Key = tuple[int, int]
"""Process id and thread id."""

SourceLines = Mapping[tuple[str, int], str]
"""Source lines that could be read, by the file that a frame names and the line number."""

_RUNS_LOOPS = ("/asyncio/base_events.py", "/asyncio/runners.py")

_NOT_READ = {
    "/trio/_core/_run.py": "the tasks of trio are not read",
    "/gevent/hub.py": "the greenlets of gevent are not read, but for the one that runs",
    "/eventlet/hubs/hub.py": "the greenlets of eventlet are not read, but for the one that runs",
}
"""A file whose functions run tasks of another kind, and what is not known of those."""


class LookedAt(msgspec.Struct, frozen=True, kw_only=True):
    """An inspection, its stacks by thread, and the source lines that could be read here."""

    found: Inspection
    source: SourceLines = msgspec.field(default_factory=dict)
    python: Mapping[Key, ThreadStack] = msgspec.field(default_factory=dict)
    native: Mapping[Key, ThreadStack] = msgspec.field(default_factory=dict)
    tasks: Mapping[Key, Task] = msgspec.field(default_factory=dict)  # by process and address
    processes: Mapping[int, ProcessFacts] = msgspec.field(default_factory=dict)
    unread: Mapping[int, str] = msgspec.field(default_factory=dict)
    """Why a process has no Python stacks: what the first reader that tried says."""
    unread_tasks: Mapping[int, str] = msgspec.field(default_factory=dict)
    """What tasks of a process are not read, though a thread of it runs an event loop."""

    def frames(self, doing: Doing) -> tuple[PythonFrame, ...]:
        """Return the Python frames of a thread, outermost first; empty if none were read."""
        stack = self.python.get((doing.pid, doing.tid))
        return stack.python if stack is not None else ()

    def place(self, doing: Doing) -> PythonFrame | None:
        """Return the user's own line in which a thread is."""
        return users_frame(self.frames(doing))

    def place_of_task(self, task: TaskDoing) -> PythonFrame | None:
        """Return the user's own line in which a task is suspended."""
        read = self.tasks.get((task.pid, task.address))
        return users_frame(read.frames) if read is not None else None

    def text(self, frame: PythonFrame) -> str:
        """Return the source text of a frame's line; empty if it could not be read."""
        return one_line(self.source.get((frame.file, frame.line), ""))


def index(found: Inspection, source: SourceLines) -> LookedAt:
    """Index an inspection."""
    if not isinstance(found.evidence, Known):
        return LookedAt(found=found, source=source)
    evidence = found.evidence.value
    return LookedAt(
        found=found,
        source=source,
        python=evidence.python(),
        native={
            (each.pid, thread.tid): thread
            for each in evidence.native_stacks
            for thread in each.threads
        },
        tasks={(each.pid, task.address): task for each in evidence.stacks for task in each.tasks},
        processes={process.pid: process for process in evidence.after.processes},
        unread={
            each.pid: each.stacks.reason.partition("; ")[0]
            for each in evidence.stacks
            if not isinstance(each.stacks, Known)
        },
        unread_tasks={each.pid: told for each in evidence.stacks if (told := _unread_tasks(each))},
    )


def _unread_tasks(read: StackFacts) -> str:
    """Say which tasks were not read, and why; empty if no thread runs a loop that has such."""
    files = {frame.file for thread in read.threads for frame in thread.python}
    for end, told in _NOT_READ.items():
        if any(file.endswith(end) for file in files):
            return told
    loops = read.stacks.value.loops if isinstance(read.stacks, Known) else None
    if isinstance(loops, Unknown) and any(file.endswith(_RUNS_LOOPS) for file in files):
        return f"no tasks: {loops.reason}"
    return ""


def short_place(frame: PythonFrame) -> str:
    """Return ``save (app.py:12)``."""
    return one_line(f"{frame.function} ({base_name(frame.file)}:{frame.line})")
