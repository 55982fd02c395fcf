"""What an interpreter is, apart from its name and its place on the disk.

Two machines install the same thing in different folders, so paths do not count. Nor does what an
interpreter showed when it ran: times and numbers of threads belong to the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts, NativeLibrary


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which two interpreters differ; an empty side means that it is not there."""

    what: str
    before: str
    after: str

    @property
    def sentence(self) -> str:
        """``package 2.12.0 -> 2.13.0``, ``new: other 21.0``, ``gone: library 0.3.21``."""
        if not self.before:
            return f"new: {self.what} {self.after}".rstrip()
        if not self.after:
            return f"gone: {self.what} {self.before}".rstrip()
        return f"{self.what} {self.before} -> {self.after}"


def identify(facts: InterpreterFacts | None) -> str:
    """Return a text that is equal for two interpreters if, and only if, they are the same.

    One whose fingerprint is unknown equals another only if the reason is the same, too.
    """
    if facts is None:
        return ""
    if not isinstance(facts.fingerprint, Known):
        known: object = {"unknown": facts.fingerprint.reason}
    else:
        known = _traits(facts.fingerprint.value)
    return msgspec.json.encode([facts.set, known], order="deterministic").decode()


def differences(
    before: InterpreterFacts | None, after: InterpreterFacts | None
) -> tuple[Difference, ...]:
    """Return how two interpreters differ; what is unknown of either is not compared."""
    if before is None or after is None:
        return ()
    found = list(_between(before.set, after.set))
    if isinstance(before.fingerprint, Known) and isinstance(after.fingerprint, Known):
        old, new = before.fingerprint.value, after.fingerprint.value
        found += _between(_head(old), _head(new))
        found += _between(old.packages, new.packages)
        if isinstance(old.libraries, Known) and isinstance(new.libraries, Known):
            libraries = (_by_name(old.libraries.value), _by_name(new.libraries.value))
            found += _between(*libraries)
    return tuple(found)


def _between(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield Difference(what=key, before=old or _there(old), after=new or _there(new))


def _there(value: str | None) -> str:
    return "" if value is None else "(empty)"


def _traits(fingerprint: Fingerprint) -> dict[str, object]:
    libraries = fingerprint.libraries
    return {
        **_head(fingerprint),
        "packages": fingerprint.packages,
        "libraries": _by_name(libraries.value) if isinstance(libraries, Known) else None,
    }


def _head(fingerprint: Fingerprint) -> dict[str, str]:
    return {
        "Python": f"{fingerprint.implementation} {fingerprint.version}",
        "build": fingerprint.build,
        "distribution": fingerprint.distribution,
        "free-threaded": "yes" if fingerprint.free_threaded else "no",
    }


def _by_name(libraries: tuple[NativeLibrary, ...]) -> dict[str, str]:
    """Map each product to what is known of each copy of it, without paths."""
    copies: dict[str, list[str]] = {}
    for library in libraries:
        copies.setdefault(library.name, []).append(_copy(library))
    return {name: " and ".join(sorted(texts)) for name, texts in sorted(copies.items())}


def _copy(library: NativeLibrary) -> str:
    version = library.version.or_else("(version unknown)")
    about = [library.threading, "static" if library.static else "", ", ".join(library.users)]
    told = "; ".join(each for each in about if each)
    return f"{version} ({told})" if told else version
