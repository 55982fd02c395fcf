"""The pages about the scenarios: one for each, with a picture wherever a proof was recorded."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from golden.recordings import recorded

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("repro/scenarios/*/scenario.toml"))


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(gallery: ModuleType) -> dict[str, str]:
    found: dict[str, str] = gallery.pages()
    return found


def test_every_scenario_has_a_page_that_the_list_leads_to(pages: dict[str, str]) -> None:
    assert sorted(pages) == sorted(["index.md", *(f"{name}.md" for name in SCENARIOS)])
    linked = re.findall(r"\]\(([\w.-]+\.md)\)", pages["index.md"])
    assert sorted(linked) == sorted(f"{name}.md" for name in SCENARIOS)


def test_every_recorded_proof_has_its_picture(pages: dict[str, str]) -> None:
    proved = {name.partition("/")[2] for name in recorded("deadlock")}
    drawn = {name.removesuffix(".md") for name, text in pages.items() if "```mermaid" in text}
    assert drawn == proved


def test_a_page_tells_what_is_expected_and_shows_the_program(pages: dict[str, str]) -> None:
    page = pages["crossed-mutexes.md"]
    assert page.startswith("# Two mutexes taken in opposite order by two extension imports\n")
    assert "| verdict | **deadlock** |" in page
    assert "| proof | owner |" in page
    assert "### `left.c`" in page
    assert "pthread_mutex_lock(&second);" in page


def test_a_look_alike_tells_why_nothing_is_proved(pages: dict[str, str]) -> None:
    page = pages["healthy-lock-held-by-sleeper.md"]
    assert "## Why nothing is proved" in page
    assert "mermaid" not in page
