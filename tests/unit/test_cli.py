"""Parts of the command line that need no process."""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import click
import pytest

from deadlock_matrix import cli, errors
from deadlock_matrix.app.inspection import of_command
from deadlock_matrix.app.reports import read_any
from deadlock_matrix.cli import diagnose, help, parsing, shell, watch
from deadlock_matrix.cli.seconds import Seconds
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus
from deadlock_matrix.model.diagnosis import Diagnosis, Outcome
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import Exited, Signalled, Stopped
from deadlock_matrix.model.verdict import Gap, Judgement
from deadlock_matrix.report.files import check_writable
from deadlock_matrix.report.private import make_redaction
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

    monkeypatch.setattr(parsing.group, "main", fail)
    monkeypatch.setattr(sys, "argv", ["deadlock-matrix"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == kind.exit_status
    assert kind.exit_status in (ExitStatus.USAGE, ExitStatus.TOOL_FAILED)
    said = capsys.readouterr()
    assert said == ("", "deadlock-matrix: it did not work; do something else.\n")


def test_an_abort_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **rest: object) -> None:
        raise click.exceptions.Abort

    monkeypatch.setattr(parsing.group, "main", fail)
    monkeypatch.setattr(sys, "argv", ["deadlock-matrix"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ExitStatus.INTERRUPTED == 130


def test_every_error_is_in_the_one_tree() -> None:
    kinds = [
        each for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ]  # fmt: skip
    assert set(kinds) == set(tree(DeadlockMatrixError))


def test_the_help_is_the_one_that_click_would_print() -> None:
    context = click.Context(
        parsing.group, info_name="deadlock-matrix", terminal_width=80,
        **parsing.group.context_settings,
    )  # fmt: skip
    assert parsing.group.get_help(context) == help.HELP
    before, heading, _ = click.Group.get_help(parsing.group, context).partition("Commands:")
    assert help.HELP.startswith(before + heading)
    assert list(help.COMMANDS) == sorted(help.COMMANDS)


@pytest.mark.parametrize("name", sorted(help.COMMANDS))
def test_the_short_help_is_said_once(name: str) -> None:
    command = parsing.group.get_command(click.Context(parsing.group), name)
    assert command is not None
    assert command.get_short_help_str(200) == help.COMMANDS[name]


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
    found = of_command(watched(progressing, judgement), ("a b", "c"))
    assert str(found.verdict) == verdict
    assert (found.subject, found.gaps, found.partial) == ("'a b' c", (GAP,), False)
    assert found.sentence == "thread 3 waits with a time limit"
    assert isinstance(found.detected_after_s, Unknown)


def test_nothing_could_be_read() -> None:
    found = of_command(watched(unknown("it has ended"), None), ("true",))
    told = "no evidence could be read: it has ended"
    assert (str(found.verdict), found.sentence) == ("hang", told)
    assert (found.threads, found.libraries, found.proof) == ((), (), None)


def test_where_a_report_can_be_written(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "found.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ReportError, match="cannot be written"):
        check_writable(tmp_path / "file" / "found.json")


def test_what_is_handed_on_is_always_text() -> None:
    found = make_redaction(None).apply({"variable": "/x\udcff", "word": "na\u00efve"})
    assert found == {"variable": "/x\\udcff", "word": "na\u00efve"}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0", "-1", "soon"])
def test_what_is_no_number_of_seconds(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Seconds().convert(text, None, None)
    assert Seconds().convert("0.5", None, None) == 0.5


def test_output_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **rest: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parsing.group, "main", fail)
    monkeypatch.setattr(sys, "argv", ["deadlock-matrix"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ExitStatus.TOOL_FAILED
    assert capsys.readouterr() == ("", "deadlock-matrix: No space left on device\n")


def test_a_stream_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    shell.open_missing_streams()
    assert sys.stdout is not None and not sys.stdout.isatty()
    sys.stdout.close()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    shell.check_home()
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(errors.Unavailable, match="set HOME"):
        shell.check_home()


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.CLEAN, 0),
        (Outcome.FAILED, 1),
        (Outcome.DEADLOCK, 35),
        (Outcome.HANG, 124),
        (Outcome.SLOW, 124),
        (Outcome.UNAVAILABLE, 125),
    ],
)
def test_the_status_of_a_diagnosis(outcome: Outcome, status: int) -> None:
    found = SimpleNamespace(outcome=outcome)
    assert diagnose._status(cast("Diagnosis", found)) == status


def test_help_of_run_has_the_options_that_pytest_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as ended:
        parsing.group.main(["run", "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(f"  {option} " in told for option in ("--resume", "--jobs", "--fail-fast", "--dask"))
    assert told.count("--repeat N") == 1


def test_the_folder_of_all_runs_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(errors.ReportError, match="is not the folder of a run") as nothing:
        read_any(tmp_path, evidence=False)
    assert "newest" not in str(nothing.value)
    for name in ("20260102-000000-aaaa", "20260101-000000-bbbb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}")
    with pytest.raises(
        errors.ReportError, match=r"the newest run in it is .*/20260102-000000-aaaa"
    ):
        read_any(tmp_path, evidence=False)
