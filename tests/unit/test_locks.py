"""What is installed is said exactly, and by no host; numpy's calls of OpenBLAS lead to MKL."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from environments import locks, numpy_on_mkl
from environments.recipes import RECIPES


def entries(name: str) -> list[tuple[Requirement, str]]:
    """The requirements of a lock, each with the rest of its entry."""
    text = locks.file(name).read_text(encoding="utf-8")
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    return [(Requirement(head.rstrip(" \\")), rest) for head, _, rest in split(parts)]


def split(parts: list[str]) -> list[tuple[str, str, str]]:
    return [part.partition("\n") for part in parts]


@pytest.mark.parametrize("name", locks.LOCKS)
def test_a_lock_says_versions_and_hashes_and_names_no_host(name: str) -> None:
    assert entries(name)
    for requirement, rest in entries(name):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert "--hash=sha256:" in rest, requirement
    text = locks.file(name).read_text(encoding="utf-8")
    assert "://" not in text and "index-url" not in text


@pytest.mark.parametrize("name", locks.LOCKS)
def test_a_lock_leaves_out_torch_and_the_libraries_of_its_builds(name: str) -> None:
    for requirement, _ in entries(name):
        assert not re.match(r"torch$|triton|nvidia-|cuda-", requirement.name)


def test_locks_agree_where_they_are_installed_together() -> None:
    versions: dict[tuple[str, str], str] = {}
    for name in ("numpy", "torch", "tests"):
        for requirement, _ in entries(name):
            key = requirement.name, str(requirement.marker)
            assert versions.setdefault(key, str(requirement.specifier)) == str(
                requirement.specifier
            )


def test_every_lock_of_a_recipe_is_there() -> None:
    for recipe in RECIPES.values():
        assert all(locks.file(name).exists() for name in recipe.locks)


def test_entries_that_come_from_elsewhere_are_dropped() -> None:
    text = "a==1 \\\n    --hash=sha256:0\ntorch==2 \\\n    --hash=sha256:1\n"
    text += "nvidia-x-cu13==1\nnumpy==2 \\\n    --hash=sha256:2\nnumpy-x==3\n"
    kept = locks.keep(text, ("numpy",))
    assert kept == "a==1 \\\n    --hash=sha256:0\nnumpy-x==3\n"


@pytest.mark.parametrize(
    ("name", "of_mkl"),
    [
        ("scipy_cblas_dgemm64_", "cblas_dgemm_64"),
        ("scipy_cblas_cdotc_sub64_", "cblas_cdotc_sub_64"),
        ("scipy_dgesv_64_", "dgesv_64_"),
    ],
)
def test_functions_of_openblas_have_a_twin_in_mkl(name: str, of_mkl: str) -> None:
    assert numpy_on_mkl.name_in_mkl(name) == of_mkl
    assert f"{name}: jmp *{of_mkl}@GOTPCREL(%rip)" in numpy_on_mkl.write_jumps([name])
