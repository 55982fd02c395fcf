"""The scenario files: what is read from them, and what is said about a wrong one."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest
from scenarios.document import ScenarioKind
from scenarios.native import NativeKind
from scenarios.scenario import Expectation, Scenario, load_scenario, load_scenarios

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.model.verdict import ProofKind, Verdict

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIOS = load_scenarios(REPOSITORY / "repro" / "scenarios")

MINIMAL = """\
title = "Nobody posts"
kind = "deadlock"
statement = "import unposted"
verdict = "deadlock"
proof = "closed-world"
explanation = "One thread, one semaphore."
"""


def write(root: Path, text: str, name: str = "un-posted", files: tuple[str, ...] = ()) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "scenario.toml").write_text(text)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"{name} {file}")
    return folder


def test_minimal_scenario(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, MINIMAL))
    assert scenario.name == "un-posted"
    assert scenario.kind is ScenarioKind.DEADLOCK
    assert scenario.expectation == Expectation(
        verdict=Verdict.DEADLOCK, proof=ProofKind.CLOSED_WORLD
    )
    assert not (scenario.native or scenario.requires or scenario.platforms or scenario.variants)
    assert scenario.environment == {}
    assert scenario.applies_to("3.8.0", "linux") and scenario.applies_to("3.15.0a1", "darwin")


def test_every_key(tmp_path: Path) -> None:
    text = MINIMAL + (
        'python = ">=3.8,<3.13"\nplatforms = ["linux"]\nrequires = ["torch"]\n'
        'environment = { OMP_NUM_THREADS = "2" }\n'
        '[[native]]\nname = "locks"\nkind = "library"\nsources = ["locks.c"]\n'
        'flags = ["-pthread"]\n'
        '[[native]]\nname = "left"\nkind = "extension"\nsources = ["left.cpp"]\n'
        '[[variant]]\npython = ">=3.12"\nverdict = "ok"\n'
    )
    scenario = load_scenario(write(tmp_path, text, files=("locks.c", "left.cpp")))
    library, extension = scenario.native
    assert (library.name, library.kind, library.flags) == (
        "locks",
        NativeKind.LIBRARY,
        ("-pthread",),
    )
    assert not library.is_cxx and extension.is_cxx
    assert scenario.requires == ("torch",)
    assert scenario.environment == {"OMP_NUM_THREADS": "2"}
    assert scenario.applies_to("3.12.1", "linux")
    assert not scenario.applies_to("3.13.0", "linux")
    assert not scenario.applies_to("3.12.1", "darwin")


@pytest.mark.parametrize(
    ("build", "with_gil", "without"),
    [("", True, True), ("gil", True, False), ("free-threaded", False, True)],
)
def test_some_need_a_build(tmp_path: Path, build: str, with_gil: bool, without: bool) -> None:
    key = f'build = "{build}"\n' if build else ""
    scenario = load_scenario(write(tmp_path, MINIMAL + key))
    assert scenario.applies_to("3.13.1", "linux") is with_gil
    assert scenario.applies_to("3.13.1", "linux", free_threaded=True) is without


def test_first_matching_variant_counts(tmp_path: Path) -> None:
    text = MINIMAL + (
        '[[variant]]\npython = ">=3.13"\nverdict = "deadlock"\nproof = "owner"\n'
        '[[variant]]\npython = ">=3.12"\nverdict = "error"\n'
    )
    scenario = load_scenario(write(tmp_path, text))
    assert scenario.expectation_for("3.11.7") == scenario.expectation
    assert scenario.expectation_for("3.12.1") == Expectation(verdict=Verdict.ERROR)
    assert scenario.expectation_for("3.13.0").proof is ProofKind.OWNER
    assert scenario.expectation_for("3.14.0rc1").proof is ProofKind.OWNER


def test_base_lends_its_files(tmp_path: Path) -> None:
    files = ("package/__init__.py", "package/model.py", ".hidden", "__pycache__/x.pyc")
    write(tmp_path, MINIMAL, "eager", files)
    folder = write(tmp_path, MINIMAL + 'base = "eager"\n', "lazy", ("package/__init__.py",))
    scenario = load_scenario(folder)
    assert {name: path.read_text() for name, path in scenario.files().items()} == {
        "package/__init__.py": "lazy package/__init__.py",
        "package/model.py": "eager package/model.py",
    }


NATIVE = '[[native]]\nname = "locks"\nkind = "library"\nsources = ["locks.c"]\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title", "titel", ("unknown key 'titel'", "did you mean 'title'", "statement")),
        ('title = "Nobody posts"\n', "", ("'title'", "missing")),
        ('title = "Nobody posts"', "title = 3", ("$.title",)),
        ('title = "Nobody posts"', 'title = " "', ("title is empty",)),
        ('title = "Nobody posts"', 'title = "a\\nb"', ("one line",)),
        ('kind = "deadlock"', 'kind = "deadlok"', ("did you mean 'deadlock'", "look-alike")),
        ('verdict = "deadlock"', 'verdict = "slow"', ("verdict = 'slow'", "hang, ok, error")),
        ('"closed-world"', '"closedworld"', ("did you mean 'closed-world'", "owner")),
        ('proof = "closed-world"\n', "", ("needs proof = 'owner' or 'closed-world'",)),
        ('verdict = "deadlock"', 'verdict = "ok"', ("proof = 'closed-world' needs",)),
        ('kind = "deadlock"', 'kind = "look-alike"', ("healthy",)),
        ("title", "lasts_s = 3\ntitle", ("lasts_s is for look-alikes",)),
        ("title", 'meanwhile = "likely"\ntitle', ("meanwhile is for look-alikes",)),
        ("title", 'meanwhile = "partal"\ntitle', ("did you mean 'partial'", "likely")),
        ("title", 'platforms = ["linus"]\ntitle', ("did you mean 'linux'", "darwin")),
        ("title", 'python = "3.8+"\ntitle', ("'3.8+'", ">=3.8,<3.13")),
        ("title", 'base = "other"\ntitle', ("base = 'other'", "nothing here")),
        ("title", "title = = 3", ("not correct TOML",)),
        ("title", "environment = { A = 1 }\ntitle", ("$.environment",)),
    ],
)
def test_wrong_values(tmp_path: Path, old: str, new: str, said: tuple[str, ...]) -> None:
    assert old in MINIMAL
    expect_rejection(write(tmp_path, MINIMAL.replace(old, new, 1)), said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("flags", "flag", ("unknown key 'flag' of [[native]] number 1", "did you mean 'flags'")),
        ('"library"', '"libary"', ("did you mean 'library'", "extension")),
        ('"locks.c"', '"lock.c"', ("no file 'lock.c'", "did you mean 'locks.c'")),
        ('"locks.c"', '"../un-posted/locks.c"', ("no file '../un-posted/locks.c'",)),
        ('"locks.c"', '"locks.rs"', ("must end in", "'.cpp'")),
        ('"locks.c"', "", ("sources", "empty")),
        ('"locks"', '"lo-cks"', ("not an identifier",)),
        (NATIVE, NATIVE + NATIVE, ("two [[native]]",)),
        ("[[native]]", "[native]", ("$.native",)),
    ],
)
def test_wrong_native_part(tmp_path: Path, old: str, new: str, said: tuple[str, ...]) -> None:
    native = NATIVE + ("" if old == NATIVE else 'flags = ["-pthread"]\n')
    folder = write(tmp_path, MINIMAL + native.replace(old, new, 1), files=("locks.c",))
    expect_rejection(folder, said)


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ('verdict = "ok"', ("'python' of [[variant]] number 1 is missing",)),
        ('python = ">=3.12"\nverdict = "okay"', ("did you mean 'ok'",)),
        ('python = ">=3.12"\nverdict = "deadlock"', ("needs proof",)),
        ('python = "new"\nverdict = "ok"', ("version specifier",)),
    ],
)
def test_wrong_variant(tmp_path: Path, variant: str, said: tuple[str, ...]) -> None:
    expect_rejection(write(tmp_path, f"{MINIMAL}[[variant]]\n{variant}\n"), said)


def test_folder_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "un-posted").mkdir()
    expect_rejection(tmp_path / "un-posted", ("is missing",))
    with pytest.raises(ConfigurationError, match="is missing"):
        load_scenarios(tmp_path)


def test_folder_that_is_not_named_so(tmp_path: Path) -> None:
    expect_rejection(write(tmp_path, MINIMAL, "Un_posted"), ("must be named like-this",))


def test_no_folder_of_scenarios(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        load_scenarios(tmp_path / "nowhere")


def expect_rejection(folder: Path, said: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(folder)
    message = str(caught.value)
    assert message.startswith(str(folder / "scenario.toml"))
    for part in said:
        assert part in message


def test_scenarios_are_frozen_and_survive_json(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, MINIMAL))
    with pytest.raises(AttributeError):
        scenario.title = "another"  # type: ignore[misc]
    assert msgspec.json.decode(msgspec.json.encode(scenario.expectation), type=Expectation)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_repository_scenario(scenario: Scenario) -> None:
    """Python 3.8 can read it, and a deadlock tells when it closes."""
    files = scenario.files()
    for name, path in files.items():
        if name.endswith(".py"):
            ast.parse(path.read_text(), name, feature_version=(3, 8))
    if scenario.kind is ScenarioKind.DEADLOCK:
        assert any("onset " in path.read_text() for path in files.values())
