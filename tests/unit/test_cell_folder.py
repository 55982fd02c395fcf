"""The folder of a cell: the next cell gets it only as the first one did."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deadlock_matrix.run.cell_folder import CellFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[CellFolder]:
    with CellFolder(tmp_path) as first:
        first.progress.write_text("entry 1.0\n")
        first.result.write_text("{}")
    yield first
    first.close()
    assert not [*tmp_path.iterdir()]


def test_what_a_cell_leaves_as_it_was_is_the_next_one_s(folder: CellFolder) -> None:
    before = folder.home
    with folder:
        assert folder.home == before
        assert [*folder.home.parent.iterdir()] == [folder.home]
        assert not [*folder.home.iterdir()]


def _replace(folder: CellFolder) -> None:
    folder.home.rename(folder.home.with_name("other"))
    folder.home.mkdir()
    folder.home.with_name("other").rmdir()


CHANGES: dict[str, Callable[[CellFolder], object]] = {
    "a file": lambda folder: (folder.home / "file").touch(),
    "a file beside it": lambda folder: (folder.home.parent / "file").touch(),
    "a folder in place of a file": lambda folder: folder.progress.mkdir(),
    "its rights": lambda folder: folder.home.chmod(0o500),
    "the rights of the outer one": lambda folder: folder.home.parent.chmod(0o755),
    "its time": lambda folder: os.utime(folder.home, (1, 1)),
    "it is gone": lambda folder: folder.home.rmdir(),
    "it is another": _replace,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_cell_has_changed_is_no_other_s(
    folder: CellFolder, change: Callable[[CellFolder], object]
) -> None:
    before = folder.home
    with folder:
        change(folder)
    assert not before.parent.exists()
    with folder:
        assert folder.home != before
        assert [*folder.home.parent.iterdir()] == [folder.home]
        assert not [*folder.home.iterdir()]


def test_after_an_error_it_is_no_other_s(folder: CellFolder) -> None:
    before = folder.home
    with pytest.raises(KeyError), folder:
        raise KeyError
    assert not before.parent.exists()


def test_it_may_be_closed_meanwhile(folder: CellFolder, tmp_path: Path) -> None:
    with folder:
        folder.close()
        assert not [*tmp_path.iterdir()]
    assert not [*tmp_path.iterdir()]
