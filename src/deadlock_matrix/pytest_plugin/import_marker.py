"""The marker ``import_contract``: what an import must keep to, in one line above a test."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pytest

from deadlock_matrix.errors import DeadlockMatrixError

PARAMETER = "import_contract"
USAGE = (
    "import_contract(target, *, within=None, without=(), contexts=('main',), timeout=None, "
    "python='', profile='', env=None, path=None)"
)
_GRACE_S = 30.0  # beyond ``within``: an import that is late is reported as late, not as slow


class Wish(NamedTuple):
    """One import from one context, and what is demanded of it."""

    target: str
    context: str
    within: float | None
    without: tuple[str, ...]
    timeout: float | None  # None: that of the fixture
    python: str
    profile: str
    env: Mapping[str, str | None]
    path: tuple[str, ...] | None


def generate(metafunc: pytest.Metafunc) -> None:
    """Make a test for each context of each marker."""
    wishes = list(_wishes(metafunc.definition))
    several = len({wish.target for wish in wishes}) > 1
    ids = [f"{wish.target}-{wish.context}" if several else wish.context for wish in wishes]
    metafunc.fixturenames.append(PARAMETER)
    metafunc.parametrize(PARAMETER, wishes, ids=ids)


def check(item: pytest.Item) -> None:
    """Run what the markers of a test demand, before its own body."""
    callspec = getattr(item, "callspec", None)
    given = callspec.params.get(PARAMETER) if callspec is not None else None
    # A method of a unittest.TestCase cannot be parametrized: it runs all contexts in one.
    for wish in [given] if given is not None else list(_wishes(item)):
        _check(item.config, wish)


def _check(config: pytest.Config, wish: Wish) -> None:
    __tracebackhide__ = True
    # Not at the top: a run that only collects, or selects other tests, does not need it.
    from deadlock_matrix.pytest_plugin.import_probe import TIMEOUT_S, open_probe

    try:
        result = open_probe(config)(
            wish.target,
            timeout=TIMEOUT_S if wish.timeout is None else wish.timeout,
            context=wish.context,
            python=wish.python,
            profile=wish.profile,
            env=wish.env,
            path=wish.path,
            without=wish.without,
        )
    except DeadlockMatrixError as error:
        pytest.fail(str(error), pytrace=False)
    result.assert_ok().assert_not_imported(*wish.without)
    if wish.within is not None:
        result.assert_within(wish.within)


def _wishes(node: pytest.Item | pytest.Collector) -> Iterator[Wish]:
    # The closest marker comes first: that of the function before that of its module.
    for mark in node.iter_markers("import_contract"):
        try:
            yield from _read(*mark.args, **mark.kwargs)
        except TypeError as error:
            told = str(error).partition("() ")[2]
            pytest.fail(f"@pytest.mark.import_contract {told}: it is {USAGE}", pytrace=False)


def _read(
    target: str,
    *,
    within: float | None = None,
    without: str | Iterable[str] = (),
    contexts: str | Iterable[str] = ("main",),
    timeout: float | None = None,
    python: str | os.PathLike[str] = "",
    profile: str = "",
    env: Mapping[str, str | None] | None = None,
    path: Iterable[str | os.PathLike[str]] | None = None,
) -> Iterator[Wish]:
    limit = None if within is None else within + _GRACE_S
    for context in _several(contexts):
        yield Wish(
            target=target,
            context=context,
            within=within,
            without=_several(without),
            timeout=limit if timeout is None else timeout,
            python=str(python),
            profile=profile,
            env=env or {},
            path=None if path is None else tuple(map(str, path)),
        )


def _several(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
