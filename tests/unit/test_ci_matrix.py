"""The matrix of jobs: one for each interpreter, as GitHub's fromJSON reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deadlock_matrix.cli import parsing
from deadlock_matrix.errors import ConfigurationError

CONFIGURATION = """
statement = "import pack"

[[interpreter]]
name = "conda"
executable = "/opt/conda/bin/python"

[[interpreter]]
name = "other"
executable = "/opt/other/bin/python"

[[preset]]
name = "quick"
[[preset.part]]
interpreter = "!other"
profile = "baseline"
context = "main"
"""


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    """The jobs for some options; the configuration has two interpreters."""
    file = tmp_path / "matrix.toml"
    file.write_text(CONFIGURATION)

    def ask(*options: str) -> list[dict[str, Any]]:
        arguments = ["ci-matrix", "--config", str(file), *options]
        result = CliRunner().invoke(parsing.group, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        (line,) = result.output.splitlines()
        document = json.loads(line)
        assert list(document) == ["include"]
        return list(document["include"])

    return ask


def test_configured_interpreters_are_jobs(asked: Any) -> None:
    assert [job["interpreter"] for job in asked()] == ["conda", "other"]


def test_one_without_cells_is_no_job(asked: Any) -> None:
    (job,) = asked("--preset", "quick")
    assert job == {
        "name": "conda-ubuntu-latest",
        "interpreter": "conda",
        "python-version": "3.x",
        "preset": "quick",
        "runs-on": "ubuntu-latest",
        "shard": "1/1",
        "cells": 1,
    }


def test_a_version_need_not_be_on_this_machine(asked: Any) -> None:
    (job,) = asked("--interpreter", "3.99")
    assert (job["interpreter"], job["python-version"]) == ("3.99", "3.99")


def test_a_path_keeps_its_name(asked: Any) -> None:
    (job,) = asked("--interpreter", "mine=/no/such/python")
    assert (job["name"], job["interpreter"]) == ("mine-ubuntu-latest", "mine=/no/such/python")
    assert job["python-version"] == "3.x"


def test_every_interpreter_is_run_on_every_machine(asked: Any) -> None:
    jobs = asked("--runs-on", "ubuntu-latest", "--runs-on", "macos-latest")
    assert len({job["name"] for job in jobs}) == len(jobs) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "quikc"], "quick"),
        (["--interpreter", "3.12", "--interpreter", "3.12"], "is defined twice"),
        (["--interpreter", "a b=/x"], "a name is letters and digits"),
        ([f"--runs-on=r{n}" for n in range(129)], "258 jobs are more than the 256"),
    ],
)
def test_what_makes_no_sense_is_said(asked: Any, options: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        asked(*options)


def test_shards_are_jobs_and_together_they_are_the_whole(asked: Any) -> None:
    (whole,) = asked("--interpreter", "conda", "--preset", "default")
    jobs = asked("--interpreter", "conda", "--preset", "default", "--shards", "3")
    assert [job["shard"] for job in jobs] == ["1/3", "2/3", "3/3"]
    assert [job["name"] for job in jobs] == [f"conda-ubuntu-latest-{n}of3" for n in (1, 2, 3)]
    assert sum(job["cells"] for job in jobs) == whole["cells"]


def test_no_shard_is_empty(asked: Any) -> None:
    (job,) = asked("--preset", "quick", "--shards", "5")
    assert (job["shard"], job["cells"]) == ("1/1", 1)
