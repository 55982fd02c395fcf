"""What each machine of a grid says it can run, and what follows for the interpreters of a run."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import Host
from deadlock_matrix.report.identity import identify


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One interpreter of a machine; equal interpreters have equal labels."""

    label: str
    interpreter: Interpreter
    facts: InterpreterFacts


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker can run, and on what.

    ``key`` distinguishes machines and is not the machine's name, which is private. ``offers`` are
    without private names, ``private_offers`` with them. ``environment`` are the recorded variables
    that surround each probe there.
    """

    tool: str  # its version
    name: str
    key: str
    host: Host
    jobs: int
    compiler: str
    offers: tuple[Offer, ...]
    private_offers: tuple[Offer, ...]
    environment: dict[str, str]


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter of the run, and the label of those that can take its cells; empty if none."""

    interpreter: Interpreter
    facts: InterpreterFacts
    label: str = ""
    host: Host | None = None
    environment: dict[str, str] = {}


def label_of(facts: InterpreterFacts, host: Host) -> str:
    """Return a label that is equal for the same interpreter, name and kind of machine."""
    text = "\n".join((facts.name, host.system, host.machine, identify(facts)))
    return f"interpreter-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def machine_name(run: str, announcement: Announcement, *, include_host: bool) -> str:
    """Return a report's name for the machine, the same for a whole run, private only if allowed."""
    if include_host:
        return announcement.name
    text = f"{run}\n{announcement.key}"
    return f"host-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def plan_interpreters(
    announcements: Iterable[Announcement], wanted: Sequence[str], *, include_host: bool
) -> tuple[Planned, ...]:
    """Return the interpreters of a run.

    If one name means different interpreters on different machines, the end of each one's label is
    added to its name.

    Args:
        announcements: Those of all present workers.
        wanted: Names or patterns; empty for all that are announced. What nobody has is planned too,
            as unavailable, with the reason.
        include_host: Whether paths may contain private names.
    """
    by_name: dict[str, dict[str, Planned]] = defaultdict(dict)
    for each in sorted(announcements, key=lambda each: each.key):
        for offer in each.private_offers if include_host else each.offers:
            by_name[offer.interpreter.name].setdefault(
                offer.label,
                Planned(
                    interpreter=offer.interpreter,
                    facts=offer.facts,
                    label=offer.label,
                    host=each.host,
                    environment=each.environment,
                ),
            )
    there = sorted(by_name)
    chosen: dict[str, tuple[Planned, ...]] = {}
    for pattern in wanted or there:
        names = [name for name in there if name == pattern or fnmatchcase(name, pattern)]
        if not names:
            chosen[pattern] = (_missing(pattern, there),)
        for name in names:
            offers = sorted(by_name[name].items())
            chosen[name] = tuple(_named(each, alone=len(offers) == 1) for _, each in offers)
    return tuple(each for planned in chosen.values() for each in planned)


def _named(planned: Planned, *, alone: bool) -> Planned:
    if alone:
        return planned
    name = f"{planned.interpreter.name}@{planned.label[-4:]}"
    return msgspec.structs.replace(
        planned,
        interpreter=msgspec.structs.replace(planned.interpreter, name=name),
        facts=msgspec.structs.replace(planned.facts, name=name),
    )


def _missing(name: str, there: Sequence[str]) -> Planned:
    from deadlock_matrix.model.fact import unknown

    others = f"the workers have {', '.join(there)}" if there else "no worker has any interpreter"
    reason = f"no worker has an interpreter {name}; {others}"
    return Planned(
        interpreter=Interpreter(name=name, unavailable=reason),
        facts=InterpreterFacts(name=name, executable="", fingerprint=unknown(reason)),
    )
