"""What a script carries as text: the user's modules, what they are built from, files they read."""

from __future__ import annotations

from pathlib import Path

from deadlock_matrix.app.carrying import MOST_DATA, carry
from deadlock_matrix.app.script_claims import Try, about_variables, first_sentence, what_is_missing
from deadlock_matrix.diagnosis.investigation.reproducer import Script
from deadlock_matrix.model.cell import Context
from deadlock_matrix.model.diagnosis import Minimised
from deadlock_matrix.model.fact import known

SCRIPT = Script(statement="import mine", context=Context(name="main"))


def test_the_files_that_the_code_names_are_carried(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for name in ("a.json", "parts/b.txt", ".env", "my.key", "unnamed.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "large.txt").write_text("x" * (MOST_DATA + 1))
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("x")
    text = (
        "open('a.json'); open('parts/b.txt'); open('.env'); open('my.key'); open('large.txt')\n"
        f"open('missing'); open('parts'); open('../outside.txt'); open({str(outside)!r})\n"
    )
    found = carry([text], [tmp_path], tmp_path)
    assert found.data == ("a.json", "parts/b.txt")
    assert [each.name for each in found.sources] == ["a.json", "parts/b.txt"]
    assert carry([text], [tmp_path]).data == ()


def test_files_that_the_arguments_name_are_carried(tmp_path: Path) -> None:
    for name in ("a.ini", "b.ini", "c.ini"):
        (tmp_path / name).write_text(name)
    found = carry(["print(1)"], [tmp_path], tmp_path, ["--config", "a.ini", "--more=b.ini", "-v"])
    assert found.data == ("a.ini", "b.ini")


def test_a_package_without_a_file_of_its_own_is_carried(tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "inner" / "__init__.py").write_text("import outer.other")
    (tmp_path / "json" / "deep").mkdir(parents=True)
    (tmp_path / "json" / "deep" / "x.py").touch()  # Python's own json comes first
    found = carry(["import outer.inner, json"], [tmp_path])
    assert [each.name for each in found.sources] == ["outer/inner/__init__.py"]
    assert found.installed == ()


def test_a_server_for_whose_answer_a_script_waits_is_missing() -> None:
    best = Try(script=SCRIPT, alone=known("hang", "one run"))
    (missing,) = what_is_missing(best, carry([], []), {"10.0.0.1:80"})
    assert missing == "the server at 10.0.0.1:80, for whose answer it waits"


def test_what_is_compiled_is_built_from_the_source_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("work.c", "libwork.so", "fast.c", "fast.cpython-312-x86_64-linux-gnu.so"):
        (package / name).touch()
    found = carry(["import mine"], [tmp_path])
    assert found.builds == {"mine/work.c": "mine/libwork.so", "mine/fast.c": "mine/fast.*"}
    assert found.missing == ()
    (package / "work.c").unlink()
    assert carry(["import mine"], [tmp_path]).missing == ("mine/libwork.so is compiled, not text",)


def variables(*elements: str, whole: bool) -> str:
    needed = Minimised(of="x", elements=elements, out_of=9, probes=1, whole=whole)
    return about_variables(Try(script=SCRIPT, alone=known("hang", "one run"), variables=needed))


def test_the_header_says_of_variables_what_was_found_out() -> None:
    assert variables("A", whole=True) == "A, of 9 variables; without it it does not hang"
    assert variables("A", whole=False).endswith("no time to find out whether it needs others")


def test_the_header_says_how_a_script_failed() -> None:
    failed = known("ended with status 1: FileNotFoundError: settings.json", "one run")
    best = Try(script=SCRIPT, alone=failed, with_caller=failed)
    assert "FileNotFoundError: settings.json" in first_sentence(best)
    (missing,) = what_is_missing(best, carry([], []))
    assert missing.startswith("what makes it hang")
