"""Imports that are under way, as the frames of a thread show them."""

from __future__ import annotations

from deadlock_matrix.diagnosis.imports import import_chain, imported_module, is_importlib
from deadlock_matrix.model.frames import PythonFrame

BOOTSTRAP = "<frozen importlib._bootstrap>"


def frame(file: str, function: str = "<module>", line: int = 1, name: str = "") -> PythonFrame:
    values = {"name": f"'{name}'"} if name else {}
    return PythonFrame(function=function, file=file, line=line, values=values)


def importing(name: str, file: str = BOOTSTRAP) -> PythonFrame:
    return frame(file, "_find_and_load", name=name)


def test_each_module_goes_with_the_line_that_imports_it() -> None:
    frames = [
        frame("/home/me/main.py", line=3),
        importing("a"),
        frame(BOOTSTRAP, "_load_unlocked"),
        frame(r"C:\site\a\__init__.py", line=7),
        importing("a.b"),
    ]
    assert import_chain(frames) == ("a (main.py:3)", "a.b (__init__.py:7)")


def test_what_the_interpreter_imports_by_itself_has_no_importer() -> None:
    assert import_chain([importing("site")]) == ("site",)


def test_an_import_whose_name_was_not_read_is_left_out() -> None:
    assert import_chain([frame("m.py"), frame(BOOTSTRAP, "_find_and_load")]) == ()


def test_the_machinery_may_lie_in_files_of_any_system() -> None:
    file = r"C:\Python\Lib\importlib\_bootstrap.py"
    assert is_importlib(frame(file)) and imported_module(importing("a", file)) == "a"
    assert not is_importlib(frame("/site/importlib_metadata/__init__.py"))


def test_a_function_of_the_same_name_elsewhere_imports_nothing() -> None:
    assert imported_module(importing("a", "/home/me/loader.py")) == ""
