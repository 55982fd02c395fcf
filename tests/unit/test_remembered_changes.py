"""Which changes of files end what is remembered of an interpreter; no process is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest
from unit.remembered_factory import World, rewrite, running, world

from deadlock_matrix.interpreters import remembered
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.interpreters.remembered import (
    add_running,
    first_memory,
    holds,
    remember,
    stamps_of,
)
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.fingerprint import NativeLibrary, ThreadPool

__all__ = ["world"]  # a fixture

pytestmark = pytest.mark.skipif(os.name != "posix", reason="builds a POSIX environment")


def change_executable(world: World) -> None:
    rewrite(world.python, "#!/bin/sh\n# another\n")


def change_configuration(world: World) -> None:
    rewrite(world.folder / "env" / "pyvenv.cfg", "home = /opt/bin\n")


def install_package(world: World) -> None:
    (world.site / "two-2.0.dist-info").mkdir()


def edit_package(world: World) -> None:
    rewrite(world.site / "numpy" / "__init__.py", "2")


def edit_start(world: World) -> None:
    (world.site / "start.pth").write_text("import numpy  # more\n")


def customise(world: World) -> None:
    (world.site / "sitecustomize.py").write_text("")


def install_by_conda(world: World) -> None:
    (world.folder / "env" / "conda-meta").mkdir()


def remove_site_packages(world: World) -> None:
    shutil.rmtree(world.site)


def change_library(world: World) -> None:
    rewrite(world.library, "2")


def remove_library(world: World) -> None:
    world.library.unlink()


CHANGES = (
    change_executable,
    change_configuration,
    install_package,
    edit_package,
    edit_start,
    customise,
    install_by_conda,
    remove_site_packages,
    change_library,
    remove_library,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_forgotten_when_a_file_changes(world: World, change: object) -> None:
    assert callable(change)
    remember(world.interpreter, world.cache, world.memory())
    assert world.recall() is not None
    change(world)
    assert world.recall() is None


def test_forgotten_when_a_folder_of_packages_appears(world: World) -> None:
    later = world.folder / "later"
    stamps = stamps_of(world.interpreter, world.answer(site_packages=(str(later),)))
    assert stamps is not None
    remember(world.interpreter, world.cache, first_memory(stamps, world.fingerprint()))
    assert world.recall() is not None
    later.mkdir()
    assert world.recall() is None


def test_forgotten_when_a_link_to_a_library_leads_elsewhere(world: World) -> None:
    """As an alternatives link does: the library itself stays as it is."""
    other = world.folder / "lib" / "other.so"
    os.link(world.library, other)  # the same file by every number
    link = world.folder / "libblas.so.3"
    link.symlink_to(world.library)
    library = NativeLibrary(
        name="OpenBLAS", kind=LibraryKind.BLAS, path=str(link), version=unknown("no")
    )
    stamps = stamps_of(world.interpreter, world.answer())
    assert stamps is not None
    found = world.fingerprint(libraries=known((library,), "test"))
    remember(world.interpreter, world.cache, first_memory(stamps, found))
    assert world.recall() is not None
    link.unlink()
    link.symlink_to(other)
    assert world.recall() is None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="a table of Linux's loader")
def test_the_choice_of_the_systems_libraries_is_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alternatives = world.folder / "alternatives"
    alternatives.mkdir()
    monkeypatch.setattr(remembered, "_SYSTEM", (str(alternatives),))
    remember(world.interpreter, world.cache, world.memory())
    assert world.recall() is not None
    (alternatives / "libblas.so.3").symlink_to(world.library)
    assert world.recall() is None


def test_forgotten_when_a_folder_of_its_loader_path_changes(world: World) -> None:
    folder = world.folder / "blas"
    folder.mkdir()
    middle = world.folder / "middle"
    middle.symlink_to(world.library)
    (folder / "libblas.so.3").symlink_to(middle)
    other = world.folder / "other.so"
    other.write_text("other")
    asked = msgspec.structs.replace(world.interpreter, set={"LD_LIBRARY_PATH": f"{folder}:rel:"})
    remember(asked, world.cache, world.memory(asked))
    assert world.recall(asked) is not None

    middle.unlink()
    middle.symlink_to(other)  # the folder itself has not changed
    assert world.recall(asked) is None
    remember(asked, world.cache, world.memory(asked))
    (folder / "libgomp.so.1").write_text("")
    assert world.recall(asked) is None


def test_a_library_that_only_running_showed_is_watched(world: World) -> None:
    mapped, pooled = world.folder / "libgomp.so.1", world.folder / "libiomp5.so"
    for path in (mapped, pooled):
        path.write_text("1")
        pool = ThreadPool(
            name="openmp", prefix="libiomp", path=str(pooled), version="", threads=2, layer=""
        )
        shown = running(str(mapped), pools=known((pool,), "test"))
        memory = add_running(world.memory(), {"numpy": shown}, 5.0)
        assert holds(memory)
        rewrite(path, "2")
        assert not holds(memory)
