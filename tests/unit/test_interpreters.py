"""Names of interpreters, and what their files tell; no process is started here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest
from unit.native_factory import make_elf

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.interpreters.distribution import UNRECOGNISED, recognise
from deadlock_matrix.interpreters.fingerprint import take_fingerprint
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.interpreters.question import Answer, clean_environment
from deadlock_matrix.matrix.configuration import Configuration
from deadlock_matrix.matrix.interpreters import resolve
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown

posix = pytest.mark.skipif(os.name != "posix", reason="builds a POSIX environment")


def answer(**values: object) -> Answer:
    plain: dict[str, object] = {
        "version": "3.12.1",
        "implementation": "cpython",
        "described": "3.12.1 (main) [GCC 12.2.0]",
        "bits": 64,
        "free_threaded": False,
        "debug": False,
        "shared": True,
        "executable": "/somewhere/bin/python",
        "prefix": "/somewhere",
        "base_prefix": "/somewhere",
        "environment": False,
        "site_packages": (),
        "user_site": "",
    }
    return msgspec.convert(plain | values, Answer)


def make_environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return python


def install(site: Path, name: str, version: str, *files: str) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    python = make_environment(tmp_path / "configured")
    (tmp_path / "pyproject.toml").write_text(
        f"""
        [tool.deadlock-matrix]
        statement = "import mine"
        [[tool.deadlock-matrix.interpreter]]
        name = "pip-torch"
        executable = '{python.parent.parent}'
        """
    )
    return load_configuration(None, tmp_path, "splitlearn")


@posix
def test_names(configuration: Configuration, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "my env ä")
    found = resolve(["pip-torch", str(python), f"given={tmp_path / 'my env ä'}"], configuration)
    assert [(each.name, each.executable) for each in found] == [
        ("pip-torch", str(tmp_path / "configured/bin/python")),
        ("my-env-ä", str(python)),
        ("given", str(python)),
    ]


@posix
def test_no_names(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # else its python comes first
    assert [each.name for each in resolve([], configuration)] == ["pip-torch"]
    (bare,) = resolve([], msgspec.structs.replace(configuration, interpreters=()))
    assert bare.executable == sys.executable


@posix
@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["pip-trch"], "did you mean 'pip-torch'?"),
        (["gone=/nowhere/python"], "/nowhere/python does not exist"),
        (["/nowhere/python"], "/nowhere/python does not exist"),
        (["name="], "no path after '='"),
        (["pip-torch", "pip-torch"], "is defined twice"),
        (["a/b=/bin/sh"], "does not exist"),
    ],
)
def test_names_that_mean_nothing(
    configuration: Configuration, names: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(names, configuration)
    assert sentence in str(caught.value)


def test_a_folder_without_python(configuration: Configuration, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="there is no python in"):
        resolve([str(tmp_path / "empty")], configuration)


@posix
def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    dangling = tmp_path / "python"
    dangling.symlink_to(tmp_path / "gone")
    plain = tmp_path / "plain"
    plain.write_text("")
    plain.chmod(0o644)
    for path, words in (
        (dangling, "is a link to"),
        (tmp_path / "nothing", "does not exist"),
        (plain, "is not executable"),
        (tmp_path, "is a folder"),
    ):
        found = identify(Interpreter(name="x", executable=str(path)), None)
        assert isinstance(found.fingerprint, Unknown)
        assert words in found.fingerprint.reason


@posix
def test_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    pyenv = tmp_path / "pyenv"
    (pyenv / "libexec").mkdir(parents=True)
    (pyenv / "libexec" / "pyenv").touch()
    conda = tmp_path / "conda"
    (conda / "conda-meta").mkdir(parents=True)
    uv = tmp_path / "uv" / "python" / "cpython-3.12.1-linux-x86_64-gnu"
    for base, described, name in (
        (pyenv / "versions" / "3.12.1", "", "pyenv"),
        (conda, "", "conda"),
        (conda, "| packaged by conda-forge |", "conda (conda-forge)"),
        (conda, "| packaged by Anaconda, Inc. |", "conda (Anaconda)"),
        (uv, "", "uv"),
        ("/Library/Frameworks/Python.framework/Versions/3.12", "", "python.org"),
        ("/opt/homebrew/opt/python@3.12/Frameworks", "", "Homebrew"),
        ("/usr/local", "", "local build"),
        (tmp_path, "", UNRECOGNISED),
    ):
        found = answer(base_prefix=str(base), described=described)
        assert recognise(found) == name
        environment = msgspec.structs.replace(found, environment=True, prefix="/env")
        assert recognise(environment) == f"venv of {name}"


@posix
def test_packages_and_libraries_are_read_from_files(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    install(site, "Num_Py", "2.0")
    install(site, "numpy", "2.1", "numpy/core.so")
    make_elf(site / "numpy/core.so", needs=["libblas.so.3"])
    make_elf(tmp_path / "blas" / "libblas.so.3", exports=["openblas_get_config"])
    interpreter = Interpreter(
        name="x", executable="/x", set={"LD_LIBRARY_PATH": str(tmp_path / "blas")}
    )
    said = answer(prefix=str(tmp_path), environment=True, site_packages=(str(site),))
    found = take_fingerprint(interpreter, said)
    assert found.packages == {"num-py": "2.0", "numpy": "2.1"}
    assert isinstance(found.libraries, Known)
    if not sys.platform.startswith("linux"):
        return  # it has no use for libraries of Linux
    (library,) = found.libraries.value
    assert (library.name, library.path) == ("OpenBLAS", str(tmp_path / "blas" / "libblas.so.3"))
    assert library.users == ("numpy",)


def test_no_python_variable_is_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("KEPT", "1")
    environment = clean_environment()
    assert environment["KEPT"] == "1"
    assert not [name for name in environment if name.startswith("PYTHON")]
