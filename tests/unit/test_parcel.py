"""A layout arrives by its content, or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.parcel import pack_layout, unpack_layout


@pytest.fixture
def layout(tmp_path: Path) -> tuple[str, bytes]:
    folder = tmp_path / "source" / "pack"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("one = 1\n")
    (folder / "inner" / "data.bin").write_bytes(bytes(range(256)))
    return pack_layout((str(tmp_path / "source"),), tmp_path / "here")


def test_it_is_the_same_there(layout: tuple[str, bytes], tmp_path: Path) -> None:
    digest, content = layout
    arrived = unpack_layout(digest, content, tmp_path / "there")
    here = tmp_path / "here" / "layouts" / digest
    assert arrived == tmp_path / "there" / "layouts" / digest
    for path in here.rglob("*"):
        there = arrived / path.relative_to(here)
        if path.is_file():
            assert there.read_bytes() == path.read_bytes()
            assert int(there.stat().st_mtime) == int(path.stat().st_mtime)
    assert unpack_layout(digest, b"not even read", tmp_path / "there") == arrived


def test_another_content_is_refused(layout: tuple[str, bytes], tmp_path: Path) -> None:
    _, content = layout
    with pytest.raises(RunError, match="does not match that digest"):
        unpack_layout("0123456789abcdef", content, tmp_path / "there")
    assert not (tmp_path / "there" / "layouts" / "0123456789abcdef").exists()


@pytest.mark.parametrize("kind", ["../out.py", "/out.py", "link"])
def test_what_reaches_out_is_refused(tmp_path: Path, kind: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        member = tarfile.TarInfo("link.py" if kind == "link" else kind)
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(member, io.BytesIO())
    with pytest.raises(RunError, match="holds something that is not one of its files"):
        unpack_layout("0123456789abcdef", archive.getvalue(), tmp_path / "there")
    assert not (tmp_path / "out.py").exists()
