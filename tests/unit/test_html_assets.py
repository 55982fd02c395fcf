"""The files that a page is made of: as they were taken over, and fit to be put into a page."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files

import pytest

from deadlock_matrix.cli.report_render import read_assets

FOLDER = files("deadlock_matrix.render").joinpath("assets")
README = FOLDER.joinpath("README.md").read_text(encoding="utf-8")
LISTED = dict(re.findall(r"^\| `(vendor/\S+\.js)` .*`([0-9a-f]{64})` \|$", README, re.MULTILINE))


def test_every_library_is_listed_with_its_licence() -> None:
    names = {entry.name for entry in FOLDER.joinpath("vendor").iterdir()}
    scripts = {name for name in names if name.endswith(".js")}
    assert {f"vendor/{name}" for name in scripts} == LISTED.keys()
    licences = {f"vendor/{name}" for name in names - scripts}
    told = set(re.findall(r"`(vendor/[^`]+\.LICENSE)`", FOLDER.joinpath("README.md").read_text()))
    assert licences == told >= {name.replace(".js", ".LICENSE") for name in LISTED}


@pytest.mark.parametrize("name", LISTED)
def test_a_library_is_the_one_that_was_taken_over(name: str) -> None:
    data = FOLDER.joinpath(*name.split("/")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == LISTED[name]


@pytest.mark.parametrize("name", ["script", "graphviz", "style"])
def test_it_can_stand_in_a_page(name: str) -> None:
    text = getattr(read_assets(), name)
    assert not re.search(r"</(script|style)|<!--", text, re.IGNORECASE)
    # A reader of HTML changes these, and then the hash in the policy is another one.
    assert "\r" not in text
    assert "\0" not in text


@pytest.mark.parametrize("name", ["script", "style", "template"])
def test_our_own_files_refer_to_nothing_outside(name: str) -> None:
    text = getattr(read_assets(), name).replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://[\w.]+|url\(|@import|\bsrc=", text) == []


def test_our_script_reads_nothing_as_html() -> None:
    script = read_assets().script
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script
