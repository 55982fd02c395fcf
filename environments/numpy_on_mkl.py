"""numpy on MKL: numpy's own wheel, with MKL where its OpenBLAS was.

The wheel's modules call OpenBLAS by names that begin with ``scipy_`` and take 64-bit integers. MKL
has the same functions, for the same integers, with ``_64`` at the end. A small library stands
between the two: each of its functions is one jump. It needs ``libmkl_rt`` and lies where OpenBLAS
lay, which is left out; nothing else changes. That takes seconds, where building numpy takes minutes
and wants Python's headers and a C++ compiler.

``python -m environments.numpy_on_mkl WHEEL FOLDER`` writes the new wheel into ``FOLDER``. Its
version is numpy's with ``+mkl``. What `NEEDED` lists must be there.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from environments import locks
from environments.recipes import NOX

NEEDED = ("cc", "patchelf")
LIBRARY = "libnumpy_on_mkl.so"
MKL = "libmkl_rt.so.3"

_OPENBLAS = re.compile(r"libscipy_openblas64_[\w.-]*")
_PREFIX = "scipy_"
# From numpy.libs in site-packages to lib, where MKL is, in a venv as in a conda environment.
_RUNPATH = "$ORIGIN/../../.."
_COMMAND_TIMEOUT_S = 120


def find() -> Path | None:
    """The wheel that was made before from what is locked now."""
    return next(folder().glob("*+mkl*.whl"), None)


def folder() -> Path:
    """Where it is kept."""
    made_from = locks.file("numpy").read_text() + Path(__file__).read_text() + sys.version
    return NOX / "wheels" / hashlib.sha256(made_from.encode()).hexdigest()[:16]


def lacking() -> str:
    """What is not here that it is made with, or nothing."""
    absent = [each for each in NEEDED if not shutil.which(each, path=search_path())]
    return f"there is no {' and no '.join(absent)}" if absent else ""


def search_path() -> str:
    """The programs of this environment before those of the system."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def put_on_mkl(wheel: Path, folder: Path) -> Path:
    """Write the wheel of numpy on MKL into ``folder``, and return where it is.

    Raises:
        ValueError: No module of the wheel uses OpenBLAS as described above.
        subprocess.SubprocessError: The compiler or patchelf failed.
    """
    root = folder / "unpacked"
    shutil.rmtree(root, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(root)
    modules = {path: used for path in root.rglob("*.so") if (used := _openblas_of(path))}
    names = sorted({name for path in modules for name in _undefined(path)})
    if not names:
        raise ValueError(f"{wheel.name} does not use OpenBLAS by names with {_PREFIX!r}")
    libraries = root / "numpy.libs"
    for path in libraries.iterdir():
        path.unlink()  # OpenBLAS, and what only it needs
    _build(names, libraries / LIBRARY)
    for path, used in modules.items():
        _run("patchelf", "--replace-needed", used, LIBRARY, str(path))
    made = folder / _rename(root, wheel)
    _pack(root, made)
    shutil.rmtree(root)
    return made


def name_in_mkl(name: str) -> str:
    """MKL's name of one of OpenBLAS's functions: a suffix of its own for 64-bit integers.

    ``scipy_cblas_dgemm64_`` is ``cblas_dgemm_64``, and ``scipy_dgesv_64_`` is ``dgesv_64_``.
    """
    plain = name.removeprefix(_PREFIX)
    return f"{plain.removesuffix('64_')}_64" if plain.startswith("cblas_") else plain


def write_jumps(names: Iterable[str]) -> str:
    """The library's source: x86-64 assembly for GNU's and LLVM's assemblers.

    A jump leaves registers and stack as the caller prepared them, so no prototype is needed.
    """
    lines = ['.section .note.GNU-stack,"",@progbits', ".text"]
    for name in names:
        lines += [f".globl {name}", f".type {name}, @function"]
        lines += [f"{name}: jmp *{name_in_mkl(name)}@GOTPCREL(%rip)"]
    return "\n".join([*lines, ""])


def _build(names: list[str], library: Path) -> None:
    source = library.with_suffix(".s")
    source.write_text(write_jumps(names))
    _run("cc", "-shared", "-nostdlib", f"-Wl,-soname,{LIBRARY}", "-o", str(library), str(source))
    source.unlink()
    _run("patchelf", "--add-needed", MKL, "--set-rpath", _RUNPATH, str(library))


def _openblas_of(module: Path) -> str:
    """The name of the OpenBLAS that a module needs, or nothing."""
    return next(filter(_OPENBLAS.match, _run("patchelf", "--print-needed", module).split()), "")


def _undefined(module: Path) -> list[str]:
    from elftools.elf.elffile import ELFFile

    with module.open("rb") as stream:
        symbols: Any = ELFFile(stream).get_section_by_name(".dynsym")
        return [
            each.name
            for each in symbols.iter_symbols()
            if each["st_shndx"] == "SHN_UNDEF" and each.name.startswith(_PREFIX)
        ]


def _rename(root: Path, wheel: Path) -> str:
    """Let the version end in ``+mkl``; returns the new wheel's name."""
    (folder,) = root.glob("numpy-*.dist-info")
    version = folder.name.removesuffix(".dist-info").removeprefix("numpy-")
    metadata = folder / "METADATA"
    old, new = f"\nVersion: {version}\n", f"\nVersion: {version}+mkl\n"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    folder.rename(folder.with_name(f"numpy-{version}+mkl.dist-info"))
    return wheel.name.replace(f"numpy-{version}-", f"numpy-{version}+mkl-", 1)


def _pack(root: Path, made: Path) -> None:
    """Write the wheel, whole or not at all, with a new list of its files."""
    (folder,) = root.glob("numpy-*.dist-info")
    record = folder / "RECORD"
    files = sorted(path for path in root.rglob("*") if path.is_file() and path != record)
    rows = []
    for path in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
        rows.append(f"{path.relative_to(root)},sha256={digest.rstrip('=')},{path.stat().st_size}\n")
    record.write_text("".join(rows) + f"{record.relative_to(root)},,\n")
    draft = made.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for path in (*files, record):
            archive.write(path, path.relative_to(root))
    draft.replace(made)


def _run(program: str, *arguments: object) -> str:
    found = shutil.which(program, path=search_path()) or program
    command = [found, *map(str, arguments)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=_COMMAND_TIMEOUT_S
    )
    return done.stdout


if __name__ == "__main__":
    print(put_on_mkl(Path(sys.argv[1]), Path(sys.argv[2])))
