"""`load_configuration`: what the user's file and the built-in values say together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.configuration import Configuration
from deadlock_matrix.matrix.expansion import expand
from deadlock_matrix.matrix.schema import read_table
from deadlock_matrix.model.cell import Calling, Interpreter, Layout, Stdin


def load(folder: Path, text: str, name: str = "matrix.toml") -> Configuration:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_configuration(path, folder)


def profile(configuration: Configuration, name: str) -> dict[str, str]:
    return next(each.set for each in configuration.profiles if each.name == name)


@pytest.fixture
def built_in(tmp_path: Path) -> Configuration:
    return load_configuration(None, tmp_path, "splitlearn")


def test_built_in_axes(built_in: Configuration) -> None:
    assert built_in.target == "splitlearn_core"
    assert built_in.source == ""
    assert built_in.names("layout") == (
        "eager",
        "lazy",
        "lazy-as-written",
        "getattr",
        "lazy-loader",
        "pep810",
    )
    assert built_in.names("entry")[:4] == (
        "package",
        "from-package",
        "from-factory",
        "create-gpt2",
    )
    assert "fork-after-parallel" in built_in.names("context")
    assert len(built_in.profiles) == 12


def test_built_in_layouts_are_there(built_in: Configuration) -> None:
    for layout in built_in.layouts:
        for overlay in layout.overlays:
            assert Path(overlay).is_dir(), overlay


def test_every_profile_unsets_what_any_other_names(built_in: Configuration) -> None:
    named = {name for each in built_in.profiles for name in (*each.set, *each.unset)}
    for each in built_in.profiles:
        assert set(each.unset) == named - set(each.set)
    assert profile(built_in, "baseline") == {}
    assert profile(built_in, "mkl-full") == {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MKL_THREADING_LAYER": "SEQUENTIAL",
        "MKL_DYNAMIC": "FALSE",
    }


def test_one_line_is_enough_for_a_package_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.deadlock-matrix]\nstatement = "import mypkg.part"\n'
    )
    deeper = tmp_path / "src" / "mypkg"
    deeper.mkdir(parents=True)
    made = load_configuration(None, deeper)
    assert made.target == "mypkg"
    assert [(entry.name, entry.statement) for entry in made.entries] == [
        ("import", "import mypkg.part")
    ]
    assert [layout.overlays for layout in made.layouts] == [()]
    assert made.watch_modules[0] == "mypkg"
    assert made.source == str(tmp_path / "pyproject.toml")
    assert made.expectations == ()
    assert len(made.profiles) == 12


@pytest.mark.parametrize("name", ["deadlock_matrix", "deadlock-matrx", "Deadlock-Matrix"])
def test_a_misspelt_table_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.{name}]\nstatement = "import mypkg"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(None, tmp_path)
    assert str(caught.value).endswith(
        f"pyproject.toml: the table [tool.{name}] is not read; call it [tool.deadlock-matrix]"
    )


def test_a_table_of_pyproject_in_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[tool.deadlock-matrix]\nstatement = "import mypkg"\n')
    with pytest.raises(ConfigurationError, match=r"x\.toml: in a file of this name the keys stand"):
        read_table(tmp_path / "x.toml")


def test_tables_of_other_tools_are_none_of_ours(tmp_path: Path) -> None:
    text = "[tool.ruff]\n[tool.deadlock]\n[tool.matrix]\n[tool.detox-matrix]\n"
    (tmp_path / "pyproject.toml").write_text(text)
    assert load_configuration(None, tmp_path).source == ""


@pytest.mark.parametrize("text", ["", '[[profile]]\nname = "loud"\nset = { NOISE = "1" }'])
def test_without_anything_to_import_it_asks(tmp_path: Path, text: str) -> None:
    made = load(tmp_path, text)
    assert made.entries == ()
    with pytest.raises(ConfigurationError, match=r"^there is nothing to import: add statement = "):
        expand(made, [Interpreter(name="py", executable="/py")])


def test_a_study_brings_what_to_import(tmp_path: Path) -> None:
    made = load(tmp_path, 'study = "splitlearn"\n[[profile]]\nname = "loud"')
    assert made.target == "splitlearn_core"
    assert "loud" in made.names("profile")
    own = load(tmp_path, 'statement = "import mine"')
    assert own.target == "mine"
    assert (
        load_configuration(tmp_path / "matrix.toml", tmp_path, "splitlearn").target == made.target
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('study = "splitlern"', "no study is called 'splitlern'; did you mean 'splitlearn'?"),
        ('study = "numerics"', "no study is called 'numerics'; there are splitlearn"),
        ('study = "splitlearn"\nstatement = "import a"', "brings its own target; leave out"),
    ],
)
def test_a_study_that_cannot_be_run(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert sentence in str(caught.value)


def test_a_pyproject_without_the_table_is_passed_over(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "other"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.deadlock-matrix]\nstatement = "import far"\n')
    assert load_configuration(None, inner).target == "far"
    with pytest.raises(ConfigurationError, match=r"has no table \[tool.deadlock-matrix\]"):
        load_configuration(inner / "pyproject.toml", inner)


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    made = load(
        tmp_path,
        """
        target = "mine"
        deadline-s = 7.5
        watch-modules = ["a", "b.c"]
        [[entry]]
        name = "one"
        statement = "import a"
        [[layout]]
        name = "plain"
        overlays = ["common"]
        python = ">=3.9"
        [[profile]]
        name = "loud"
        set = { NOISE = "1" }
        [[context]]
        name = "quiet"
        calling = "thread"
        stdin = "silent-pipe"
        [[interpreter]]
        name = "near"
        executable = "env/bin/python"
        [[interpreter]]
        name = "command"
        executable = "python3"
        [[expect]]
        entry = "one"
        profile = "l*"
        verdicts = ["hang"]
        reason = "it is
 known".
        """.replace('"it is\n known".', '"it is known"'),
    )
    assert (made.target, made.deadline_s, made.watch_modules) == ("mine", 7.5, ("a", "b.c"))
    assert made.layouts == (
        Layout(name="plain", overlays=(str(tmp_path / "common"),), python=">=3.9"),
    )
    assert profile(made, "loud") == {"NOISE": "1"}
    assert all("NOISE" in each.unset for each in made.profiles if each.name != "loud")
    quiet = made.contexts[-1]
    assert (quiet.calling, quiet.stdin) == (Calling.THREAD, Stdin.SILENT_PIPE)
    assert [each.executable for each in made.interpreters] == [
        str(tmp_path / "env/bin/python"),
        "python3",
    ]


def test_a_profile_with_a_built_ins_name_takes_its_place(tmp_path: Path) -> None:
    made = load(tmp_path, '[[profile]]\nname = "threads-1"\nset = { OMP_NUM_THREADS = "2" }')
    assert profile(made, "threads-1") == {"OMP_NUM_THREADS": "2"}
    assert made.names("profile")[1] == "threads-1"
    assert made.entries == ()


def test_own_presets_and_default(tmp_path: Path) -> None:
    made = load(
        tmp_path,
        """
        statement = "import mine"
        default = { profile = ["mkl-*", "!mkl-full"], coverage = "pairwise" }
        [[preset]]
        name = "mine"
        [[preset.part]]
        context = "thread"
        """,
    )
    assert [preset.name for preset in made.presets] == ["default", "smoke", "mine"]
    assert made.presets[0].parts[0].axes == {"profile": ("mkl-*", "!mkl-full")}


STATEMENT = 'statement = "import mine"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('statment = "import a"', "the configuration has an unknown key 'statment'; did you mean"),
        ("[[profil]]", "unknown key 'profil'; did you mean 'profile'?"),
        (
            '[[profile]]\nname = "x"\nsets = {}',
            "[[profile]] 'x' has an unknown key 'sets'; did you mean 'set'?",
        ),
        ('[[profile]]\nset = { A = "1" }', "[[profile]] number 1 lacks the key 'name'"),
        (
            '[[profile]]\nname = "x"\nset = { A = 1 }',
            "must be a string, not a whole number; put it in quotes",
        ),
        (
            '[[context]]\nname = "x"\ncalling = "thraed"',
            "[[context]] 'x': calling cannot be 'thraed'; did you mean 'thread'?",
        ),
        (
            '[context]\nname = "x"',
            "context must be a list, not a table; write [[context]] with two",
        ),
        ('deadline-s = "9"', "deadline-s must be a number, not a string"),
        ("deadline-s = -1", "deadline-s = -1.0 is not a number of seconds"),
        ("deadline-s = nan", "is not a number of seconds"),
        ('[[profile]]\nname = "x"\n[[profile]]\nname = "x"', "profile 'x' is defined twice"),
        ('[[profile]]\nname = "a/b"', "profile 'a/b': a name is letters and digits"),
        (
            '[[profile]]\nname = "x"\nset = { A = "1" }\nunset = ["A"]',
            "profile 'x' both sets and unsets A",
        ),
        ('[[context]]\nname = "x"\ncalling = "fork"', "context 'x': calling = 'fork' needs a"),
        (
            '[[expect]]\nentry = "x"\nverdicts = ["hangs"]\nreason = "r"',
            "cannot be 'hangs'; did you mean 'hang'?",
        ),
        ('[[expect]]\nverdicts = ["hang"]', "[[expect]] number 1 lacks the key 'reason'"),
        ('[[expect]]\nverdicts = ["hang"]\nreason = " "', "[[expect]] has an empty reason"),
        ('[[expect]]\nverdicts = []\nreason = "r"', "[[expect]] has no verdicts"),
        (
            '[[expect]]\nprofile = "thread-1"\nverdicts = ["hang"]\nreason = "r"',
            "no profile is called 'thread-1'; did you mean 'threads-1'?",
        ),
        (
            '[[expect]]\nverdicts = ["hang"]\nreason = "r"\nsystems = ["linus"]',
            "no system is called 'linus'; did you mean 'linux'?",
        ),
        (
            '[[preset]]\nname = "p"\n[[preset.part]]\ncontext = "mian"',
            "preset 'p': no context is called 'mian'; did you mean 'main'?",
        ),
        ('default = { coverage = "ful" }', "no coverage is called 'ful'; did you mean 'full'?"),
        (
            'default = { profil = "x" }',
            "[default] has an unknown key 'profil'; did you mean 'profile'?",
        ),
        ("= 1", "is not correct TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    own = "" if text.startswith("stat") else STATEMENT
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, own + text)
    assert sentence in str(caught.value)
    assert str(tmp_path / "matrix.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('target = "x"', "'target' is given without a 'statement' or an [[entry]]"),
        ('[[layout]]\nname = "x"', "[[layout]] is given without a 'statement'"),
        (
            STATEMENT + '[[entry]]\nname = "x"\nstatement = "import x"',
            "both 'statement' and [[entry]] are given",
        ),
        (STATEMENT + '[[layout]]\nname = "x"\noverlays = ["gone"]', "is not a folder"),
        (STATEMENT + '[[layout]]\nname = "x"\npython = "3"', "is not a version specifier"),
    ],
)
def test_a_target_must_be_whole(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert sentence in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(tmp_path / "gone.toml", tmp_path)


def test_the_examples_of_the_documentation_are_accepted(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 3
    short, whole, layouts = examples[:3]
    for folder in ("src", "experiments/lazy"):
        (tmp_path / folder).mkdir(parents=True)
    for pasted in (short, whole, whole + layouts):
        made = load(tmp_path, pasted, "pyproject.toml")
        assert made.entries
    assert made.names("layout") == ("plain", "lazy")
