"""What pip is told on this machine, to be told the same elsewhere: values, variables, files."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_NAMES = re.compile(
    r"PIP_\w+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(https?|no|all)_proxy"
    r"|DEADLOCK_MATRIX_TORCH_INDEX",
    flags=re.IGNORECASE,
)


class Setting(NamedTuple):
    """One setting of pip; ``words`` are its values."""

    section: str
    key: str
    words: tuple[str, ...]


def variables() -> dict[str, str]:
    """Those of the environment that lead pip to indexes."""
    return {name: value for name, value in os.environ.items() if _NAMES.fullmatch(name)}


def read() -> list[Setting]:
    """What pip's files say, merged, as ``pip config list`` tells it."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return parse(done.stdout)


def parse(told: str) -> list[Setting]:
    """The settings in the output of ``pip config list``, without those of the environment."""
    found = []
    for line in told.splitlines():
        name, equals, value = line.partition("=")
        section, _, key = name.partition(".")
        if equals and key and not name.startswith(":env:"):
            found.append(Setting(section, key, tuple(ast.literal_eval(value).split())))
    return found


def write(settings: Iterable[Setting]) -> str:
    """All of them as one file for pip."""
    sections: dict[str, list[str]] = {}
    for setting in settings:
        row = f"{setting.key} = " + "\n  ".join(setting.words)
        sections.setdefault(setting.section, []).append(row)
    return "\n".join(
        part for section, rows in sections.items() for part in (f"[{section}]", *rows, "")
    )


def paths(words: Iterable[str]) -> list[Path]:
    """Files and folders that words of settings and variables name, and that are there.

    Of an index in a local folder it is the folder above: the pages lead to files beside them.
    """
    found = [path for word in words if (path := _path(word))]
    there = [path for path in dict.fromkeys(found) if path.exists()]
    return [path for path in there if not any(each in path.parents for each in there)]


def _path(word: str) -> Path | None:
    if word.startswith("file:"):
        return Path(unquote(urlsplit(word).path)).parent
    return Path(word) if word.startswith("/") else None
