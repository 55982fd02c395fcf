"""`assemble`: content decides the folder, and a folder is whole or not there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix import layouts
from deadlock_matrix.matrix.layouts import assemble


def overlay(folder: Path, **files: str) -> Path:
    """Write files; ``__`` in a keyword stands for a slash and ``_py`` for the suffix."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/").removesuffix("_py") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def common(tmp_path: Path) -> Path:
    return overlay(tmp_path / "common", pkg__core_py="core", pkg__factory_py="common")


@pytest.fixture
def eager(tmp_path: Path) -> Path:
    return overlay(tmp_path / "eager", pkg__factory_py="eager", pkg__models__gpt2_py="gpt2")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "some" / "cache"


def test_later_overlays_win(common: Path, eager: Path, cache: Path) -> None:
    assembled = assemble([common, eager], cache)
    assert assembled.parent == cache
    assert tree(assembled) == {
        "pkg/core.py": "core",
        "pkg/factory.py": "eager",
        "pkg/models/gpt2.py": "gpt2",
    }
    assert tree(assemble([eager, common], cache))["pkg/factory.py"] == "common"


def test_same_content_gives_the_same_folder_untouched(
    common: Path, eager: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = assemble([common, eager], cache)
    (first / "left_by_an_interpreter.pyc").touch()
    os.utime(common / "pkg" / "core.py", ns=(1, 1))
    monkeypatch.setattr(layouts, "_write", lambda *_: pytest.fail("written again"))
    assert assemble([common, eager], cache) == first
    assert (first / "left_by_an_interpreter.pyc").exists()


def test_other_content_gives_another_folder(common: Path, eager: Path, cache: Path) -> None:
    before = assemble([common, eager], cache)
    (eager / "pkg" / "factory.py").write_text("EAGER")
    after = assemble([common, eager], cache)
    assert after != before
    assert tree(before)["pkg/factory.py"] == "eager"
    assert tree(after)["pkg/factory.py"] == "EAGER"


def test_names_and_contents_are_not_confused(tmp_path: Path, cache: Path) -> None:
    one = overlay(tmp_path / "one", a_py="b.py", c_py="")
    other = overlay(tmp_path / "other", a_py="", c_py="b.py")
    assert assemble([one], cache) != assemble([other], cache)


def test_modification_times_are_kept(common: Path, cache: Path) -> None:
    source = common / "pkg" / "core.py"
    os.utime(source, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    copied = assemble([common], cache) / "pkg" / "core.py"
    assert copied.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_byte_code_is_left_out(common: Path, cache: Path) -> None:
    clean = assemble([common], cache)
    for folder in (common, common / "pkg"):
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "core.cpython-311.pyc").touch()
    assert assemble([common], cache) == clean
    assert not list(clean.rglob("__pycache__"))


def test_overlays_are_left_alone(common: Path, eager: Path, cache: Path) -> None:
    before = tree(common), tree(eager)
    assemble([common, eager], cache)
    assert (tree(common), tree(eager)) == before


def test_nothing_else_is_left_in_the_cache(common: Path, cache: Path) -> None:
    assembled = assemble([common], cache)
    assert list(cache.iterdir()) == [assembled]


def test_a_failure_leaves_nothing_behind(
    common: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copystat", fail)
        with pytest.raises(OSError, match="disk full"):
            assemble([common], cache)
    assert list(cache.iterdir()) == []
    assert tree(assemble([common], cache))


def test_callers_at_the_same_time_share_one_folder(
    common: Path, eager: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them have found no folder and built one before the first puts its own in place."""
    callers = 4
    barrier = threading.Barrier(callers, timeout=10)
    publish = layouts._publish

    def publish_together(built: Path, target: Path) -> None:
        barrier.wait()
        publish(built, target)

    monkeypatch.setattr(layouts, "_publish", publish_together)
    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(assemble([common, eager], cache)))
        for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(results) == callers
    assert set(results) == set(cache.iterdir())
    assert len(tree(results[0])) == 3


def test_a_missing_overlay_is_named(common: Path, tmp_path: Path, cache: Path) -> None:
    missing = tmp_path / "laizy"
    with pytest.raises(ConfigurationError, match="laizy"):
        assemble([common, missing], cache)
    missing.touch()
    with pytest.raises(ConfigurationError, match="laizy"):
        assemble([common, missing], cache)
    assert not cache.exists()


def test_no_overlay_at_all(cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        assemble([], cache)


def test_a_file_where_another_overlay_has_a_folder(
    common: Path, tmp_path: Path, cache: Path
) -> None:
    clash = tmp_path / "clash"
    clash.mkdir()
    (clash / "pkg").touch()
    with pytest.raises(ConfigurationError, match="needs a folder"):
        assemble([common, clash], cache)
