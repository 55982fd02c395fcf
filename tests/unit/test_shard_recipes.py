"""The recipes for shards: right by their schemas, and together they run each shard once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema import main as check
from click.testing import CliRunner
from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[2] / "docs" / "shards"
PAGE = FOLDER.parent / "large-runs.md"


def read(name: str) -> Any:
    return YAML(typ="safe").load(FOLDER / name)


@pytest.mark.parametrize(
    ("name", "schema"),
    [("github.yml", "vendor.github-workflows"), ("gitlab.yml", "vendor.gitlab-ci")],
)
def test_it_is_right_by_its_schema(name: str, schema: str) -> None:
    options = ["--data-transform", "gitlab-ci"] if "gitlab" in name else []
    result = CliRunner().invoke(check, ["--builtin-schema", schema, *options, str(FOLDER / name)])
    assert result.exit_code == 0, result.output


def test_kubernetes_takes_the_job() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="its schemas are not installed")
    validate.validate(read("kubernetes.yaml"), "1.31", strict=True)
    wrong = read("kubernetes.yaml")
    wrong["spec"]["completionMod"] = wrong["spec"].pop("completionMode")
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, "1.31", strict=True)


def test_kubernetes_runs_each_shard_once() -> None:
    spec = read("kubernetes.yaml")["spec"]
    (script,) = spec["template"]["spec"]["containers"][0]["args"]
    assert spec["completionMode"] == "Indexed"
    assert f"$((JOB_COMPLETION_INDEX + 1))/{spec['completions']}" in script


def test_github_runs_each_shard_once() -> None:
    job = read("github.yml")["jobs"]["shard"]
    numbers = job["strategy"]["matrix"]["number"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert job["env"]["SHARD"].endswith(f"/{len(numbers)}")


def test_slurm_counts_from_one() -> None:
    script = (FOLDER / "slurm.sh").read_text()
    assert re.search(r"^#SBATCH --array=1-\d+$", script, re.M)
    assert '--shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"' in script


def test_the_page_names_each() -> None:
    text = PAGE.read_text()
    assert {path.name for path in FOLDER.iterdir()} == set(re.findall(r"\(shards/([\w.]+)\)", text))
