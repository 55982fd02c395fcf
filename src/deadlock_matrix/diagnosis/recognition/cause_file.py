"""From the tables of cause files to causes, with a sentence for everything that is wrong."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.signs import AnySign, EndSign, LibrariesSign, ThreadsSign
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.wording import explain, suggestion

SIGNS = {kind.__struct_config__.tag: kind for kind in typing.get_args(AnySign)}
"""The kinds of sign, by the word that a file uses."""

_LISTS = ("all", "any", "none", "also")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# A group or flags: these keys of any table hold regular expressions, or tables or lists of them.
_PATTERNS = frozenset(
    {"pattern", "type", "message", "function", "file", "symbol", "library", "label", "source",
     "blocked-in", "word-in", "word", "values", "variables", "together", "chain"}
)  # fmt: skip
_SPECIFIERS = frozenset({"versions", "python", "glibc"})


def parse_causes(documents: Mapping[str, Mapping[str, Any]]) -> tuple[Cause, ...]:
    """Return causes from the tables of their files, by name.

    Raises:
        ConfigurationError: One sentence with the file, what is wrong, and what is allowed.
    """
    return tuple(parse_cause(name, table) for name, table in sorted(documents.items()))


def parse_cause(name: str, table: Mapping[str, Any]) -> Cause:
    """Return one cause from the table of the file ``name.toml``; raise as `parse_causes`."""
    where = f"cause {name!r}"
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: the file must be named like-this.toml")
    if "name" in table:
        raise ConfigurationError(f"{where}: 'name' is the file's name; leave it out")
    for at, sign in _signs(table):
        kind = sign.get("sign")
        if kind not in SIGNS:
            given = "lacks the key 'sign'" if kind is None else f"has sign = {kind!r}"
            raise ConfigurationError(f"{where}: {at} {given}{suggestion(str(kind), SIGNS)}")
    _check_texts(where, table)
    try:
        cause = msgspec.convert({**table, "name": name}, Cause)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {explain(error, Cause, table, 'the file')}") from None
    _check(where, cause)
    return cause


def _signs(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in _LISTS:
        signs = table.get(key)
        for number, sign in enumerate(signs if isinstance(signs, list) else (), start=1):
            if isinstance(sign, dict):
                yield f"[[{key}]] number {number}", sign


def _check_texts(where: str, value: Any, key: str = "") -> None:
    """Check every pattern and every version specifier, wherever they are."""
    if isinstance(value, dict):
        inside = key if key in _PATTERNS or key in _SPECIFIERS else ""
        for name, each in value.items():
            _check_texts(where, each, inside or name)
    elif isinstance(value, list):
        for each in value:
            _check_texts(where, each, key)
    elif isinstance(value, str) and key in _PATTERNS:
        try:
            re.compile(value)
        except re.error as error:
            raise ConfigurationError(
                f"{where}: {key}: {value!r} is not a regular expression: {error}"
            ) from None
    elif isinstance(value, str) and key in _SPECIFIERS:
        try:
            SpecifierSet(value)
        except InvalidSpecifier:
            raise ConfigurationError(
                f"{where}: {key}: {value!r} is not a version specifier such as '>=3.8,<3.13'"
            ) from None


def _check(where: str, cause: Cause) -> None:
    """Check what the types alone do not express."""
    if not cause.title.strip() or "\n" in cause.title.strip():
        raise ConfigurationError(f"{where}: the title must be one line")
    if not cause.explanation.strip():
        raise ConfigurationError(f"{where}: the explanation is empty")
    if not cause.remedy:
        raise ConfigurationError(f"{where}: it has no [[remedy]]; say at least what to try")
    if not any(sign.telling for sign in (*cause.all, *cause.any)):
        telling = sorted(tag for tag, kind in SIGNS.items() if kind.telling)
        raise ConfigurationError(
            f"{where}: [[all]] and [[any]] need one sign that points to this cause alone: "
            f"{', '.join(telling)}"
        )
    for sign in cause.signs:
        if not sign.what.strip():
            raise ConfigurationError(f"{where}: 'what' of a sign is empty")
        if isinstance(sign, LibrariesSign) and not sign.together:
            raise ConfigurationError(f"{where}: 'together' is empty; name the libraries")
        if isinstance(sign, EndSign) and not (sign.statuses or sign.signals):
            raise ConfigurationError(f"{where}: an 'end' needs 'statuses' or 'signals'")
        if isinstance(sign, ThreadsSign) and any(
            thread.innermost and not thread.frames for thread in sign.thread
        ):
            raise ConfigurationError(f"{where}: 'innermost' says something of 'frames' only")
