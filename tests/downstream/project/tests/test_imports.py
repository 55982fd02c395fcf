"""What the users of tinypackage may rely on when they import it."""

import pytest


def test_import_is_light(import_probe):
    result = import_probe("import tinypackage", timeout=30)
    result.assert_ok().assert_not_imported("torch", "transformers")
    assert result.seconds < 5


def test_import_survives_a_fork(import_probe):
    import_probe("tinypackage", context="fork-again").assert_ok()


@pytest.mark.import_contract(
    "tinypackage", within=5, without=["torch"], contexts=["main", "thread", "fork-again"]
)
def test_gate():
    """The marker above is the test."""
