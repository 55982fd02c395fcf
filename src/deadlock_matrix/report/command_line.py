"""A command as it may be shared: what it runs, without the arguments it was given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from deadlock_matrix.report.redaction import HIDDEN

_NUMBER = re.compile(r"[+-]?[\d.:,/]+")
_OPTION = re.compile(r"(--?[A-Za-z][\w.-]*)=.*", re.DOTALL)
_SWITCHES = re.compile(r"-[A-Za-z]{1,3}|--[A-Za-z][\w.-]*|--?")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")


def withhold_arguments(words: Sequence[str]) -> str:
    """Return the command as one line for a shell, with every value hidden that may be private.

    It keeps the program, the names of options and of modules to run, numbers, and the paths of
    existing files: they show what was run. Any other value may be a password or code.
    """
    return " ".join(_words(words))


def _words(words: Sequence[str]) -> Iterator[str]:
    before = ""
    for place, word in enumerate(words):
        option = _OPTION.fullmatch(word)
        if place == 0 or _is_open(word, before):
            yield shlex.quote(word)
        elif option is not None:
            yield f"{option[1]}={HIDDEN}"
        else:
            yield HIDDEN
        before = word


def _is_open(word: str, before: str) -> bool:
    if before == "-c":
        return False
    if before == "-m":
        return bool(_MODULE.fullmatch(word))
    if _NUMBER.fullmatch(word) or _SWITCHES.fullmatch(word):
        return True
    try:
        return Path(word.partition("::")[0]).exists()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False
