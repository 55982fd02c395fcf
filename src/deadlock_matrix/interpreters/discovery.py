"""Every Python on this machine: found, asked, each physical one once, broken ones too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from deadlock_matrix.interpreters.candidates import list_candidates
from deadlock_matrix.interpreters.conda import (
    is_prefix,
    known_prefixes,
    list_pythons,
    listing_commands,
    run_listing,
)
from deadlock_matrix.interpreters.environments import list_environments, search_trees
from deadlock_matrix.interpreters.identity import DEADLINE_S, identify
from deadlock_matrix.interpreters.physical import Key, choose_path, key_of, may_wrap, name_of
from deadlock_matrix.interpreters.places import Surroundings, home_of, is_there
from deadlock_matrix.interpreters.pyenv import is_shim, pyenv_root, pyenv_versions
from deadlock_matrix.interpreters.question import ask
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 4  # starting a Python keeps a processor busy, waiting for one that hangs does not


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found: interpreters, broken ones last; and where it could not look."""

    interpreters: tuple[InterpreterFacts, ...]
    notes: tuple[str, ...]


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that was asked. ``stands_for`` is another executable that it starts."""

    facts: InterpreterFacts
    stands_for: str = ""


def discover(
    surroundings: Surroundings, cache: Path | None, deadline_s: float = DEADLINE_S
) -> Discovered:
    """Find every Python, and find out what each one is.

    Args:
        surroundings: Where to begin, from `places.look_around`.
        cache: The folder in which answers are remembered; ``None`` asks every candidate.
        deadline_s: Seconds for each interpreter, and for each tool that lists environments.

    Returns:
        One for each environment, and for each real executable outside environments, however many
            links lead to it. A wrapper is followed to what it starts. Interpreters with an unknown
            fingerprint do not work, for the stated reason: they do not answer before the deadline,
            they are not Python, their base is gone.
        many links lead to it. A wrapper is followed to what it starts. Interpreters whose
        fingerprint is unknown do not work, with the reason: they do not answer until the deadline,
        they are no Python, their base is gone.
    """
    notes: list[str] = []
    if cache is not None and (problem := _cannot_keep(cache)):
        notes.append(problem)
        cache = None
    with _Search(cache, deadline_s) as search:
        commands = listing_commands(surroundings)
        listings = [search.run(run_listing, each, surroundings, deadline_s) for each in commands]
        search.look_at(_candidates(surroundings, cache, notes))
        for listing in listings:
            found = listing.result()
            if isinstance(found, Known):
                search.look_at(list_pythons(found.value))
            else:
                notes.append(found.reason)
        search.look_at(search.wrapped())
        return Discovered(interpreters=_arranged(search.facts()), notes=tuple(notes))


class _Search:
    """Asks candidates side by side, each physical interpreter once; nothing waits for the slow."""

    def __init__(self, cache: Path | None, deadline_s: float) -> None:
        self._cache, self._deadline_s = cache, deadline_s
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._asked: dict[Key, Future[_Seen]] = {}
        self._tools = ThreadPoolExecutor()

    def __enter__(self) -> _Search:
        return self

    def __exit__(self, *raised: object) -> None:
        for pool in (self._pool, self._tools):
            pool.shutdown(wait=False, cancel_futures=True)

    def run(self, tool: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Run something that waits for a tool, beside everything else."""
        return self._tools.submit(tool, *arguments, **named)

    def look_at(self, paths: Iterable[str]) -> None:
        """Begin to ask those interpreters to which none of the earlier paths led."""
        groups: dict[Key, list[str]] = {}
        for path in paths:
            groups.setdefault(key_of(path), []).append(path)
        for key, found in groups.items():
            if key not in self._asked:
                path = choose_path(found)
                self._asked[key] = self._pool.submit(_look_at, path, self._cache, self._deadline_s)

    def wrapped(self) -> list[str]:
        """Return what the wrappers start, once all have answered."""
        return [path for each in self._seen() if (path := each.stands_for)]

    def facts(self) -> list[InterpreterFacts]:
        """Return what was found out, without the wrappers, once all have answered."""
        return [each.facts for each in self._seen() if not each.stands_for]

    def _seen(self) -> list[_Seen]:
        return [future.result() for future in self._asked.values()]


def _candidates(surroundings: Surroundings, cache: Path | None, notes: list[str]) -> Iterator[str]:
    """Yield paths of what may be a Python, in the order in which a shell would prefer them."""
    in_trees, bins = search_trees(surroundings.trees)
    root = pyenv_root(surroundings.variables, Path(surroundings.home))
    versions = pyenv_versions(root)
    # The library looks through pyenv's folders too: a PyPy's executable has other names.
    folders = (*surroundings.folders, *(str(Path(each).parent) for each in versions), *bins)
    yield from list_environments(surroundings)
    found = list_candidates(surroundings.variables, folders, cache)
    if isinstance(found, Known):
        yield from (path for path in found.value if not is_shim(path, root))
    else:
        notes.append(found.reason)
    yield from versions
    yield from list_pythons([*known_prefixes(surroundings), *map(home_of, versions)])
    yield from in_trees
    yield from list_pythons(map(home_of, in_trees))


def _cannot_keep(cache: Path) -> str:
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"nothing is remembered: {error}"
    return "" if os.access(cache, os.W_OK) else f"nothing is remembered: {cache} is not writable"


def _look_at(path: str, cache: Path | None, deadline_s: float) -> _Seen:
    name = name_of(path)
    try:
        path.encode()
    except UnicodeEncodeError:  # no JSON can contain such a path, nor can that of the cache
        return _Seen(facts=_broken(_spelled(name), _spelled(path), "its path is no UTF-8"))
    if not os.path.lexists(path) and is_prefix(Path(home_of(path))):
        return _Seen(facts=_broken(name, path, "a conda environment without Python"))
    try:
        facts = identify(Interpreter(name=name, executable=path), cache, deadline_s)
    except (OSError, UnicodeError) as error:  # it is where we may not look
        return _Seen(facts=_broken(name, path, f"cannot be looked at: {error}"))
    if isinstance(facts.fingerprint, Unknown) or not may_wrap(path):
        return _Seen(facts=facts)
    answer = ask(path, deadline_s)
    real = answer.value.executable if isinstance(answer, Known) else ""
    other = bool(real) and is_there(Path(real)) and key_of(real) != key_of(path)
    return _Seen(facts=facts, stands_for=real if other else "")


def _arranged(facts: Iterable[InterpreterFacts]) -> tuple[InterpreterFacts, ...]:
    """Put those that work first, with distinct names, otherwise in the order found."""
    names: dict[str, int] = {}
    arranged = []
    for each in sorted(facts, key=lambda each: isinstance(each.fingerprint, Unknown)):
        names[each.name] = count = names.get(each.name, 0) + 1
        arranged.append(_renamed(each, f"{each.name}-{count}") if count > 1 else each)
    return tuple(arranged)


def _renamed(facts: InterpreterFacts, name: str) -> InterpreterFacts:
    fingerprint = facts.fingerprint
    if isinstance(fingerprint, Known):
        value = msgspec.structs.replace(fingerprint.value, name=name)
        fingerprint = msgspec.structs.replace(fingerprint, value=value)
    return msgspec.structs.replace(facts, name=name, fingerprint=fingerprint)


def _broken(name: str, path: str, reason: str) -> InterpreterFacts:
    return InterpreterFacts(name=name, executable=path, fingerprint=unknown(reason))


def _spelled(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
