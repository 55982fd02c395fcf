"""The environment of a probe, and what of it a report may hold."""

from __future__ import annotations

from collections.abc import ItemsView
from pathlib import Path

import pytest

from deadlock_matrix.model.cell import Interpreter, Profile
from deadlock_matrix.run.environment import HARNESS_PREFIXES, make_environment, recorded

PLAIN = Profile(name="plain")
PYTHON = Interpreter(name="py", executable="/opt/py/bin/python")


def test_the_user_s_own_variables_stay() -> None:
    base = {"HOME": "/home/me", "LANG": "C", "OMP_NUM_THREADS": "4", "SECRET": "x", "EMPTY": ""}
    assert make_environment(PYTHON, PLAIN, base) == base


@pytest.mark.parametrize("prefix", HARNESS_PREFIXES)
def test_what_the_harness_s_tools_set_goes(prefix: str) -> None:
    base = {prefix: "1", prefix + "X": "1", "A_" + prefix: "1"}
    assert make_environment(PYTHON, PLAIN, base) == {"A_" + prefix: "1"}


class Vanishing(dict[str, str]):
    """Like ``os.environ`` while pytest removes its own variable in another thread."""

    def __getitem__(self, name: str) -> str:
        if name == "PYTEST_CURRENT_TEST":
            raise KeyError(name)
        return super().__getitem__(name)

    def items(self) -> ItemsView[str, str]:
        return ItemsView(self)


def test_what_the_harness_s_tools_remove_meanwhile_does_no_harm() -> None:
    base = Vanishing(HOME="/home/me", PYTEST_CURRENT_TEST="test_import[...] (call)")
    assert make_environment(PYTHON, PLAIN, base) == {"HOME": "/home/me"}


def test_the_profile_sets_and_unsets() -> None:
    profile = Profile(name="p", set={"ONE": "new", "PYTHONHASHSEED": "0"}, unset=("TWO", "MISSING"))
    base = {"ONE": "old", "TWO": "2", "THREE": "3", "_": "/bin/x"}
    found = make_environment(PYTHON, profile, base)
    assert found == {"ONE": "new", "THREE": "3", "PYTHONHASHSEED": "0"}


def test_the_caller_s_variables_are_not_changed() -> None:
    base = {"ONE": "1", "PYTHONPATH": "x"}
    make_environment(PYTHON, Profile(name="p", set={"TWO": "2"}, unset=("ONE",)), base)
    assert base == {"ONE": "1", "PYTHONPATH": "x"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/venv/bin:/usr/bin:/bin", "/usr/bin:/bin"),
        ("/usr/bin:/venv/bin/:/bin", "/usr/bin:/bin"),
        ("/usr/bin:/venv/bin:/venv/bin", "/usr/bin"),
        ("/venv/bin", ""),
        ("/venv/binary:/other/venv/bin", "/venv/binary:/other/venv/bin"),
        ("", ""),
    ],
)
def test_the_harness_s_programs_are_not_found(before: str, after: str) -> None:
    assert make_environment(PYTHON, PLAIN, {"PATH": before}, Path("/venv/bin")) == {"PATH": after}


def test_no_path_is_made_up() -> None:
    assert make_environment(PYTHON, PLAIN, {}, Path("/venv/bin")) == {}


def test_a_report_holds_what_can_matter_and_no_secret() -> None:
    profile = Profile(name="p", set={"MY_SWITCH": "on"})
    environment = {
        "ZZZ": "secret", "HOME": "/home/me", "GITHUB_TOKEN": "secret", "AWS_SECRET": "secret",
        "OMP_NUM_THREADS": "1", "MKL_THREADING_LAYER": "GNU", "USE_TF": "0", "MY_SWITCH": "on",
        "LD_PRELOAD": "x.so", "PYTHONHASHSEED": "0",
    }  # fmt: skip
    found = recorded(environment, PYTHON, profile)
    assert list(found) == [
        "LD_PRELOAD", "MKL_THREADING_LAYER", "MY_SWITCH", "OMP_NUM_THREADS", "PYTHONHASHSEED",
        "USE_TF",
    ]  # fmt: skip
    assert "secret" not in found.values()


def test_the_interpreter_s_own_variables_come_before_the_profile_s() -> None:
    python = Interpreter(name="py", executable="/py", set={"LD_LIBRARY_PATH": "/blas", "ONE": "1"})
    base = {"LD_LIBRARY_PATH": "/elsewhere", "ONE": "0"}
    profile = Profile(name="p", set={"ONE": "2"})
    assert make_environment(python, profile, base) == {"LD_LIBRARY_PATH": "/blas", "ONE": "2"}
    unsetting = Profile(name="p", unset=("ONE",))
    assert make_environment(python, unsetting, base) == {"LD_LIBRARY_PATH": "/blas"}


def test_a_report_holds_the_interpreter_s_own_variables() -> None:
    python = Interpreter(name="py", executable="/py", set={"MY_BLAS": "/blas"})
    assert recorded({"MY_BLAS": "/blas", "OTHER": "x"}, python, PLAIN) == {"MY_BLAS": "/blas"}
