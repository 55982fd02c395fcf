"""Look for deadlocks in many processes, once or again and again.

The cheap part comes first. A glance at the run counts of a process's threads (`capture.run_counts`)
shows which threads have not run since the last glance. If all have run, there is nothing to look
for. If a thread stayed asleep, the process is examined, unless the very same threads were asleep at
the last examination and have not run since: the answer would be the same. So a machine full of idle
services costs one examination for each, and what is stuck for good is never examined twice.
"""

from __future__ import annotations

import time
from collections.abc import Set
from contextlib import nullcontext
from dataclasses import dataclass

import msgspec

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.scan import Finding, Tally
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.run.choosing import Chooser, Chosen, reason_of
from deadlock_matrix.run.examination import ATTEMPTS, examine_twice, strength
from deadlock_matrix.run.finding import end_of, make_finding
from deadlock_matrix.run.pace import Pace
from deadlock_matrix.run.rates import Rates
from deadlock_matrix.run.screening import BATCH, worth_examining
from deadlock_matrix.run.subject import Subject, counts_of, lines_of

BATCH_IN_TIME = 8
"""This many processes are read together in the time that one more of them may take."""

DOUBTS = 3
"""This many looks in a row must find nothing before a reported deadlock is over, if a thread of it
still has not run: one look may lack a fact by chance.
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds, and a share of one processor. None of them decides what is found."""

    settle_s: float = 0.2  # between two glances at a new process
    each_s: float = 3.0  # for one process
    round_s: float = 30.0  # for all of them
    rest_s: float = 60.0  # before an unchanged process is examined again; doubled each time
    told_rest_s: float = 1.0  # the same if a deadlock was reported and some of its threads ran
    longest_rest_s: float = 960.0
    share: float = 0.01  # for examinations, once each process has been looked at
    saved_s: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Found:
    """A finding, with what it rests on."""

    finding: Finding
    evidence: Evidence
    judgement: Judgement


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round found.

    ``new`` has not been reported before. ``standing`` are all that last, including the new ones.
    """

    new: tuple[Found, ...]
    over: tuple[Finding, ...]
    standing: tuple[Finding, ...]
    tally: Tally


class Scanner:
    """Keeps what it knows of each process between rounds; ended processes are forgotten."""

    def __init__(
        self, collector: Collector, chooser: Chooser, limits: Limits | None = None
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            collector: Reads the facts.
            chooser: Says which processes.
            limits: How long it may take.
        """
        self._collector = collector
        self._chooser = chooser
        self._limits = limits or Limits()
        self._subjects: dict[tuple[int, int], Subject] = {}
        self._pace: Pace | None = None
        self._until = 0.0

    def round(self) -> Round:
        """Look at all of them once."""
        self._until = time.monotonic() + self._limits.round_s
        choice = self._chooser.choose(self._until)
        over = self._keep(choice.chosen)
        self._glance()
        now = time.monotonic()
        due = [each for each in self._subjects.values() if each.is_due(now) and not each.rests()]
        # First those that were never examined, then those in which nothing moves.
        due.sort(key=lambda each: (each.examined is not None, not each.all_are_still, each.next_s))
        refused = dict(choice.refused)
        found: list[Found] = []
        examined = gone = 0
        out_of_time = False
        for batch in (due[at : at + BATCH] for at in range(0, len(due), BATCH)):
            if not self._has_time():
                out_of_time = True
                break
            with self._pace or nullcontext():
                passed = self._screen(batch)
                for subject in batch:
                    try:
                        new, ended = self._examine(subject, passed)
                        examined += 1
                    except CaptureError as error:
                        if time.monotonic() >= self._until:
                            subject.examined = None  # it is the round that had no time for it
                            out_of_time = True
                        elif counts_of(subject.pid):
                            examined += 1
                            reason = reason_of(subject.pid, error)
                            refused[reason] = refused.get(reason, 0) + 1
                        else:
                            gone += 1
                        continue
                    found += new
                    over += ended
        if self._pace is None and not out_of_time:
            # All have been looked at. On a busy machine a look takes ten times as long as it works.
            self._pace = Pace(self._limits.share, self._limits.saved_s, self._collector.cpu_s)
        new = self._tell(found)
        return Round(
            new=tuple(new),
            over=tuple(over),
            standing=tuple(each.told for each in self._subjects.values() if each.told is not None),
            tally=Tally(
                processes=len(self._subjects),
                looked_closely=examined,
                late=len(due) - examined - gone,
                refused=refused,
            ),
        )

    def _has_time(self) -> bool:
        if time.monotonic() >= self._until:
            return False
        return self._pace is None or self._pace.may_look()

    def _keep(self, chosen: tuple[Chosen, ...]) -> list[Finding]:
        """Add new processes, and return that a deadlock of an ended one is over."""
        before = self._subjects
        self._subjects = {}
        for each in chosen:
            key = each.pid, each.started
            subject = before.pop(key) if key in before else Subject(each)
            if subject.chosen.program != each.program:
                subject.chosen, subject.machine = each, None  # it executes another program now
            self._subjects[key] = subject
        return [end_of(gone.told, "it has ended") for gone in before.values() if gone.told]

    def _glance(self) -> None:
        new = [each for each in self._subjects.values() if each.counts is None]
        for each in self._subjects.values():
            each.glance()
        if new:
            time.sleep(self._limits.settle_s)
            for each in new:
                each.glance()

    def _screen(self, batch: list[Subject]) -> set[int]:
        """Return those worth an examination, trying halves if one got in the others' way."""
        pids = {subject.pid for subject in batch}
        limit_s = self._limits.each_s * (1 + len(batch) / BATCH_IN_TIME)
        self._collector.hurry(min(self._until, time.monotonic() + limit_s))
        try:
            for subject in batch:
                if subject.machine is None:
                    subject.machine = self._collector.machine(subject.pid)
            machines = {each.pid: each.machine for each in batch if each.machine is not None}
            restless = frozenset(each.pid for each in batch if each.is_restless)
            return worth_examining(self._collector, machines, restless)
        except CaptureError:
            if len(batch) == 1:
                return pids  # the examination says why
            if time.monotonic() >= self._until:
                return pids  # the examinations say that there is no time
            half = len(batch) // 2
            return self._screen(batch[:half]) | self._screen(batch[half:])

    def _examine(self, subject: Subject, passed: Set[int]) -> tuple[list[Found], list[Finding]]:
        """Examine one process; return what is new, and what is over.

        Args:
            subject: The process.
            passed: Those in which there may be something to find.

        Raises:
            CaptureError: It has ended, or cannot be read in time.
        """
        now = time.monotonic()
        shortest = self._limits.rest_s if subject.told is None else self._limits.told_rest_s
        same = subject.examined == subject.still or subject.told is not None
        rest_s = max(subject.rest_s * 2, shortest) if same else shortest
        subject.rest_s = min(rest_s, self._limits.longest_rest_s)
        subject.next_s = now + subject.rest_s
        subject.examined = subject.still
        if subject.pid not in passed:
            return [], self._doubt(subject)
        self._collector.hurry(min(self._until, now + self._limits.each_s))
        attempts = ATTEMPTS if subject.is_restless else 1
        evidence, judgement = self._look(subject.pid, attempts)
        if evidence.after.processes[0].started != subject.chosen.started:
            raise CaptureError(f"process {subject.pid} has ended.")
        if judgement.proof is None:
            return [], self._doubt(subject)
        subject.doubts = 0
        finding = make_finding(subject.chosen, evidence, judgement)
        told = subject.told
        threads = {(each.pid, each.tid) for each in finding.threads}
        subject.stuck = lines_of(dict.fromkeys(threads, b""))
        if told is not None and not finding.members.isdisjoint(told.members):
            before = msgspec.structs.replace(judgement, outcome=told.outcome)
            if strength(judgement) <= strength(before):
                return [], []  # the same; others may have run into it
        return [Found(finding=finding, evidence=evidence, judgement=judgement)], []

    def _look(self, pid: int, attempts: int) -> tuple[Evidence, Judgement]:
        evidence, judgement = examine_twice(
            self._collector, lambda: (pid,), Rates().confirm_s, parts=True, attempts=attempts
        )
        if judgement.proof is not None:  # its parents matter only now
            evidence = msgspec.structs.replace(evidence, parents=self._collector.parents(pid))
            judgement = judge(evidence)
        return evidence, judgement

    def _doubt(self, subject: Subject) -> list[Finding]:
        """Return the findings that end because the process now seems to go on."""
        told = subject.told
        if told is None:
            return []
        subject.doubts += 1
        subject.next_s = 0.0
        now = lines_of(subject.stuck)
        still = any(now[key] == line for key, line in subject.stuck.items())
        if subject.doubts < DOUBTS and (still or told.tasks):
            return []
        subject.told, subject.stuck, subject.doubts = None, {}, 0
        return [end_of(told, "it is moving again")]

    def _tell(self, found: list[Found]) -> list[Found]:
        """Return the findings to report; one that several processes share is reported for one."""
        looked_at = {each.pid for each in self._subjects.values()}
        before = [each for each in self._subjects.values() if each.told is not None]
        new = []
        for each in found:
            pids = {pid for pid, _ in each.finding.members}
            if each.finding.pid not in pids and pids <= looked_at:
                continue  # it is reported for the child
            if any(_is_told_by(each, other) for other in found if other is not each):
                continue
            subject = self._subjects[each.finding.pid, each.finding.started]
            if any(_was_told_by(each, other) for other in before if other is not subject):
                continue
            new.append(each)
            subject.told = each.finding
            subject.members = _members(each)
            subject.rest_s = 0.0
            subject.next_s = 0.0
        return new


def _is_told_by(one: Found, other: Found) -> bool:
    """Return whether the other is about the same deadlock and says more, or is surer."""
    ours, theirs = _members(one), _members(other)
    less = len(one.finding.assumptions) - len(other.finding.assumptions)
    return (ours < theirs and less >= 0) or (ours > theirs and less > 0)


def _was_told_by(one: Found, other: Subject) -> bool:
    """Return whether this deadlock was reported for another process, at least as surely."""
    ours, theirs = _members(one), other.members
    assert other.told is not None
    surer = len(one.finding.assumptions) < len(other.told.assumptions)
    return (ours <= theirs or ours >= theirs) and not surer


def _members(found: Found) -> frozenset[str]:
    """Return the threads of its proof, or the tasks."""
    assert found.judgement.proof is not None
    nodes = found.judgement.proof.nodes
    return frozenset(node.id for node in nodes if node.kind in ("thread", "task"))
