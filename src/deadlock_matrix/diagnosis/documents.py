"""From the tables of cause files to causes, with a sentence for everything that is wrong."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deadlock_matrix.diagnosis.causes import Cause
from deadlock_matrix.diagnosis.signs import AnySign, EndSign, LibrariesSign, ThreadsSign
from deadlock_matrix.errors import ConfigurationError

SIGNS = {kind.__struct_config__.tag: kind for kind in typing.get_args(AnySign)}
"""The kinds of sign, by the word that a file uses."""

_LISTS = ("all", "any", "none", "also")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_ENUM = re.compile(r"Invalid enum value '(.*?)'")
# A group or flags: these keys of any table hold regular expressions, or tables or lists of them.
_PATTERNS = frozenset(
    {"pattern", "type", "message", "function", "file", "symbol", "library", "label", "source",
     "blocked-in", "word-in", "word", "values", "variables", "together", "chain"}
)  # fmt: skip
_SPECIFIERS = frozenset({"versions", "python", "glibc"})


def parse_causes(documents: Mapping[str, Mapping[str, Any]]) -> tuple[Cause, ...]:
    """Causes from the tables of their files, by name.

    Raises:
        ConfigurationError: One sentence with the file, what is wrong, and what is allowed.
    """
    return tuple(parse_cause(name, table) for name, table in sorted(documents.items()))


def parse_cause(name: str, table: Mapping[str, Any]) -> Cause:
    """One cause from the table of the file ``name.toml``; raises as `parse_causes`."""
    where = f"cause {name!r}"
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: the file must be named like-this.toml")
    if "name" in table:
        raise ConfigurationError(f"{where}: 'name' is the file's name; leave it out")
    for at, sign in _signs(table):
        kind = sign.get("sign")
        if kind not in SIGNS:
            given = "lacks the key 'sign'" if kind is None else f"has sign = {kind!r}"
            raise ConfigurationError(f"{where}: {at} {given}{_nearest(str(kind), SIGNS)}")
    _check_texts(where, table)
    try:
        cause = msgspec.convert({**table, "name": name}, Cause)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {_explain(str(error), table)}") from None
    _check(where, cause)
    return cause


def _signs(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in _LISTS:
        signs = table.get(key)
        for number, sign in enumerate(signs if isinstance(signs, list) else (), start=1):
            if isinstance(sign, dict):
                yield f"[[{key}]] number {number}", sign


def _check_texts(where: str, value: Any, key: str = "") -> None:
    """Check every pattern and every version specifier, wherever they stand."""
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


def _explain(text: str, table: Mapping[str, Any]) -> str:
    """What msgspec says of a table, with what is allowed there."""
    message, _, path = text.partition(" - at `$")
    path = path.removesuffix("`")
    place = f" at {path.removesuffix('[...]').lstrip('.')}" if path else ""
    kind = _type_at(path, table)
    if match := _UNKNOWN.fullmatch(message):
        keys = [each.encode_name for each in _fields(kind)]
        return f"no key {match[1]!r}{place}{_nearest(match[1], keys)}"
    if match := _MISSING.fullmatch(message):
        return f"the key {match[1]!r}{place} is missing"
    if match := _ENUM.fullmatch(message):
        return f"{match[1]!r}{place} is not allowed{_nearest(match[1], _words(kind))}"
    return f"{message[:1].lower()}{message[1:]}{place}"


def _type_at(path: str, table: Mapping[str, Any]) -> Any:
    """The type of what stands at a path as msgspec writes it, ``.all[1].thread[0].waits[...]``."""
    kind: Any = Cause
    value: Any = table
    for key, number in re.findall(r"\.([\w-]+)|\[(\d+|\.\.\.)\]", path):
        kind = typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind  # Annotated
        if key:
            value = value.get(key) if isinstance(value, dict) else None
            kind = next((each.type for each in _fields(kind) if each.encode_name == key), None)
            continue
        inside = isinstance(value, list) and number.isdigit() and int(number) < len(value)
        value = value[int(number)] if inside else None
        kind = next(iter(typing.get_args(kind)), None)
        if kind == AnySign:
            kind = SIGNS.get(value.get("sign")) if isinstance(value, dict) else None
    return kind


def _words(kind: Any) -> list[str]:
    """The words that an enumeration or a ``Literal`` allows."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [str(word) for word in typing.get_args(kind)]


def _fields(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind) if _is_struct(kind) else ()


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _nearest(given: str, allowed: Iterable[str]) -> str:
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(names) or 'nothing'}"


def _check(where: str, cause: Cause) -> None:
    """What the types alone do not say."""
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
