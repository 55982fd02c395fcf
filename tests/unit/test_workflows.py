"""The workflows and the action: right by GitHub's schemas, and no input is ever a command.

They have not been run on GitHub by a test; the shell in them is checked in tests/integration.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema import main as check
from click.testing import CliRunner
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FILES = [ACTION, *WORKFLOWS]
PINNED = re.compile(r"\./.*|[\w.-]+/[\w./-]+@(v\d+|[0-9a-f]{40})")


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def steps(path: Path) -> list[Any]:
    document = read(path)
    if path == ACTION:
        return list(document["runs"]["steps"])
    return [step for job in document["jobs"].values() for step in job.get("steps", [])]


def jobs(path: Path) -> dict[str, Any]:
    return dict(read(path).get("jobs", {}))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_right_by_githubs_schema(path: Path) -> None:
    schema = "vendor.github-actions" if path == ACTION else "vendor.github-workflows"
    result = CliRunner().invoke(check, ["--builtin-schema", schema, str(path)])
    assert result.exit_code == 0, result.output


def test_the_schema_can_say_no(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  a:\n    runs_on: ubuntu-latest\n")
    result = CliRunner().invoke(check, ["--builtin-schema", "vendor.github-workflows", str(wrong)])
    assert result.exit_code == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_expression_stands_in_a_script(path: Path) -> None:
    scripts = [step["run"] for step in steps(path) if "run" in step]
    assert scripts
    # Its text would be put in before the shell reads it.
    assert [script for script in scripts if "${{" in script] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_has_a_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    used += [job["uses"] for job in jobs(path).values() if "uses" in job]
    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_a_limit_and_little_permission(path: Path) -> None:
    assert read(path)["permissions"] == {"contents": "read"}
    for name, job in jobs(path).items():
        assert "uses" in job or job["timeout-minutes"] <= 120, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_input_is_used_and_every_one_that_is_used_is_there(path: Path) -> None:
    document = read(path)
    called = document.get("on", {}).get("workflow_call", {})
    declared = set((document if path == ACTION else called).get("inputs", {}))
    assert set(re.findall(r"inputs\.([\w-]+)", path.read_text())) == declared


def test_the_documents_use_inputs_that_there_are() -> None:
    text = (ROOT / "docs" / "ci.md").read_text()
    action, workflow = map(
        YAML(typ="safe").load, re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    )
    assert set(action[-1]["with"]) <= set(read(ACTION)["inputs"])
    (job,) = workflow["jobs"].values()
    called = read(ROOT / ".github" / "workflows" / "deadlock-matrix.yml")["on"]["workflow_call"]
    assert set(job["with"]) <= set(called["inputs"])


def test_what_the_jobs_need_is_what_the_command_prints() -> None:
    from deadlock_matrix.app.configuration import load_configuration
    from deadlock_matrix.cli.ci_matrix import jobs as made

    configuration = load_configuration(ROOT / "tests" / "downstream" / "matrix.toml", ROOT)
    (job,) = made(configuration, ["3.12"], "", ["ubuntu-latest"])
    text = (ROOT / ".github" / "workflows" / "deadlock-matrix.yml").read_text()
    used = set(re.findall(r"matrix\.([\w-]+) }}", text)) - {"outputs"}
    assert used <= set(job) | {"matrix"}
    assert {"interpreter", "python-version", "runs-on", "name"} <= used
