"""Where a pytest process is, by its journal: read outside only."""

from __future__ import annotations

from typing import NamedTuple

from deadlock_matrix.pytest_plugin.guard import journal


class Position(NamedTuple):
    """Where a pytest process is: ``test`` is empty outside tests."""

    test: str
    location: tuple[str, int | None, str]
    doing: str  # "in the call of", "collecting", ...: reads well before the name of the test

    @property
    def is_busy(self) -> bool:
        """Whether it has something to do; a worker between two tests waits for the next."""
        return self.doing.startswith(("in the", "collecting", "loading")) or self.is_finishing

    @property
    def waits_for_a_person(self) -> bool:
        """Whether it waits at the prompt of a debugger."""
        return self.doing.startswith(AT_A_PROMPT)

    @property
    def is_finishing(self) -> bool:
        """Whether its tests are done, and it writes reports."""
        return self.doing.startswith("at the end")

    def __str__(self) -> str:
        return f"{self.doing} {self.test}".strip()


BEGINNING = Position("", ("", None, ""), "loading plugins and conftest files")
HANDING_OUT = Position("", ("", None, ""), "handing out tests to workers")
AT_A_PROMPT = "at the prompt of a debugger, "
_NEXT_PHASE = {"setup": "in the call of", "call": "in the teardown of", "teardown": "after"}


def follow(position: Position, record: journal.Record) -> Position:
    """Return where a process is after ``record``."""
    kind = record[0]
    if kind == journal.DISTRIBUTING or (position == HANDING_OUT and kind != journal.FINISHING):
        return HANDING_OUT  # tests begin and end elsewhere
    if kind == journal.START:
        return Position(record[1], tuple(record[2]), "in the setup of")
    if kind == journal.PASSED:
        return position._replace(doing=_NEXT_PHASE.get(record[1], position.doing))
    if kind == journal.REPORT:
        return position._replace(doing=_NEXT_PHASE.get(record[2], position.doing))
    if kind == journal.COLLECTING:
        return Position("", (record[1], None, record[1]), f"collecting {record[1] or 'tests'}")
    if kind == journal.RUNNING:
        return Position("", ("", None, ""), "between collection and the first test")
    if kind == journal.PROMPTING and not position.waits_for_a_person:
        return position._replace(doing=AT_A_PROMPT + position.doing)
    if kind == journal.GOING_ON:
        return position._replace(doing=position.doing.removeprefix(AT_A_PROMPT))
    if kind == journal.FINISHING:
        after = ", after" if position.test else ""
        return position._replace(doing=f"at the end of the session{after}")
    if kind == journal.ENDING:
        return Position("", ("", None, ""), "at exit, after pytest had finished")
    return position
