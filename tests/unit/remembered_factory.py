"""An environment in files, what is known of it, and what of that is remembered."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.interpreters import remembered
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.interpreters.question import Answer
from deadlock_matrix.interpreters.remembered import Memory, first_memory, recall, stamps_of
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint, NativeLibrary, Running


class World:
    """An environment with a package and a library, and what is known of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "env" / "bin" / "python"
        self.site = folder / "env" / "site-packages"
        self.library = folder / "lib" / "libopenblas.so.0"
        for path in (self.python, self.library, self.site / "numpy" / "__init__.py"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("1")
        self.python.chmod(0o755)
        (self.site / "start.pth").write_text("import numpy\n")
        (folder / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
        self.cache = folder / "cache"
        self.interpreter = Interpreter(name="x", executable=str(self.python))

    def answer(self, **values: object) -> Answer:
        plain: dict[str, object] = {
            "version": "3.12.1",
            "implementation": "cpython",
            "described": "3.12.1",
            "bits": 64,
            "free_threaded": False,
            "debug": False,
            "shared": True,
            "executable": str(self.python),
            "prefix": str(self.folder / "env"),
            "base_prefix": "/nowhere",
            "environment": True,
            "site_packages": (str(self.site),),
            "user_site": "",
        }
        return msgspec.convert(plain | values, Answer)

    def fingerprint(self, **values: object) -> Known[Fingerprint]:
        library = NativeLibrary(
            name="OpenBLAS",
            kind=LibraryKind.BLAS,
            path=str(self.library),
            version=unknown("the file does not tell"),
        )
        plain = Fingerprint(
            name="x",
            executable=str(self.python),
            version="3.12.1",
            implementation="cpython",
            build="",
            distribution="",
            free_threaded=False,
            packages={"numpy": "2.1"},
            libraries=known((library,), "test"),
        )
        return known(msgspec.structs.replace(plain, **values), "test")

    def memory(self, interpreter: Interpreter | None = None) -> Memory:
        stamps = stamps_of(interpreter or self.interpreter, self.answer())
        assert stamps is not None
        return first_memory(stamps, self.fingerprint())

    def recall(self, interpreter: Interpreter | None = None) -> Memory | None:
        return recall(interpreter or self.interpreter, self.cache, 1.0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONNOUSERSITE"):
        monkeypatch.delenv(name, raising=False)
    # Somebody may be installing something on the machine that runs this.
    monkeypatch.setattr(remembered, "_SYSTEM", ())
    return World(tmp_path)


def running(*mapped: str, **values: object) -> Known[Running]:
    shown = Running(
        module="numpy",
        version="2.1",
        configuration=known("", "test"),
        pools=known((), "test"),
        mapped=known(mapped, "test"),
        described=known("", "test"),
        seconds=0.1,
    )
    return known(msgspec.structs.replace(shown, **values), "test")


def rewrite(path: Path, text: str) -> None:
    """Another file at the same path: a new number, so that no clock needs to have moved on."""
    draft = path.with_name("draft")
    draft.write_text(text)
    shutil.copymode(path, draft)
    draft.replace(path)
