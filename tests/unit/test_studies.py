"""A second, tiny study: whatever the founding one can do, any other can do too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import pytest
from unit.test_report_samples import cell, fingerprint, result
from unit.test_terminal import report

from deadlock_matrix import studies
from deadlock_matrix.app.known import is_pool
from deadlock_matrix.diagnosis.investigation.clues import Wait
from deadlock_matrix.diagnosis.investigation.fitting import Setting, profiles_of
from deadlock_matrix.diagnosis.study.claims import Claim
from deadlock_matrix.diagnosis.study.results import Results
from deadlock_matrix.diagnosis.study.study import Finding, Study, settings_of
from deadlock_matrix.diagnosis.study.tables import Field, Item, Listing, Row, Table
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.configuration import load_configuration
from deadlock_matrix.matrix.expansion import expand
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.html.page import document
from deadlock_matrix.render.interpreters import interpreters_text
from deadlock_matrix.render.markdown import markdown
from deadlock_matrix.render.terminal import text

SETTING = Setting(name="PICKLE_LID", value="0", summary="no lid", waits=frozenset({Wait.FILE}))
AXES = """
watch-modules = ["brine"]
[[profile]]
name = "salted"
set = { PICKLE_SALT = "1" }
"""
CELLS = """
target = "pickle_jar"
[[entry]]
name = "open"
statement = "import pickle_jar"
[[layout]]
name = "jar"
overlays = ["jar"]
[default]
context = "main"
"""


def salt_helps(results: Results) -> tuple[bool, str]:
    """Whether the jar opens with salt."""
    hung = results.hangs("open", profile="salted")
    return not hung, f"with salt it {'hangs' if hung else 'opens'}"


def jars(of: Report) -> Iterator[Table]:
    fields = tuple(Field(text=each.verdict.value, worst=each.verdict) for each in of.cells)
    row = Row(name="glass", interpreters=("py",), fields=fields)
    columns = tuple(each.cell.profile.name for each in of.cells)
    yield Table(title="What opens a jar", short="Jars", first="jar", columns=columns, rows=(row,))
    yield Table(title="Nothing", short="Nothing", first="jar", columns=(), rows=())


def shelves(of: Report) -> Iterator[Listing]:
    lines = (f"{len(of.cells)} jars",)
    yield Listing(title="On the shelf", items=(Item(sentence="third shelf", lines=lines),))


def sour(found: Fingerprint) -> Iterator[Finding]:
    if "brine" in found.packages:
        yield Finding(name="sour", sentence="brine is there", files=())


@pytest.fixture
def pickles(tmp_path: Path) -> Study:
    (tmp_path / "axes.toml").write_text(AXES)
    (tmp_path / "cells.toml").write_text(CELLS)
    (tmp_path / "jar").mkdir()
    return Study(
        name="pickles",
        summary="does a jar open?",
        axes=str(tmp_path / "axes.toml"),
        cells=str(tmp_path / "cells.toml"),
        root=lambda: str(tmp_path),
        claims=(Claim(name="salt", statement="salt helps", source="a cook", read=salt_helps),),
        layout="jar",
        tables=jars,
        listings=shelves,
        traits=(lambda of, found: "vinegar",),
        findings=sour,
        contents=lambda found: ("a shelf of pickles",),
        settings=(SETTING,),
        is_pool=lambda path: path.endswith("libbrine.so"),
        packages=("brine",),
        compared={"jar": "barrel"},
    )


def opened(profile: str, verdict: Verdict = Verdict.OK, **axes: str) -> CellResult:
    return result(cell(**({"profile": profile, "layout": "jar", "entry": "open"} | axes)), verdict)


@pytest.fixture
def shelf() -> Report:
    facts = fingerprint()
    assert isinstance(facts.fingerprint, Known)
    found = msgspec.structs.replace(facts.fingerprint.value, packages={"brine": "3.1"})
    facts = msgspec.structs.replace(facts, fingerprint=known(found, "asked"))
    cells = (
        opened("baseline", Verdict.DEADLOCK),
        opened("salted"),
        opened("salted", layout="barrel"),
    )
    return report(*cells, interpreters=(facts,))


def test_it_brings_axes_for_everybody(pickles: Study, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('statement = "import mine"')
    made = load_configuration(file, tmp_path, [pickles])
    assert made.names("profile") == ("baseline", "salted")
    assert made.baseline.unset == ("PICKLE_SALT",)
    assert made.watch_modules == ("mine", "brine")


def test_it_brings_cells_of_its_own(pickles: Study, tmp_path: Path) -> None:
    made = load_configuration(None, tmp_path, [pickles], "pickles")
    ids = [each.id for each in expand(made, [Interpreter(name="py", executable="/py")])]
    assert ids == ["py/baseline/jar/open/main", "py/salted/jar/open/main"]
    assert made.layouts[0].overlays == (str(tmp_path / "jar"),)


def shown_in_the_terminal(of: Report, study: Study) -> str:
    return text(of, 120, studies=[study])


def shown_in_markdown(of: Report, study: Study) -> str:
    return markdown(of, studies=[study])


def shown_in_html(of: Report, study: Study) -> str:
    return str(document(of, studies=[study]))


SHOWN = pytest.mark.parametrize(
    "shown",
    [shown_in_the_terminal, shown_in_markdown, shown_in_html],
    ids=lambda each: each.__name__,
)


@SHOWN
def test_its_tables_are_in_every_format(
    pickles: Study, shelf: Report, shown: Callable[[Report, Study], str]
) -> None:
    told = shown(shelf, pickles)
    assert "What opens a jar" in told
    assert "salt helps" in told or "| salt |" in told
    assert "with salt it opens" in told
    assert "brine 3.1" in told
    assert "Nothing" not in told


def test_its_words_stand_where_they_belong(pickles: Study, shelf: Report) -> None:
    told = text(shelf, 120, studies=[pickles])
    assert "in main, on vinegar" in told
    assert "jar is" in told
    assert "On the shelf\n  third shelf\n      3 jars" in told
    assert "brine is there" in told
    assert "On the shelf" in markdown(shelf, studies=[pickles])
    assert "pickles" not in text(shelf, 120)


def test_its_variables_are_tried_against_the_waits_that_they_help_against(pickles: Study) -> None:
    found = settings_of([pickles, TINY])
    assert [each.set for each in profiles_of(found, {Wait.FILE})] == [{"PICKLE_LID": "0"}]
    assert list(profiles_of(found, {Wait.NATIVE})) == []


def test_the_built_in_ones_know_what_computes_and_what_asks_a_server() -> None:
    assert is_pool("/env/lib/libmkl_rt.so.2")
    assert is_pool("/env/numpy.libs/libscipy_openblas64_-1.so")
    assert not is_pool("/lib/libc.so.6")
    found = settings_of(studies.load_studies())
    assert {each.name for each in found if Wait.NETWORK in each.waits} >= {"HF_HUB_OFFLINE"}
    assert {each.name for each in found if Wait.NATIVE in each.waits} >= {"OMP_NUM_THREADS"}


def test_the_table_of_interpreters(pickles: Study, shelf: Report) -> None:
    from deadlock_matrix.model.discovery import Discovery

    found = Discovery(tool=shelf.tool, interpreters=shelf.interpreters, notes=())
    assert "a shelf of pickles" in interpreters_text(found, studies=[pickles])


# --- how they are found ---------------------------------------------------------------------------

TINY = Study(name="tiny", summary="is it found?")
TWIN = Study(name="numerics", summary="a name that is taken")


def installed(monkeypatch: pytest.MonkeyPatch, value: str) -> tuple[Study, ...]:
    point = EntryPoint(name="x", value=value, group=studies.GROUP)
    monkeypatch.setattr(studies, "entry_points", lambda group: [point])
    return studies.load_studies.__wrapped__()


def test_the_built_in_ones_are_found() -> None:
    assert [each.name for each in studies.load_studies()] == ["numerics", "offline", "splitlearn"]


def test_an_installed_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed(monkeypatch, f"{__name__}:TINY")[-1] is TINY


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (f"{__name__}:TWIN", "two studies are called 'numerics'"),
        (f"{__name__}:AXES", "is a str, not a Study"),
        ("no_such_module:STUDY", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_one_that_is_wrong_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        installed(monkeypatch, value)


# --- nothing else knows a package -----------------------------------------------------------------

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "deadlock_matrix"
KNOWN_BY_NAME = re.compile(
    r"torch|mkl|blas|openmp|gomp|iomp|numpy|transformers|tensorflow|tokenizers|huggingface|hf_hub|wandb|splitlearn|\beager"
    r"|lazy(?![-_ ]?(imports|exports|names|since|loader))",  # those are Python's own
    re.IGNORECASE,
)
MAY = ("studies/", "causes/", "interpreters/native/", "render/assets/vendor/")
"""Where a package may be named: studies, the data of causes, and what reads native libraries."""


def test_the_tool_knows_no_package_by_name() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if not path.is_file() or "__pycache__" in name or name.startswith(MAY):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if match := KNOWN_BY_NAME.search(line):
                found.append(f"{name}:{number}: {match[0]}")
    assert found == []
