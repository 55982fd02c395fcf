"""Who can have printed a line: files that contain its text."""

from __future__ import annotations

from pathlib import Path

from deadlock_matrix.interpreters.native.texts import find_text
from deadlock_matrix.model.fact import Known, Unknown


def test_the_files_that_contain_it(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one.so", "two.so", "three.so"))
    one.write_bytes(b"\x7fELF\0" + b"x" * 5000 + b"Lock blocking \0")
    two.write_bytes(b"Lock is blocking ")
    three.write_bytes(b"Lock blocking ")
    found = find_text(map(str, (three, two, one, one)), b"Lock blocking ")
    assert isinstance(found, Known)
    assert found.value == tuple(sorted(map(str, (one, three))))
    assert "3 libraries" in found.source


def test_what_cannot_be_searched_is_unknown(tmp_path: Path) -> None:
    empty = tmp_path / "empty.so"
    empty.touch()
    for path in (tmp_path / "missing.so", empty, tmp_path):
        found = find_text([str(path)], b"x")
        assert isinstance(found, Unknown) and str(path) in found.reason
