"""Removal of what must not leave this machine, from a result, before it is written anywhere.

The same text always becomes the same replacement, so that a report can be judged again. Names of
functions and system calls decide a judgement and cannot hold a secret: they stay as they are.
Memory stays as it is, too (`Word.around`): a few words around a lock, on which proofs rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Literal, TypeVar, cast, get_origin
from urllib.parse import quote

import msgspec

from deadlock_matrix.model.cell import Context, Entry, Interpreter, Layout, Profile
from deadlock_matrix.model.evidence import Machine
from deadlock_matrix.model.fact import Aside
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import Observation
from deadlock_matrix.model.stack_facts import NativeFrame
from deadlock_matrix.model.thread_facts import Mapping as MemoryMapping
from deadlock_matrix.model.thread_facts import SystemCall, ThreadFacts, Word

T = TypeVar("T")

HIDDEN = "***"
SHORT = 12  # a shorter secret is replaced only where it is not inside a word
CUT_FROM = 100  # characters; shorter texts have not been cut
EDGE = 6  # that many characters of a secret, at the edge of a cut text, are part of it

_VARIABLES = {(Interpreter, "set"), (InterpreterFacts, "set"), (Profile, "set")} | {
    (Observation, "environment")
}
_AS_THEY_ARE: set[tuple[type, str]] = {
    (Aside, "file"),
    (Aside, "sha256"),
    (Machine, "architecture"),
    (Machine, "system"),
    (MemoryMapping, "permissions"),
    (NativeFrame, "symbol"),
    (PythonFrame, "function"),
    (SystemCall, "name"),
    (ThreadFacts, "state"),
    (Word, "around"),
}
# A proof asks whether memory belongs to a file, which means whether its path is absolute.
_ABSOLUTE = {(MemoryMapping, "path")}

_CUT = re.compile(r"(\n\[\.\.\. \d+ bytes cut here \.\.\.\]\n|\.\.\.|…)")
_SECRET_WORDS = frozenset(
    {
        "apikey", "auth", "cookie", "credential", "credentials", "key", "keys", "pass",
        "passphrase", "passwd", "password", "passwords", "pat", "secret", "secrets", "token",
        "tokens"
    }
)  # fmt: skip
_SECRET_PARTS = ("apikey", "credential", "passphrase", "passwd", "password", "secret")

_PARTS = (Interpreter, Profile, Layout, Entry, Context)


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """What a report may not contain, as found by `deadlock_matrix.report.private`.

    ``secrets`` are replaced everywhere. ``homes``, ``users`` and ``hosts`` map to their
    replacements. ``common`` are users' names that are also words: they are replaced only below
    ``/home`` and ``/Users``.
    """

    secrets: frozenset[str] = frozenset()
    homes: dict[str, str] = {}
    users: dict[str, str] = {}
    hosts: dict[str, str] = {}
    common: dict[str, str] = {}


class Redaction:
    """Replaces what is private in any of the model's types; doing it twice changes nothing more."""

    def __init__(self, private: Private) -> None:
        self._secrets = tuple(sorted(private.secrets, key=lambda text: (-len(text), text)))
        self._hidden = _any_of([form for secret in self._secrets for form in _secret_forms(secret)])
        named = [
            *(form for home in private.homes for form in _home_forms(home)),
            *(_word(user) for user in private.users),
            *(_below_homes(user) for user in private.common),
            *(f"(?i:{_word(host)})" for host in private.hosts),
        ]
        self._named = _any_of(named)
        self._names = {
            **{host.lower(): new for host, new in private.hosts.items()},
            **private.common,
            **private.users,
            **{form: new for home, new in private.homes.items() for form in _spellings(home)},
        }
        self._done: dict[str, str] = {}
        self._parts: dict[int, tuple[object, object]] = {}  # keeps the part: ids are reused

    def apply(self, value: T) -> T:
        """Return the value with every text in it replaced, including keys of dictionaries."""
        return cast(T, self._walk(value))

    def text(self, text: str) -> str:
        """Redact one text."""
        if text not in self._done:
            if len(self._done) > 100_000:
                self._done.clear()
            self._done[text] = self._replace(text)
        return self._done[text]

    def _replace(self, text: str) -> str:
        if not text.isascii():  # a name or a variable need not be UTF-8, which JSON must be
            text = text.encode(errors="backslashreplace").decode()
        if self._hidden is not None:
            text = self._hidden.sub(HIDDEN, text)
            if len(text) >= CUT_FROM:
                text = "".join(self._without_edges(part) for part in _CUT.split(text))
        if self._named is not None:
            text = self._named.sub(self._name, text)
        return text

    def _name(self, found: re.Match[str]) -> str:
        # Only hosts are matched in other letter case, and some letters have no lower case ("ſ").
        return self._names.get(found[0]) or self._names.get(found[0].lower(), "HOST")

    def _without_edges(self, text: str) -> str:
        """Remove the rest of a secret that is left where a text was cut in the middle of it."""
        for secret in self._secrets:
            if len(secret) <= EDGE:
                continue
            at = text.rfind(secret[:EDGE], max(len(text) - len(secret), 0))
            if at >= 0 and secret.startswith(text[at:]):
                text = text[:at] + HIDDEN
            at = text.find(secret[-EDGE:], 0, len(secret))
            if at >= 0 and secret.endswith(text[: at + EDGE]):
                text = HIDDEN + text[at + EDGE :]
        return text

    def _walk(self, value: object) -> object:
        if type(value) is str:
            return self.text(value)
        if isinstance(value, msgspec.Struct):
            return self._part(value) if isinstance(value, _PARTS) else self._struct(value)
        if isinstance(value, dict):
            return self._dict(value)
        if isinstance(value, tuple):
            walked = tuple(map(self._walk, value))
            return value if all(map(_same, walked, value)) else walked
        if isinstance(value, list):
            return [self._walk(each) for each in value]
        return value

    def _part(self, value: msgspec.Struct) -> object:
        """Redact what many cells have in common, once."""
        known = self._parts.get(id(value))
        if known is None:
            if len(self._parts) > 10_000:
                self._parts.clear()
            known = self._parts[id(value)] = value, self._struct(value)
        return known[1]

    def _struct(self, value: msgspec.Struct) -> msgspec.Struct:
        kind = type(value)
        changed: dict[str, object] = {}
        for name in _open_fields(kind):
            before = getattr(value, name)
            after = self._walk(before)
            if (kind, name) in _VARIABLES and isinstance(after, dict):
                hidden = {key: HIDDEN for key in after if looks_secret(key)}
                after = after if after == after | hidden else after | hidden
            if (kind, name) in _ABSOLUTE and isinstance(after, str) and after.startswith("~"):
                after = f"/{after}"
            if after is not before:
                changed[name] = after
        return msgspec.structs.replace(value, **changed) if changed else value

    def _dict(self, value: dict[object, object]) -> dict[object, object]:
        walked: dict[object, object] = {}
        for key, each in value.items():
            new = self._walk(key)
            while new in walked:  # two keys, one replacement
                new = f"{new}'"
            walked[new] = self._walk(each)
        return value if walked == value else walked


def looks_secret(variable: str) -> bool:
    """Return whether an environment variable's name says that its value is a secret."""
    parts = [part.lower() for part in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", variable)]
    joined = "".join(parts)
    return (
        not _SECRET_WORDS.isdisjoint(parts)
        or any(part in joined for part in _SECRET_PARTS)
        or joined.endswith("token")
        or (len(parts) > 1 and parts[-1] == "pwd" and parts != ["old", "pwd"])
    )


@cache
def _open_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in msgspec.structs.fields(kind)
        if (kind, field.name) not in _AS_THEY_ARE
        and get_origin(field.type) is not Literal
        and field.type not in (int, float, bool)
    )


def _same(one: object, other: object) -> bool:
    return one is other


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(patterns)) if patterns else None


def _secret_forms(secret: str) -> Iterable[str]:
    """Yield it as it is, and as written in a literal, in JSON and in an address."""
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}
    for form in sorted(forms, key=lambda text: (-len(text), text)):
        escaped = re.escape(form)
        yield escaped if len(secret) >= SHORT else f"(?<![0-9A-Za-z]){escaped}(?![0-9A-Za-z])"


def _spellings(home: str) -> Iterable[str]:
    """Return how a path may be written: a Windows one with slashes, or doubled backslashes."""
    return dict.fromkeys((home.replace("\\", "\\\\"), home, home.replace("\\", "/")))


def _home_forms(home: str) -> Iterable[str]:
    for form in _spellings(home):
        yield rf"(?<![\w.~-]){re.escape(form)}(?![\w-]|\.\w)"


def _word(name: str) -> str:
    return rf"(?<![0-9A-Za-z_]){re.escape(name)}(?![0-9A-Za-z_])"


def _below_homes(name: str) -> str:
    before = "|".join((r"(?<=/home/)", r"(?<=/Users/)", r"(?<=\\Users\\)", r"(?<=\\Users\\\\)"))
    return rf"(?:{before}){re.escape(name)}(?![\w-]|\.\w)"
