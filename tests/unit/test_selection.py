"""Conditions and coverages as the user writes them."""

from __future__ import annotations

import pytest

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.selection import Coverage, parse_condition, parse_coverage


def test_conditions() -> None:
    assert parse_condition("profile=threads-1") == {"profile": "threads-1"}
    assert parse_condition("profile = mkl-*, layout=lazy") == {
        "profile": "mkl-*",
        "layout": "lazy",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("threads-1", "not of the form axis=value"),
        ("profile=", "not of the form axis=value"),
        ("profil=a", "no axis is called 'profil'; did you mean 'profile'?"),
        ("layout=a,layout=b", "names the axis 'layout' twice"),
        ("", "not of the form"),
    ],
)
def test_conditions_that_are_none(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_condition(text)
    assert sentence in str(caught.value)


def test_coverages() -> None:
    assert parse_coverage("pairwise") is Coverage.PAIRWISE
    with pytest.raises(ConfigurationError, match="did you mean 'pairwise'"):
        parse_coverage("pairwse")
