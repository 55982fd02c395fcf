"""The shell inside the workflows and the action: each script is correct by bash's own reading."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


def scripts() -> dict[str, str]:
    found = {}
    for path in [ROOT / "action.yml", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]:
        document = YAML(typ="safe").load(path)
        groups = {"steps": document["runs"]} if "runs" in document else document["jobs"]
        for job, content in groups.items():
            for number, step in enumerate(content.get("steps", [])):
                if "run" in step:
                    found[f"{path.stem}-{job}-{number}"] = step["run"]
    for path in sorted((ROOT / "docs" / "shards").glob("*.sh")):
        found[path.stem] = path.read_text()
    job = YAML(typ="safe").load(ROOT / "docs" / "shards" / "kubernetes.yaml")
    found["kubernetes"] = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    return found


@pytest.mark.parametrize("name", scripts())
def test_bash_can_read_it(name: str) -> None:
    text = scripts()[name].encode()
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
