"""Fixtures that hang in setup and in teardown."""

import threading

import pytest


@pytest.fixture
def never_set_up():
    threading.Event().wait()


@pytest.fixture
def never_torn_down():
    yield
    threading.Event().wait()


def test_first():
    assert True


def test_setup_hangs(never_set_up):
    assert True


def test_teardown_hangs(never_torn_down):
    assert True


@pytest.mark.parametrize("number", range(4))
def test_last(number):
    assert number != 4
