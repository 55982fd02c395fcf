"""Who handles each signal of a process, and what must be assumed for it to wake nobody.

There are three kinds of handlers. CPython's own C handler is behind every entry of Python's table:
it sets a flag, and the Python function runs later, only in the main thread of the main interpreter,
and only while that thread runs Python code or waits for something that a signal interrupts. glibc's
own two act only on signals that the process sends itself. Everything else is C code, which could
post a semaphore or unlock a mutex in whichever thread receives the signal.

The address of a handler cannot be read from outside. That C code has not replaced a handler behind
the back of Python or glibc is an axiom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.process_facts import ProcessFacts, PythonHandler, PythonRuntime
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.model.verdict import Assumption, AssumptionKind
from deadlock_matrix.proof.words import alternatives, base_name, enumeration
from deadlock_matrix.proof.world import GONE, World

SIGINT, SIGCHLD, SIGWINCH = 2, 17, 28
ALARMS = frozenset((14, 26, 27))  # of the three interval timers
FAULTHANDLER = frozenset((4, 6, 7, 8, 11))
"""What ``faulthandler.enable`` installs: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV."""

GLIBC_INTERNAL = frozenset((32, 33))
"""glibc's handlers act on these only if they come from the process itself (``si_pid``)."""

DEFAULT_INT_HANDLER = "default_int_handler"

MOST_NAMED = 3
"""How many handlers of one kind a sentence names; the conditions of a proof name them all."""

Whose = Literal["interrupt", "libc", "python", "foreign"]


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """The handler of one signal that a thread of the process could receive.

    ``interrupt`` is Python's own handler of SIGINT, which raises KeyboardInterrupt, or asyncio's.
    ``told`` is what is known of it, in words: ``app.stop, app.py:12``.
    """

    number: int
    whose: Whose
    told: str


def handlers_of(world: World, process: ProcessFacts) -> tuple[Handler, ...] | Unknown:
    """Return the handlers of all signals that some thread would receive."""
    if not isinstance(process.signals, Known):
        return process.signals
    blocked_by_all = ~0
    for thread in process.threads:
        if thread.state not in GONE:
            blocked_by_all &= thread.blocked_signals
    caught = process.signals.value.caught & ~blocked_by_all
    numbers = [number for number in range(1, 65) if caught >> (number - 1) & 1]
    in_python = _python_table(process)
    others = frozenset(number for number in numbers if number not in in_python)
    return tuple(
        in_python.get(number) or _foreign(world, process, number, others) for number in numbers
    )


def may_be_interrupted(world: World, process: ProcessFacts) -> bool:
    """Return whether SIGINT would end a wait with KeyboardInterrupt, or nothing rules that out."""
    if process.pid not in world.interruptible:
        handlers = handlers_of(world, process)
        world.interruptible[process.pid] = isinstance(handlers, Unknown) or any(
            handler.number == SIGINT and handler.whose == "interrupt" for handler in handlers
        )
    return world.interruptible[process.pid]


def _python_table(process: ProcessFacts) -> dict[int, Handler]:
    """Return the signals for which Python's table knows a function."""
    python = process.python
    if not isinstance(python, Known):
        return {}
    found: dict[int, Handler] = {}
    if isinstance(python.value.handlers, Known):
        for entry in python.value.handlers.value:
            if entry.kind not in ("default", "ignored", "foreign"):
                place = f", {base_name(entry.file)}:{entry.line}" if entry.file else ""
                told = f"{entry.name or 'an object'}{place}"
                whose: Whose = "interrupt" if _is_of_asyncio(entry, python.value) else "python"
                found[entry.signal] = Handler(number=entry.signal, whose=whose, told=told)
    # The reader has checked that this is CPython's own function, not just one of that name. It is
    # also all that older evidence has.
    interrupt = python.value.interrupt_handler
    if isinstance(interrupt, Known):
        if interrupt.value == DEFAULT_INT_HANDLER:
            own = "Python's own handler"
            found[SIGINT] = Handler(number=SIGINT, whose="interrupt", told=own)
        elif interrupt.value not in ("none", "SIG_DFL", "SIG_IGN"):
            told = interrupt.value.removeprefix("other: ")
            found.setdefault(SIGINT, Handler(number=SIGINT, whose="python", told=told))
    return found


def _is_of_asyncio(entry: PythonHandler, python: PythonRuntime) -> bool:
    """Recognise ``asyncio.run``'s own handler of SIGINT, from Python 3.11 on.

    It cancels the main task, and then raises KeyboardInterrupt: the same, in two steps.
    """
    interrupt = python.interrupt_handler  # what was read about SIGINT alone must agree
    return (
        entry.signal == SIGINT
        and entry.own
        and isinstance(interrupt, Known)
        and interrupt.value == "other: function"
        and entry.name == "Runner._on_sigint"
        and entry.file.endswith("/asyncio/runners.py")
    )


def _foreign(world: World, process: ProcessFacts, number: int, others: frozenset[int]) -> Handler:
    # Python's programs, and those with threads, have made the C library install its own two.
    installed = isinstance(process.python, Known) or len(world.live(process.pid)) > 1
    has_internal = world.machine.libc.startswith(("glibc", "musl"))
    if number in GLIBC_INTERNAL and has_internal and installed:
        return Handler(number=number, whose="libc", told="the C library's own handler")
    return Handler(number=number, whose="foreign", told=_of_foreign(process, number, others))


def _of_foreign(process: ProcessFacts, number: int, others: frozenset[int]) -> str:
    """Say why the handler of ``number`` seems harmless, or what is known of it."""
    python = process.python
    if not isinstance(python, Known):
        return "in C"
    if not isinstance(python.value.handlers, Known):
        return f"not known: {python.value.handlers.reason}"
    if number == SIGWINCH and _maps(process, ("libreadline", "readline.")):
        return "in C, probably readline's, which only sets a flag"
    if number in FAULTHANDLER and others >= FAULTHANDLER:
        return "in C, probably faulthandler's, which ends the process"
    return "in C, and not in Python's table"


def _maps(process: ProcessFacts, names: tuple[str, ...]) -> bool:
    libraries = process.libraries
    return isinstance(libraries, Known) and any(
        base_name(library.path).startswith(names) for library in libraries.value
    )


def assume_none(handlers: Iterable[Handler], subject: str, source: str) -> tuple[Assumption, ...]:
    """Assume that none of the signals comes: one assumption of each kind, with the handlers."""
    together: dict[AssumptionKind, dict[str, str]] = {}
    for handler in handlers:
        kind = AssumptionKind.NO_SIGNAL
        if handler.number in ALARMS:
            kind = AssumptionKind.NO_ALARM
        elif handler.whose == "foreign":
            kind = AssumptionKind.FOREIGN_HANDLER
        together.setdefault(kind, {})[signal_name(handler.number)] = handler.told
    return tuple(
        Assumption(
            kind=kind,
            subject=subject,
            detail=f"no {alternatives(tuple(told))} comes ({_who(told)})",
            source=source,
        )
        for kind, told in together.items()
    )


def _who(told: Mapping[str, str]) -> str:
    """What each signal's handler is; signals whose handlers are alike are named together."""
    signals: dict[str, list[str]] = {}
    for name, handler in told.items():
        signals.setdefault(handler, []).append(name)
    if len(signals) == 1:
        return f"the handler is {next(iter(signals))}"
    each = [f"{enumeration(names)}: {handler}" for handler, names in signals.items()]
    more = f"; {len(each) - MOST_NAMED} more" if len(each) > MOST_NAMED else ""
    return f"the handlers: {'; '.join(each[:MOST_NAMED])}{more}"
