"""Parts of the command line that need no process."""

from __future__ import annotations

import signal
from pathlib import Path

import click
import pytest

from deadlock_matrix import cli, errors
from deadlock_matrix.cli import findings, watch
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import Exited, Signalled, Stopped
from deadlock_matrix.model.verdict import Gap, Judgement
from deadlock_matrix.run.watchdog import Watched


def tree(root: type[DeadlockMatrixError]) -> list[type[DeadlockMatrixError]]:
    return [root, *(each for child in root.__subclasses__() for each in tree(child))]


@pytest.mark.parametrize("kind", tree(DeadlockMatrixError), ids=lambda kind: kind.__name__)
def test_an_error_is_one_sentence_and_a_status_of_its_own(
    kind: type[DeadlockMatrixError],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object, **rest: object) -> None:
        raise kind("it did not work; do something else.")

    monkeypatch.setattr(cli.group, "main", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == kind.exit_status
    assert kind.exit_status in (ExitStatus.USAGE, ExitStatus.TOOL_FAILED)
    said = capsys.readouterr()
    assert said == ("", "deadlock-matrix: it did not work; do something else.\n")


def test_an_abort_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **rest: object) -> None:
        raise click.exceptions.Abort

    monkeypatch.setattr(cli.group, "main", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ExitStatus.INTERRUPTED == 130


def test_every_error_is_in_the_one_tree() -> None:
    kinds = [
        each for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ]  # fmt: skip
    assert set(kinds) == set(tree(DeadlockMatrixError))


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_the_short_help_is_said_once(name: str) -> None:
    command = cli.group.get_command(click.Context(cli.group), name)
    assert command is not None
    assert command.get_short_help_str(200) == cli.COMMANDS[name]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (Exited(status=0), 0),
        (Exited(status=35), 35),
        (Signalled(signal=signal.SIGKILL), 137),
        (Signalled(signal=signal.SIGSEGV), 139),
    ],
)
def test_the_status_of_a_command(end: Exited | Signalled, status: int) -> None:
    assert watch._status(end) == status


GAP = Gap(kind="does-not-hold", subject="thread 3", detail="waits with a time limit")


def watched(progressing: Known[bool] | Unknown, judgement: Judgement | None) -> Watched:
    return Watched(
        end=Stopped(reason="deadline"),
        began_s=0.0,
        duration_s=1.0,
        last_progress_s=0.5,
        judgement=judgement,
        evidence=unknown("it has ended"),
        detected_after_s=None,
        progressing=progressing,
    )


@pytest.mark.parametrize(
    ("progressing", "verdict"),
    [(known(True, "s"), "slow"), (known(False, "s"), "hang"), (unknown("no stacks"), "hang")],
)
def test_a_command_at_its_deadline(progressing: Known[bool] | Unknown, verdict: str) -> None:
    judgement = Judgement(outcome="not-proved", proof=None, gaps=(GAP,))
    found = findings.of_command(watched(progressing, judgement), ("a b", "c"))
    assert str(found.verdict) == verdict
    assert (found.subject, found.gaps, found.partial) == ("'a b' c", (GAP,), False)
    assert found.sentence == "thread 3 waits with a time limit"
    assert isinstance(found.detected_after_s, Unknown)


def test_nothing_could_be_read() -> None:
    found = findings.of_command(watched(unknown("it has ended"), None), ("true",))
    assert (str(found.verdict), found.sentence) == ("hang", "no evidence could be read")
    assert (found.threads, found.libraries, found.proof) == ((), (), None)


def test_where_a_report_can_be_written(tmp_path: Path) -> None:
    watch._check_writable(tmp_path / "new" / "found.json")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ReportError, match="cannot be written"):
        watch._check_writable(tmp_path / "file" / "found.json")
