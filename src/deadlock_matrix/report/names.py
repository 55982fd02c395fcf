"""One name for each interpreter, where several runs use the same name for different ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import Report
from deadlock_matrix.report.identity import identify

_ROLES = tuple(f"{role.value}/" for role in Role if role is not Role.MATRIX)


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names that the interpreters of several runs have together.

    ``by_run`` maps a run and a name in it to the new name; ``facts`` maps the new name to what is
    known of it, from the first run that has it.
    """

    by_run: dict[str, dict[str, str]]
    facts: dict[str, InterpreterFacts]

    def of(self, run: str, name: str) -> str:
        """Return the new name of the interpreter that ``run`` calls ``name``."""
        return self.by_run[run][name]

    def in_run(self, run: str) -> dict[str, str]:
        """Return the new name of each old one, for one run."""
        return self.by_run[run]

    def in_id(self, run: str, cell: str) -> str:
        """Return the id of a cell that has no result, with its interpreter's new name."""
        role = next((role for role in _ROLES if cell.startswith(role)), "")
        name, slash, rest = cell.removeprefix(role).partition("/")
        return f"{role}{self.by_run[run].get(name, name)}{slash}{rest}"

    def split(self) -> dict[str, tuple[str, ...]]:
        """Map each old name that means several interpreters to their new names."""
        new: dict[str, set[str]] = {}
        for names in self.by_run.values():
            for old, name in names.items():
                new.setdefault(old, set()).add(name)
        return {old: tuple(sorted(each)) for old, each in sorted(new.items()) if len(each) > 1}


def name_interpreters(runs: Sequence[Report]) -> Names:
    """Name the interpreters of ``runs``, which are in order.

    A name that means one thing everywhere stays. Otherwise the system and machine are added, as in
    ``py@Linux-x86_64``, or, if such machines have several of that name, the first run that has it.
    The same files on another system or machine are another interpreter.
    """
    meanings: dict[str, dict[tuple[str, str], str]] = {}  # name -> (platform, identity) -> run
    for run in runs:
        for name, facts in _named(run).items():
            key = (platform_of(run), identify(facts))
            meanings.setdefault(name, {}).setdefault(key, run.run)
    by_run: dict[str, dict[str, str]] = {}
    found: dict[str, InterpreterFacts] = {}
    for run in runs:
        names = by_run.setdefault(run.run, {})
        for name, facts in _named(run).items():
            key = (platform_of(run), identify(facts))
            names[name] = _new_name(name, key, meanings[name])
            if facts is not None:
                found.setdefault(names[name], facts)
    return Names(by_run=by_run, facts=found)


def platform_of(run: Report) -> str:
    """Return system and machine of a run's host, in a form for names: ``Linux-x86_64``."""
    return re.sub(r"[^\w.+-]+", "-", f"{run.host.system}-{run.host.machine}")


def _new_name(name: str, key: tuple[str, str], meanings: dict[tuple[str, str], str]) -> str:
    if len(meanings) == 1:
        return name
    platform, _ = key
    same_platform = sum(other == platform for other, _ in meanings)
    return f"{name}@{platform if same_platform == 1 else meanings[key]}"


def _named(run: Report) -> dict[str, InterpreterFacts | None]:
    """Return all interpreters of a run; ``None`` for one that only a cell names."""
    names: dict[str, InterpreterFacts | None] = {
        result.cell.interpreter.name: None for result in (*run.cells, *run.controls)
    }
    return names | {facts.name: facts for facts in run.interpreters}
