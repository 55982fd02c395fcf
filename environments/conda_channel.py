"""A local conda channel: this CPython and some wheels, packed.

``python -m environments.conda_channel CHANNEL WHEELS`` runs in the harness' environment. It makes a
real channel, and what is installed from it is a real conda environment, on this machine: the packed
CPython uses the system's libraries, as it does where it is now.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Any

from environments import mkl
from environments.recipes import NOX

CHANNEL = NOX / "channel"
SUBDIR = "linux-64"

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARY = f"lib/python{_PYTHON}"
_IS_DEBIAN = sys.base_prefix == "/usr"
_SITE_PACKAGES = f"{_LIBRARY}/{'dist' if _IS_DEBIAN else 'site'}-packages"
_LEFT_OUT = re.compile(
    r"(^|/)(site-packages|dist-packages|__pycache__|test|tests|idlelib|turtledemo)/|\.a$"
    r"|/(EXTERNALLY-MANAGED|sitecustomize\.py)$"
)
# Debian's Python looks for packages in folders of another name, and its module site cannot be
# changed: it is frozen into the program. So pip is to put them there.
_OF_DEBIAN = (
    ("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    ("/site-packages'", "/dist-packages'"),
)


def make(channel: Path, wheels: Iterable[Path]) -> None:
    """Pack everything into ``channel``, which is replaced when the new one is whole."""
    from rattler.index import index_fs  # type: ignore[import-not-found,unused-ignore]

    draft = channel.with_name(f".{channel.name}")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / SUBDIR).mkdir(parents=True)
    (draft / "noarch").mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "python")
        copy_python(root)
        _pack(draft, root, "python", ".".join(map(str, sys.version_info[:3])), [])
        for number, wheel in enumerate(wheels):
            root = Path(scratch, str(number))
            name, version, needs = _unpack_wheel(wheel, root)
            mkl.let_tbb_be_found(root / "lib")
            _pack(draft, root, name, version, [f"python {_PYTHON}.*", *needs])
            shutil.rmtree(root)
    asyncio.run(index_fs(draft))
    shutil.rmtree(channel, ignore_errors=True)
    draft.rename(channel)


def copy_python(root: Path) -> None:
    """Copy the running CPython's own files into ``root``, in the layout of a prefix."""
    base = Path(sys.base_prefix)
    include = Path(sysconfig.get_path("platinclude", vars={"platbase": str(base)}))
    folders = [base / _LIBRARY, include]
    files = [path for folder in folders for path in folder.rglob("*")]
    files += [base / "bin" / f"python{_PYTHON}", *(base / "lib").glob("libpython*.so*")]
    for path in files:
        inside = path.relative_to(base)
        if path.is_dir() or _LEFT_OUT.search(inside.as_posix()):
            continue
        (root / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, root / inside, follow_symlinks=False)
    if _IS_DEBIAN:
        schemes = root / _LIBRARY / "sysconfig.py"
        text = schemes.read_text(encoding="utf-8")
        for old, new in _OF_DEBIAN:
            text = text.replace(old, new, 2)  # the first scheme's two folders
        schemes.write_text(text, encoding="utf-8")
    for link in ("python", "python3"):
        (root / "bin" / link).symlink_to(f"python{_PYTHON}")
    for path in (root / "bin" / f"python{_PYTHON}", *root.rglob("*.so*")):
        _relocate(path, base, root)


def _relocate(binary: Path, base: Path, root: Path) -> None:
    """Let a binary find libpython by its own place, not by where the CPython was built."""
    if binary.is_symlink():
        return
    ask = subprocess.run(
        ["patchelf", "--print-rpath", binary], capture_output=True, text=True, check=False
    )
    if str(base) in ask.stdout:
        up = "/".join([".."] * (len(binary.relative_to(root).parts) - 1))
        subprocess.run(["patchelf", "--set-rpath", f"$ORIGIN/{up}/lib", binary], check=True)


def _unpack_wheel(wheel: Path, root: Path) -> tuple[str, str, list[str]]:
    """Lay a wheel out as pip would; returns its name, its version and what it needs."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    metadata = ""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            path = PurePosixPath(member.filename)
            if path.match("*.dist-info/METADATA"):
                metadata = archive.read(member).decode()
            target = root / _place(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
    fields = HeaderParser().parsestr(metadata)
    requirements = map(Requirement, fields.get_all("Requires-Dist", []))
    # Without versions: the channel has one of each, and pip has chosen those that fit.
    needs: list[str] = [
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    return canonicalize_name(fields["Name"]), str(fields["Version"]), needs


def _place(path: PurePosixPath) -> PurePosixPath:
    if path.parts[0].endswith(".data") and len(path.parts) > 2:
        _, scheme, *rest = path.parts
        return PurePosixPath({"data": ".", "scripts": "bin"}.get(scheme, _SITE_PACKAGES), *rest)
    return PurePosixPath(_SITE_PACKAGES, path)


def _pack(channel: Path, root: Path, name: str, version: str, needs: list[str]) -> None:
    """Write one package in conda's format 2: a zip file with two zstd archives."""
    build = f"py{_PYTHON.replace('.', '')}_0"
    files = sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    index = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "depends": needs,
        "arch": "x86_64",
        "platform": "linux",
        "subdir": SUBDIR,
    }
    paths = {"paths_version": 1, "paths": [_describe(path, root) for path in files]}
    info = {"index.json": index, "paths.json": paths, "about.json": {}}
    stem = f"{name}-{version}-{build}"
    with zipfile.ZipFile(channel / SUBDIR / f"{stem}.conda", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        with archive.open(f"pkg-{stem}.tar.zst", "w", force_zip64=True) as out:
            _compress(out, [(path, path.relative_to(root).as_posix()) for path in files])
        with (
            tempfile.TemporaryDirectory() as scratch,
            archive.open(f"info-{stem}.tar.zst", "w") as out,
        ):
            for file, content in info.items():
                Path(scratch, file).write_text(json.dumps(content))
            _compress(out, [(Path(scratch, file), f"info/{file}") for file in info])


def _compress(out: Any, members: Iterable[tuple[Path, str]]) -> None:
    import zstandard  # type: ignore[import-not-found,unused-ignore]

    with (
        zstandard.ZstdCompressor(level=1).stream_writer(out, closefd=False) as compressed,
        tarfile.open(fileobj=compressed, mode="w|") as archive,
    ):
        for path, name in members:
            archive.add(path, name, recursive=False, filter=_owned_by_root)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _describe(path: Path, root: Path) -> dict[str, Any]:
    """An entry of ``paths.json``: in a text that names the prefix, the installer replaces it."""
    inside = path.relative_to(root).as_posix()
    if path.is_symlink():
        content = path.resolve().read_bytes() if path.resolve().is_file() else b""
        kind = "softlink"
    else:
        content, kind = path.read_bytes(), "hardlink"
    entry: dict[str, Any] = {
        "_path": inside,
        "path_type": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    # The operating system's prefix stands in many texts, and means the system's files there.
    names_prefix = sys.base_prefix.encode() in content and b"\0" not in content and not _IS_DEBIAN
    if kind == "hardlink" and names_prefix:
        entry |= {"prefix_placeholder": sys.base_prefix, "file_mode": "text"}
    return entry


if __name__ == "__main__":
    make(Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*.whl")))
    sys.stdout.flush()
    os._exit(0)  # py-rattler's threads may still end, and a Python that shuts down meanwhile aborts
