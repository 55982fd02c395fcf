"""Where an interpreter comes from, judging by the folders and files around it."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path, PurePath, PureWindowsPath

from deadlock_matrix.interpreters.question import Answer

UNRECOGNISED = "unrecognised"

_BREW = ("/opt/homebrew", "/usr/local/Cellar", "/usr/local/opt", "/home/linuxbrew")
_APPLE = ("/Library/Developer/CommandLineTools", "/Applications/Xcode", "/System/Library")


def recognise(answer: Answer) -> str:
    """Name the distribution: "conda", "pyenv", "Debian"; "venv of pyenv" for an environment."""
    name = _recognise_base(answer)
    return f"venv of {name}" if answer.environment else name


def _recognise_base(answer: Answer) -> str:
    base = answer.base_prefix
    if Path(base, "conda-meta").is_dir():
        return _recognise_conda(answer)
    for folders, name in (
        (("/Library/Frameworks/Python.framework",), "python.org"),
        (_BREW, "Homebrew"),
        (_APPLE, "Apple"),
    ):
        if base.startswith(folders):
            return name
    if _is_pyenv(base):
        return "pyenv"
    if _is_uv(base):
        return "uv"
    if sys.platform == "win32":
        return _recognise_windows(answer)
    if base in ("/usr", "/usr/local"):
        return _recognise_system(base)
    return UNRECOGNISED


def _recognise_conda(answer: Answer) -> str:
    if "conda-forge" in answer.described:
        return "conda (conda-forge)"
    return "conda (Anaconda)" if "Anaconda" in answer.described else "conda"


def _is_pyenv(base: str) -> bool:
    path = Path(base)
    root = os.environ.get("PYENV_ROOT")
    if root and path.is_relative_to(Path(root, "versions")):
        return True
    return path.parent.name in ("versions", "pyenv_versions") and any(
        Path(path.parent.parent, *inside).exists()
        for inside in (("libexec", "pyenv"), ("bin", "pyenv"), ("pyenv.d",))
    )


def _is_uv(base: str) -> bool:
    # ``<data folder>/uv/python/cpython-3.12.1-linux-x86_64-gnu``
    path: PurePath = PureWindowsPath(base) if sys.platform == "win32" else Path(base)
    return any(pair == ("uv", "python") for pair in zip(path.parts, path.parts[1:], strict=False))


def _recognise_system(base: str) -> str:
    if base == "/usr/local":
        return "local build"
    try:
        name = platform.freedesktop_os_release().get("NAME", "")
    except OSError:
        name = ""
    words = name.split()
    return words[0] if words else "system"


def _recognise_windows(answer: Answer) -> str:
    base = PureWindowsPath(answer.base_prefix)
    if "WindowsApps" in base.parts:
        return "Windows Store"
    return _registered_company(base) or UNRECOGNISED


def _registered_company(base: PureWindowsPath) -> str | None:
    """Return who registered the folder (PEP 514); ``PythonCore`` is python.org's installer."""
    if sys.platform != "win32":
        return None
    import winreg

    for hive in (winreg.HKEY_CURRENT_USER, winreg.HKEY_LOCAL_MACHINE):
        for company in _subkeys(hive, r"Software\Python"):
            for tag in _subkeys(hive, rf"Software\Python\{company}"):
                try:
                    path = winreg.QueryValue(hive, rf"Software\Python\{company}\{tag}\InstallPath")
                except OSError:
                    continue
                if PureWindowsPath(path) == base:
                    return "python.org" if company == "PythonCore" else company
    return None


def _subkeys(hive: int, path: str) -> list[str]:
    if sys.platform != "win32":
        return []
    import winreg

    try:
        with winreg.OpenKey(hive, path) as key:
            return [winreg.EnumKey(key, at) for at in range(winreg.QueryInfoKey(key)[0])]
    except OSError:
        return []
