"""Which variables are worth trying against a hang: those whose names occur in what hangs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from deadlock_matrix.diagnosis.investigation.clues import Clues, Wait
from deadlock_matrix.diagnosis.investigation.remedies import name_of
from deadlock_matrix.model.cell import Profile


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A variable that helps against one kind of wait. It is tried where its name is read."""

    name: str
    value: str
    summary: str
    waits: frozenset[Wait]


LAZY_IMPORTS = Profile(
    name="lazy-imports",
    set={"PYTHON_LAZY_IMPORTS": "all"},
    summary="Python imports every module when it is first used",
)
LAZY_SINCE = (3, 15)


def profiles_of(settings: Iterable[Setting], waits: Collection[Wait]) -> Iterator[Profile]:
    """Yield a profile for each setting that helps against one of these waits."""
    for setting in settings:
        if setting.waits & set(waits):
            variables = {setting.name: setting.value}
            yield Profile(name=name_of(variables), set=variables, summary=setting.summary)


def names_in(profiles: Iterable[Profile]) -> frozenset[str]:
    """Return the variables that profiles set or remove; `fitting` needs those mentioned."""
    return frozenset(name for profile in profiles for name in (*profile.set, *profile.unset))


def fitting(
    profiles: Sequence[Profile],
    clues: Clues,
    mentioned: Collection[str],
    of_caller: Collection[str],
    python: tuple[int, ...],
) -> tuple[Profile, ...]:
    """Return the profiles worth trying, each with only those of its variables that can matter.

    Args:
        profiles: Those that known causes, the configuration and studies name, in this order.
        clues: What the hang shows.
        mentioned: The variables whose names occur in the user's files, in the packages on the stuck
            stacks or in the libraries that wait.
        of_caller: Those variables, of the ones that the user's own files mention, that are set now.
        python: The version of the interpreter.
    """
    return with_variables_of(_all(profiles, clues, of_caller, python), mentioned)


def with_variables_of(
    profiles: Iterable[Profile], mentioned: Collection[str]
) -> tuple[Profile, ...]:
    """Return the profiles with only those of their variables that are mentioned, each once."""
    found: dict[tuple[object, ...], Profile] = {}
    for profile in profiles:
        kept = {name: value for name, value in profile.set.items() if name in mentioned}
        if profile == LAZY_IMPORTS:
            kept = profile.set
        unset = tuple(name for name in profile.unset if name in mentioned)
        if not kept and not unset:
            continue
        whole = len(kept) == len(profile.set)
        name = profile.name if whole else name_of(kept)
        key = (tuple(sorted(kept.items())), unset)
        found.setdefault(key, replace(profile, name=name, set=kept, unset=unset))
    return tuple(found.values())


def _all(
    profiles: Sequence[Profile],
    clues: Clues,
    of_caller: Collection[str],
    python: tuple[int, ...],
) -> Iterator[Profile]:
    for name in sorted(of_caller):
        yield Profile(name=f"without {name}", unset=(name,), summary=f"{name} is not set")
    yield from profiles
    if python >= LAZY_SINCE and clues.waits & {Wait.IMPORT, Wait.NETWORK, Wait.FILE, Wait.JOIN}:
        yield LAZY_IMPORTS
