"""Conda environments: what the tools' listings say, and what files tell without them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from deadlock_matrix.interpreters.conda import (
    known_prefixes,
    list_pythons,
    listing_commands,
    read_listing,
)
from deadlock_matrix.interpreters.places import Surroundings
from deadlock_matrix.model.fact import Known, Unknown

pytestmark = pytest.mark.skipif(os.name != "posix", reason="builds a POSIX environment")


def make_prefix(folder: Path, python: bool = True) -> str:
    (folder / "conda-meta").mkdir(parents=True)
    (folder / "bin").mkdir()
    if python:
        (folder / "bin" / "python").touch()
    return str(folder / "bin" / "python")


def make_tool(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def around(folder: Path, **variables: str) -> Surroundings:
    return Surroundings(
        variables={"PATH": "", **variables}, home=str(folder / "home"), folder=str(folder / "here")
    )


def test_the_listings_of_conda_and_its_like() -> None:
    said = json.dumps({"envs": ["/opt/conda", "/opt/conda/envs/ä b"], "envs_details": {}})
    found = read_listing(said.encode(), "conda env list --json")
    assert found == Known(
        value=("/opt/conda", "/opt/conda/envs/ä b"), source="conda env list --json"
    )
    banner = read_listing(b"a banner\n" + said.encode(), "mamba env list --json")
    assert isinstance(banner, Known) and banner.value == found.value


def test_the_listing_of_pixi(tmp_path: Path) -> None:
    (tmp_path / "ruff").mkdir()
    said = {
        "platform": "linux-64",
        "global_info": {"bin_dir": "/x/bin", "env_dir": str(tmp_path), "manifest": "/x"},
        "environments_info": [{"name": "default", "prefix": "/project/.pixi/envs/default"}],
    }
    found = read_listing(json.dumps(said).encode(), "pixi info --json")
    assert isinstance(found, Known)
    assert found.value == ("/project/.pixi/envs/default", str(tmp_path / "ruff"))
    outside = read_listing(b'{"global_info": null, "environments_info": []}', "pixi info --json")
    assert isinstance(outside, Known) and outside.value == ()


@pytest.mark.parametrize("said", [b"", b"conda: error", b'{"envs": 3}', b'{"envs": ["/x"', b"[]"])
def test_what_is_no_listing_is_said(said: bytes) -> None:
    found = read_listing(said, "conda env list --json")
    assert isinstance(found, Unknown)
    assert "'conda env list --json' did not print the list that was asked for" in found.reason


def test_relative_paths_of_a_listing_mean_nothing() -> None:
    found = read_listing(b'{"envs": ["envs/a", ""]}', "x")
    assert isinstance(found, Known) and found.value == ()


def test_one_command_for_each_installation(tmp_path: Path) -> None:
    conda = make_tool(tmp_path / "conda" / "bin" / "conda")
    make_tool(tmp_path / "conda" / "condabin" / "mamba")
    micromamba = make_tool(tmp_path / "micro" / "bin" / "micromamba")
    pixi = make_tool(tmp_path / "micro" / "bin" / "pixi")
    path = os.pathsep.join(str(tmp_path / each) for each in ("conda/condabin", "micro/bin"))
    surroundings = around(tmp_path, PATH=path, CONDA_EXE=conda, MAMBA_EXE="/gone/mamba")
    assert listing_commands(surroundings) == (
        (conda, "env", "list", "--json"),
        (micromamba, "env", "list", "--json"),
        (pixi, "info", "--json"),
    )
    assert listing_commands(around(tmp_path, CONDA_EXE=str(tmp_path))) == ()


def test_prefixes_that_files_and_variables_name(tmp_path: Path) -> None:
    active = make_prefix(tmp_path / "active one")
    noted = make_prefix(tmp_path / "noted ü")
    inside = make_prefix(tmp_path / "home" / "miniconda3" / "envs" / "inside")
    base = make_prefix(tmp_path / "home" / "miniconda3")
    pixi = make_prefix(tmp_path / "here" / ".pixi" / "envs" / "default")
    root = make_prefix(tmp_path / "root")
    (tmp_path / "home" / ".conda").mkdir()
    lines = f"{tmp_path / 'noted ü'}\n{tmp_path / 'gone'}\n\n"
    (tmp_path / "home" / ".conda" / "environments.txt").write_text(lines, "utf-8")
    surroundings = around(
        tmp_path,
        CONDA_PREFIX=str(tmp_path / "active one"),
        CONDA_EXE=make_tool(tmp_path / "root" / "bin" / "conda"),
    )
    found = list(list_pythons(known_prefixes(surroundings)))
    assert found == [active, root, noted, pixi, base, inside]


def test_a_prefix_without_python_has_the_place_where_it_would_be(tmp_path: Path) -> None:
    wanted = make_prefix(tmp_path / "only-r", python=False)
    (tmp_path / "no-prefix").mkdir()
    found = list_pythons([str(tmp_path / "only-r"), str(tmp_path / "no-prefix"), "", "relative"])
    assert list(found) == [wanted]
