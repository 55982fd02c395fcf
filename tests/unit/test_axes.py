"""The values of the axes: names, patterns, and profiles that differ by what they say alone."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import check_names, choose, extend, isolate, to_name
from deadlock_matrix.model.cell import Entry, Profile

VARIABLES = st.sampled_from(["A", "B", "C", "D"])
PROFILES = st.lists(
    st.tuples(st.dictionaries(VARIABLES, st.just("1")), st.sets(VARIABLES)), max_size=5
)


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ([], ["main", "thread", "two-threads"]),
        (["main"], ["main"]),
        (["*thread*"], ["thread", "two-threads"]),
        (["!main"], ["thread", "two-threads"]),
        (["*", "!*s"], ["main", "thread"]),
        (["two-threads", "main"], ["main", "two-threads"]),
        (["Main"], []),
    ],
)
def test_choose(patterns: list[str], chosen: list[str]) -> None:
    assert list(choose(["main", "thread", "two-threads"], patterns)) == chosen


@given(PROFILES)
def test_isolated_profiles_name_the_same_variables(
    sets: list[tuple[dict[str, str], set[str]]],
) -> None:
    profiles = [
        Profile(name=str(number), set=wanted, unset=tuple(unwanted - set(wanted)))
        for number, (wanted, unwanted) in enumerate(sets)
    ]
    isolated = isolate(profiles)
    assert [each.set for each in isolated] == [each.set for each in profiles]
    assert len({frozenset((*each.set, *each.unset)) for each in isolated}) <= 1
    assert all(not set(each.set) & set(each.unset) for each in isolated)


def test_extend_keeps_places() -> None:
    built_in = [Entry(name="a", statement="1"), Entry(name="b", statement="1")]
    own = [Entry(name="c", statement="2"), Entry(name="a", statement="2")]
    assert [(each.name, each.statement) for each in extend(built_in, own)] == [
        ("a", "2"),
        ("b", "1"),
        ("c", "2"),
    ]


@given(st.text(alphabet=string.printable + "äß中", max_size=20))
def test_to_name_makes_names(text: str) -> None:
    check_names("entry", [Entry(name=to_name(text), statement="")])


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a=b", "*", "-a", "a#2", "a,b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigurationError):
        check_names("entry", [Entry(name=name, statement="")])
