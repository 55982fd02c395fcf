"""The parent of a process, and which ancestors may interrupt it: ``timeout``, a supervisor.

This looks at the parent and, as long as they are in its process group, at the ancestors above it:
``timeout -s INT`` signals the whole group. A shell that waits for its job does not act by itself.
A program in Python that waits for this very process for a limited time (``Popen.wait``) will act.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from deadlock_matrix.capture.machine import table_architecture
from deadlock_matrix.capture.proc_files import read_small, read_whole
from deadlock_matrix.capture.proc_text import parse_stat
from deadlock_matrix.capture.process import read_process
from deadlock_matrix.model.evidence import Parent
from deadlock_matrix.model.fact import Known, unknown
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.model.stack_facts import Awaited, ThreadStack
from deadlock_matrix.model.thread_facts import NoTimeout, OnCpu, TimeLimit

MOST = 8
LOOKS = 5
SIGALRM = 14
SUBPROCESS = "/subprocess.py"
TIMERFD = "anon_inode:[timerfd]"
_NOT_ASKED = unknown("not asked of a parent")


def parents_of(pid: int) -> tuple[Parent, ...]:
    """Return the parent of ``pid``, and those ancestors that can be seen to act by themselves.

    A process that cannot be read is left out.
    """
    found: list[Parent] = []
    try:
        group = os.getpgid(pid)
        above = parse_stat(read_small(f"/proc/{pid}/stat")).parent
        for _ in range(MOST):
            if above <= 0:
                break
            facts = read_process(above, table_architecture(above), _NOT_ASKED, _NOT_ASKED)
            limited = _limited_wait(facts, pid)
            acts = _acts(facts) if limited is None else limited[0]
            if acts or not found:
                timers = facts.timers.or_else(())
                name = facts.threads[0].name
                sends = signal_of_timeout(_arguments(above)) if name == "timeout" else ""
                if sends and acts:
                    acts += f", and sends {sends} when it expires"
                if limited is not None:
                    sends = limited[1]
                found.append(
                    Parent(
                        pid=above,
                        name=name,
                        timers=timers,
                        acts=acts,
                        threads=tuple(each.own_tid for each in facts.threads),
                        sends=sends,
                        limits=limited is not None,
                    )
                )
            if os.getpgid(above) != group:
                break
            above = facts.parent
    except (OSError, ValueError, IndexError):
        return tuple(found)
    return tuple(found)


def unread_parents(pid: int, reason: str) -> tuple[Parent, ...]:
    """Return the parent of ``pid`` as one that may act, because it was not read.

    Only the kernel's own text is read: that cannot get stuck.
    """
    try:
        above = parse_stat(read_small(f"/proc/{pid}/stat")).parent
        name = read_small(f"/proc/{above}/comm").decode(errors="replace").strip()
    except (OSError, ValueError, IndexError):
        return ()
    return (Parent(pid=above, name=name, timers=(reason,), acts=reason),)


def _arguments(pid: int) -> list[str]:
    return [os.fsdecode(part) for part in read_whole(f"/proc/{pid}/cmdline").split(b"\0")[:-1]]


def signal_of_timeout(arguments: Sequence[str]) -> str:
    """Return the signal that coreutils' ``timeout`` sends with these arguments: ``SIGINT``."""
    given = "TERM"
    words = iter(arguments[1:])
    for word in words:
        if word in ("-s", "--signal"):
            given = next(words, "")
        elif word.startswith("--signal="):
            given = word.partition("=")[2]
        elif word.startswith("-s"):
            given = word[2:]
        elif word in ("-k", "--kill-after"):
            next(words, "")
        elif not word.startswith("-"):
            break  # the duration; what follows is the command's own
    if given.isdecimal():
        return signal_name(int(given))
    return "SIG" + given.upper().removeprefix("SIG")


def _acts(facts: ProcessFacts) -> str:
    if facts.timers.or_else(False):
        return "has a timer"
    main = facts.threads[0]
    if isinstance(main.activity, Known) and isinstance(main.activity.value, OnCpu):
        return "is running"
    if isinstance(main.timeout, Known) and isinstance(main.timeout.value, TimeLimit):
        return "waits with a time limit"
    if _has_open(facts, TIMERFD):
        return "has a timer (a timerfd)"
    if _handles_in_python(facts, SIGALRM):
        return "handles SIGALRM, and may have set an alarm"
    return ""


def _limited_wait(facts: ProcessFacts, child: int) -> tuple[str, str] | None:
    """Return how a program in Python waits for its child for a limited time, if it does.

    ``Popen.wait`` asks again and again, and sleeps in between; a look may meet it on its way. If
    that goes on, or its stacks cannot be read, it may be waiting for this child.

    Returns:
        That in words, and the signal that it then sends, if that is certain: ``subprocess.run`` and
        its relatives kill the child. What others do is up to them.
    """
    if not isinstance(facts.python, Known):
        return None
    from deadlock_matrix.capture.python_stacks import NotReadable, read_stacks

    endless = {
        thread.tid
        for thread in facts.threads
        if isinstance(thread.timeout, Known) and isinstance(thread.timeout.value, NoTimeout)
    }
    if len(endless) == len(facts.threads):
        return None
    for _ in range(LOOKS):
        try:
            stacks = read_stacks(facts.pid).threads
        except NotReadable:
            continue
        inside = [each for each in stacks if each.tid not in endless and _in_subprocess(each)]
        for stack in inside:
            if isinstance(stack.awaits, Known) and _is_for(stack.awaits.value, child):
                return _in_words(stack.awaits.value)
        if all(isinstance(stack.awaits, Known) for stack in inside):
            return None
    return "may wait for its end for a limited time", ""


def _in_subprocess(stack: ThreadStack) -> bool:
    return any(frame.file.endswith(SUBPROCESS) for frame in stack.python)


def _is_for(awaited: Awaited, child: int) -> bool:
    return awaited.kind == "Popen" and awaited.detail == f"process {child}"


def _in_words(awaited: Awaited) -> tuple[str, str]:
    name = awaited.file.rpartition("/")[2]
    told = f"waits for its end for a limited time, in {awaited.function} ({name}:{awaited.line})"
    if awaited.file.endswith(SUBPROCESS):
        return f"{told}, and kills it then", "SIGKILL"
    return told, ""


def _handles_in_python(facts: ProcessFacts, signal: int) -> bool:
    """Tell whether it has a Python handler; C code tells nothing: bash always handles SIGALRM."""
    python = facts.python
    if not isinstance(python, Known) or not isinstance(python.value.handlers, Known):
        return False
    handlers = python.value.handlers.value
    kinds = ("python", "builtin", "object")
    return any(each.signal == signal and each.kind in kinds for each in handlers)


def _has_open(facts: ProcessFacts, target: str) -> bool:
    descriptors = facts.descriptors
    return isinstance(descriptors, Known) and any(d.target == target for d in descriptors.value)
