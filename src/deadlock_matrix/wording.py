"""Sentences about what is wrong in a file that somebody wrote, with the nearest right spelling."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Sequence
from enum import Enum
from types import UnionType
from typing import Any

import msgspec

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_ENUM = re.compile(r"Invalid enum value (?P<value>.*)")
_TYPE = re.compile(r"Expected `(?P<wanted>.*)`, got `(?P<given>.*)`")
_KINDS = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "array | str": "a string or a list of strings",
    "str | array": "a string or a list of strings",
}

Step = str | int


def suggestion(given: str, allowed: Iterable[str]) -> str:
    """Return the end of a sentence about a wrong name: the nearest right one, or all of them."""
    names = list(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(names)}" if names else "; there are none"


def duplicate(names: Sequence[str]) -> str | None:
    """Return the first name that occurs twice."""
    return next((name for at, name in enumerate(names) if name in names[:at]), None)


def explain(
    error: msgspec.ValidationError,
    schema: type[msgspec.Struct],
    document: Any,
    whole: str = "the configuration",
) -> str:
    """Rewrite what msgspec says about ``document`` into a sentence in the words of the file.

    Args:
        error: Raised by ``msgspec.convert(document, schema)``.
        schema: The struct that the document was to become.
        document: The table, as TOML gives it.
        whole: What to call its outermost table.
    """
    text, _, path = str(error).partition(" - at `$")
    steps = _steps(path.removesuffix("`"))
    if found := _UNKNOWN.fullmatch(text):
        keys = _keys(_type_at(schema, steps, document))
        key = found["key"]
        return (
            f"{_place(steps, document) or whole} has an unknown key {key!r}{suggestion(key, keys)}"
        )
    if found := _MISSING.fullmatch(text):
        return f"{_place(steps, document) or whole} lacks the key {found['key']!r}"
    subject = ": ".join(filter(None, (_place(steps[:-1], document), _last_key(steps)))) or whole
    if found := _ENUM.fullmatch(text):
        allowed = _words(_type_at(schema, steps, document))
        value = found["value"]
        return f"{subject} cannot be {value}{suggestion(value.strip(chr(39)), allowed)}"
    if found := _TYPE.fullmatch(text):
        wanted, given = (_KINDS.get(found[part], found[part]) for part in ("wanted", "given"))
        return f"{subject} must be {wanted}, not {given}{_advice(found, steps)}"
    return f"{subject}: {text[:1].lower()}{text[1:]}"


def _advice(found: re.Match[str], steps: Sequence[Step]) -> str:
    if found["wanted"] == "array" and found["given"] == "object" and steps:
        return f"; write [[{steps[-1]}]] with two brackets on each side"
    if found["wanted"] == "str" and found["given"] in ("int", "float", "bool"):
        return "; put it in quotes"
    return ""


def _steps(path: str) -> list[Step]:
    steps: list[Step] = []
    for key, index in _STEP.findall(path):
        steps.append(key or (int(index) if index.isdigit() else "..."))
    return steps


def _place(steps: Sequence[Step], document: Any) -> str:
    """Say where it is: ``[[profile]] 'threads-1'``; empty for the outermost table."""
    words: list[str] = []
    value = document
    for at, step in enumerate(steps):
        following = steps[at + 1] if at + 1 < len(steps) else None
        value = _inside(value, step)
        if isinstance(step, int):
            name = value.get("name") if isinstance(value, dict) else None
            words.append(repr(name) if isinstance(name, str) else f"number {step + 1}")
        elif isinstance(following, int):
            words.append(f"[[{step}]]" if isinstance(_inside(value, following), dict) else step)
        elif step != "...":
            words.append(f"[{step}]" if isinstance(value, dict) else step)
    return " ".join(words)


def _last_key(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    last = steps[-1]
    return f"number {last + 1}" if isinstance(last, int) else ("a value" if last == "..." else last)


def _inside(value: Any, step: Step) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _words(kind: Any) -> list[str]:
    """Return the words that an enumeration or a ``Literal`` allows."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [str(word) for word in typing.get_args(kind)]


def _keys(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [field.encode_name for field in msgspec.structs.fields(kind)]
    return []


def _type_at(kind: Any, steps: Sequence[Step], document: Any) -> Any:
    """Return the type that the schema has at ``steps``, or ``None``."""
    for step in steps:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
            kind = fields.get(str(step))
        else:
            kind = next(iter(typing.get_args(kind)), None)
        document = _inside(document, step)
        kind = _member(kind, document)
    return kind


def _member(kind: Any, value: Any) -> Any:
    """Return the type in a union whose tag the value has, or else the most telling one."""
    if hasattr(kind, "__metadata__"):  # Annotated
        kind = typing.get_args(kind)[0]
    members = typing.get_args(kind) if isinstance(kind, UnionType) else (kind,)
    for each in members:
        tag = getattr(each, "__struct_config__", None)
        if tag and isinstance(value, dict) and value.get(tag.tag_field, tag) == tag.tag:
            return each
    return next((each for each in members if typing.get_args(each) or _keys(each)), members[0])
