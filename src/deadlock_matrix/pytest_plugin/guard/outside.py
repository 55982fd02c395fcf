"""What the process does that stays outside: watch, and report what the session could not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deadlock_matrix.pytest_plugin.guard import fork, journal
from deadlock_matrix.pytest_plugin.guard.janitor import Janitor
from deadlock_matrix.pytest_plugin.guard.left import MOST_HANGS

if TYPE_CHECKING:
    from deadlock_matrix.pytest_plugin.guard.hang import Hang, Told

PROVED_STATUS, LIKELY_STATUS, LIMIT_STATUS = 35, 36, 124
"""As for ``deadlock-matrix watch``; the strongest of several hangs."""


@dataclass(kw_only=True)
class Story:
    """What a watcher reports at the end: journals of the sessions it saw, and their hangs."""

    journals: list[Path] = field(default_factory=list)
    hangs: list[Told] = field(default_factory=list)  # of whole sessions
    in_workers: list[Told] = field(default_factory=list)
    status: int = 0  # of the last session

    def final_status(self) -> int:
        """Return the exit status of it all."""
        from deadlock_matrix.pytest_plugin.guard.hang import LIKELY, PROVED

        strengths = {told.hang.strength for told in (*self.hangs, *self.in_workers)}
        if not strengths:
            return self.status if self.status >= 0 else 128 - self.status
        if PROVED in strengths:
            return PROVED_STATUS
        return LIKELY_STATUS if LIKELY in strengths else LIMIT_STATUS


def stay(
    split: fork.Split, early_config: pytest.Config, args: list[str], parser: pytest.Parser
) -> Callable[[pytest.Config], object]:
    """Watch until the session has ended, and any that continues it.

    Returns only if there are results to report that the session could not report: then what makes
    the plugin that replays them.
    """
    options = early_config.known_args_namespace
    story = Story()
    janitor = Janitor(split.folder)
    evidence = Path(early_config.rootpath) / (options.prove_hangs_dir or "prove-hangs")
    try:
        while True:
            _watch(split, _limit(options), evidence, story)
            left = _tests_left(story, options.maxfail)
            if not left:
                break
            fork.leave_done(split.folder, left)
            print(flush=True)  # the line of progress that the hang left unfinished
            _say("continuing with the tests that have not begun")
            split = fork.split_again(split.folder)
    finally:
        opened = [journal.Reader(path) for path in _journals(story, split.folder)]
        janitor.close()
    if story.hangs and opened:
        from deadlock_matrix.pytest_plugin.guard import replay

        _say("the results of all tests:")
        replay.make_quiet(early_config, args, parser)
        status = story.final_status()
        return lambda config: replay.Replay(config, opened, story.hangs, status)
    for told in story.hangs:
        _say(told.text)
    sys.stdout.flush()
    os._exit(story.final_status())


def _journals(story: Story, folder: Path) -> list[Path]:
    """Return the journals that have results; only the last session may have had workers."""
    workers = sorted(folder.glob(journal.file_name("*", "*")), key=lambda each: each.name)
    journals = [*story.journals[:-1], *workers, story.journals[-1]]
    return [path for path in journals if path.exists()]


def _limit(options: object) -> float | None:
    """Return seconds of sleep after which a process is ended; a debugger may sleep for ever."""
    if getattr(options, "usepdb", False) or getattr(options, "trace", False):
        return None
    return getattr(options, "prove_hangs_after", None) or None


def _watch(split: fork.Split, after_s: float | None, evidence: Path, story: Story) -> None:
    """Watch one session to its end."""
    story.journals.append(split.folder / f"{split.child}{journal.SUFFIX}")
    try:
        from deadlock_matrix.pytest_plugin.guard.watcher import Watcher

        def note(hang: Hang) -> None:
            from deadlock_matrix.pytest_plugin.guard import explanation
            from deadlock_matrix.pytest_plugin.guard.hang import Told

            _say(f"{explanation.headline(hang)}\n{explanation.place(hang)}: it is ended now")
            text = explanation.describe(hang, evidence)
            told = Told(hang=hang, text=text)
            (story.hangs if hang.whole_session else story.in_workers).append(told)
            explanation.leave(hang, text, split.folder)
            explanation.add_to_job_summary(text)

        def note_sight(hang: Hang, is_due: bool) -> None:
            from deadlock_matrix.pytest_plugin.guard import explanation

            if is_due:
                then = "it will be ended as soon as another worker has been replaced"
            elif after_s:
                then = f"it will be ended unless it moves within {after_s:g} s"
            else:
                then = "it will not be ended, since --prove-hangs-after is 0"
            _say(f"{explanation.headline(hang)}\n{explanation.place(hang)}: {then}")

        story.status = Watcher(split.child, split.folder, after_s).watch(note, note_sight)
    except Exception as error:  # a failure out here must not cost the session its results
        _say(f"the watcher failed, the session goes on without it: {error!r}")
        _, waited = os.waitpid(split.child, 0)
        story.status = os.waitstatus_to_exitcode(waited)


def _tests_left(story: Story, maxfail: int) -> list[str]:
    """Return the tests that are done, if others are left that can be run; otherwise nothing.

    If tests are distributed, or something other than a test hung, the session cannot be resumed.
    """
    if not story.hangs or len(story.hangs) > MOST_HANGS:
        return []
    last = story.hangs[-1].hang
    if last.pid != journal.pid_of(story.journals[-1].name):
        return []
    if not last.position.test or not last.position.is_busy:
        return []
    done: dict[str, None] = {}
    failed = len(story.hangs)
    collected = 0
    for path in story.journals:
        for record in journal.read_all(path):
            if record[0] == journal.START:
                done[record[1]] = None
            elif record[0] == journal.COLLECTED:
                collected = max(collected, record[1])
            elif record[0] == journal.REPORT:
                failed += '"outcome": "failed"' in record[1]
    if len(done) >= collected or (maxfail and failed >= maxfail):
        return []
    return list(done)


def _say(text: str) -> None:
    print(f"\nprove-hangs: {text}", file=sys.stderr, flush=True)
