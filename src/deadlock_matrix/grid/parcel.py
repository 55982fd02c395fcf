"""What travels between a coordinator and its workers: a cell, its layout by content, its result."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import msgspec

from deadlock_matrix.errors import RunError
from deadlock_matrix.matrix.layouts import assemble, content_digest
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult

LAYOUTS = "deadlock-matrix-layouts"
"""The key under which the scheduler keeps layouts, by digest."""

STARTED = "deadlock-matrix-started"
"""The topic of the message that a cell starts."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One cell for a worker that has an interpreter with this label.

    ``session`` distinguishes coordinators of the same run; ``layout`` is a digest, empty for code
    that the interpreter finds by itself.
    """

    session: str
    cell: Cell
    label: str
    layout: str
    include_host: bool


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A result, and the worker's own key."""

    key: str
    result: CellResult


def pack_layout(overlays: tuple[str, ...], cache: Path) -> tuple[str, bytes]:
    """Return the digest of a layout, and its files as an archive.

    Raises:
        ConfigurationError: As for `assemble`.
    """
    folder = assemble([Path(each) for each in overlays], cache / "layouts")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return folder.name, content.getvalue()


def unpack_layout(digest: str, content: bytes, cache: Path) -> Path:
    """Return the folder of a layout that came by content.

    Raises:
        RunError: The archive does not match the digest, or reaches out of its folder.
    """
    target = cache / "layouts" / digest
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".arriving-", dir=target.parent) as scratch:
        arrived = Path(scratch, "arrived")
        arrived.mkdir()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.is_absolute() or ".." in name.parts:
                    raise RunError(
                        f"layout {digest} holds something that is not one of its files: "
                        f"{member.name!r}"
                    )
                _write(archive, member, arrived / name)
        if content_digest([arrived]) != digest:
            raise RunError(f"the content of layout {digest} does not match that digest")
        return assemble([arrived], target.parent)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write it by hand: ``extract`` would also do what an archive asks for, such as links."""
    content = archive.extractfile(member)
    assert content is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.read())
    path.chmod(0o644 | (member.mode & 0o111))
    os.utime(path, (member.mtime, member.mtime))  # byte code is checked against it
