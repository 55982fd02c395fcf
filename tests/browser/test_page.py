"""What somebody does with a page, done in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browser import samples

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]
CELLS = "#grid td.full"
DEADLOCK = "pip-torch/baseline/lazy/create-gpt2/fork-after-parallel"


def cell(page: Page, identifier: str) -> Locator:
    return page.locator(f'{CELLS}[aria-label^="{identifier}:"]')


def focused(page: Page) -> str:
    label: str = page.evaluate("document.activeElement.getAttribute('aria-label') || ''")
    return label.partition(":")[0]


# --- the grid and its filters -------------------------------------------------------------------


def test_every_cell_of_the_report_is_in_the_grid(open_page: Open) -> None:
    page = open_page("example")
    assert page.locator(CELLS).count() == 12
    assert page.locator("#legend button").all_inner_texts() == ["D\ndeadlock\n1", "o\nok\n11"]
    assert "valid" in page.locator(".status").inner_text().lower()


def test_an_axis_is_filtered(open_page: Open) -> None:
    page = open_page("example")
    page.get_by_text("Profile", exact=False).first.click()
    page.locator(".menu").get_by_label("threads-1").check()
    labels = page.locator(CELLS).evaluate_all("tds => tds.map(td => td.ariaLabel)")
    assert labels
    assert all("/threads-1/" in label for label in labels)
    assert page.locator("#shown").inner_text() == f"{len(labels)} of 12 cells"
    page.get_by_role("button", name="Clear").click()
    assert page.locator(CELLS).count() == 12


def test_a_verdict_and_a_text_are_filtered(open_page: Open) -> None:
    page = open_page("evidence")
    everything = page.locator(CELLS).count()
    page.locator('#legend button[data-verdict="deadlock"]').click()
    deadlocks = [each for each in samples.with_evidence().cells if each.verdict == "deadlock"]
    assert page.locator(CELLS).count() == len(deadlocks) > 0
    page.locator('#legend button[data-verdict="deadlock"]').click()
    assert page.locator(CELLS).count() == everything
    page.locator("#search").fill("sigabrt recorded")
    assert page.locator(CELLS).count() == 1
    page.locator("#search").fill("no such thing")
    assert page.locator(CELLS).count() == 0
    assert page.locator("#grid").inner_text() == "No cell passes the filters."


def test_not_as_expected(open_page: Open) -> None:
    page = open_page("evidence")
    page.get_by_role("button", name="Not as expected").click()
    odd = [each for each in samples.with_evidence().cells if not each.as_expected]
    assert page.locator(CELLS).count() == page.locator(f"{CELLS} .odd").count() == len(odd) > 0


@pytest.mark.parametrize("number", [1, 2])
def test_another_arrangement_has_the_same_cells(open_page: Open, number: int) -> None:
    page = open_page("large")
    labels = "tds => tds.map(td => td.ariaLabel).sort()"
    before = page.locator(CELLS).evaluate_all(labels)
    page.get_by_label("Arrangement of the grid").select_option(str(number))
    assert page.locator(CELLS).evaluate_all(labels) == before


def test_verdicts_differ_in_letter_and_in_shape(open_page: Open) -> None:
    page = open_page("evidence")
    looks = page.locator("#legend .mark").evaluate_all(
        "marks => marks.map(m => [m.textContent, getComputedStyle(m).clipPath"
        " + getComputedStyle(m).borderRadius])"
    )
    assert len(looks) == 5
    assert len({letter for letter, _ in looks}) == len({shape for _, shape in looks}) == 5


# --- an opened cell -----------------------------------------------------------------------------


def test_a_cell_opens_by_mouse_and_shows_its_evidence(open_page: Open) -> None:
    page = open_page("example")
    cell(page, DEADLOCK).click()
    dialog = page.locator("dialog")
    assert DEADLOCK in dialog.locator("h2").inner_text()
    page.wait_for_selector("dialog .graph svg")
    nodes = page.locator("dialog .graph svg g.node")
    assert nodes.count() == 9
    assert page.locator("dialog .graph svg g.edge").count() == 11
    assert page.locator("dialog .graph svg g.node.thread").count() == 3
    box = page.locator("dialog .graph svg").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) > 200
    assert page.locator("dialog article.thread").count() == 3
    frames = page.locator("dialog .frames").first.inner_text()
    assert "family.py" in page.locator("dialog").inner_text()
    assert frames
    assert "libgomp" in page.locator("dialog section", has_text="Known causes").inner_text()
    [interpreter] = [i for i in samples.example().interpreters if i.name == "pip-torch"]
    command = page.locator("dialog .command pre").inner_text()
    assert command.replace("\\\n", "").split() == [
        "deadlock-matrix", "run",
        "--interpreter", f"pip-torch={interpreter.executable}",
        "--profile", "baseline", "--layout", "lazy", "--entry", "create-gpt2",
        "--context", "fork-after-parallel",
    ]  # fmt: skip


def test_every_recorded_proof_is_drawn_with_all_its_nodes_and_edges(open_page: Open) -> None:
    page = open_page("proofs")
    cells = page.locator(CELLS).count()
    assert cells > 30
    page.locator(CELLS).first.click()
    for number in range(cells):
        if number:
            page.get_by_role("button", name="Next").click()
        page.wait_for_selector("dialog .graph svg")
        drawn, given = page.evaluate(
            """() => {
              const graph = document.querySelector("dialog .graph");
              const words = document.querySelectorAll("dialog .words > li").length;
              return [graph.querySelectorAll("g.edge").length, words];
            }"""
        )
        assert drawn == given > 0, page.locator("dialog h2").inner_text()
        labels = page.locator("dialog .graph g.node").evaluate_all(
            "all => all.map(node => node.querySelectorAll('text').length)"
        )
        assert all(labels)
    assert page.get_by_role("button", name="Next").is_disabled()


def test_a_cell_that_is_ok_shows_its_imports_with_times(open_page: Open) -> None:
    page = open_page("example")
    cell(page, "pip-torch/baseline/eager/from-factory/main").click()
    tree = page.locator("dialog .tree")
    inner = tree.locator("li li", has_text="transformers").last
    assert inner.locator(".when").inner_text().endswith(" s")
    assert "bottom.py:5" in inner.inner_text()
    libraries = page.locator("dialog section", has_text="Libraries and packages")
    libraries.get_by_text("native libraries").click()
    assert "libtorch_cpu.so" in libraries.inner_text()
    assert page.locator("dialog .graph").count() == 0


def test_the_keyboard_alone(open_page: Open) -> None:
    page = open_page("example")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("lazy")
    page.keyboard.press("Enter")
    first = focused(page)
    assert first.startswith("pip-torch/baseline/lazy/")
    page.keyboard.press("ArrowRight")
    second = focused(page)
    assert second not in ("", first)
    page.keyboard.press("ArrowLeft")
    assert focused(page) == first
    page.keyboard.press("End")
    assert focused(page) == DEADLOCK
    page.keyboard.press("Enter")
    assert page.locator("dialog").is_visible()
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.wait_for_function("!location.hash")  # what closing brings about has been done
    assert not page.locator("dialog").is_visible()
    assert focused(page) == DEADLOCK
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("pip-torch/threads-1/lazy/create-gpt2")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert page.locator(CELLS).count() == 12


def test_the_grid_is_one_stop_for_the_tab_key(open_page: Open) -> None:
    page = open_page("large")
    assert page.locator('#grid [tabindex="0"]').count() == 1


def test_next_and_previous(open_page: Open) -> None:
    page = open_page("example")
    page.locator(CELLS).first.click()
    title = page.locator("dialog h2")
    first = title.inner_text()
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    second = title.inner_text()
    page.keyboard.press("Enter")
    assert len({first, second, title.inner_text()}) == 3
    page.get_by_role("button", name="Previous").click()
    page.keyboard.press("Enter")
    assert title.inner_text() == first
    assert page.evaluate("document.activeElement.textContent") == "Close"
    page.get_by_role("button", name="Close").click()
    assert not page.locator("dialog").is_visible()


def test_an_address_leads_to_a_cell(open_page: Open) -> None:
    page = open_page("example", "#cell=" + DEADLOCK.replace("/", "%2F"))
    assert DEADLOCK in page.locator("dialog h2").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_function("!location.hash")


def test_a_hang_says_what_is_missing_for_a_proof(open_page: Open) -> None:
    page = open_page("evidence")
    cell(page, "recorded/baseline/none/recorded-mutex-type-clash/main").click()
    gaps = page.locator("dialog section", has_text="What is missing for a proof")
    assert "is running, or ready to run" in gaps.inner_text()


def test_evidence_that_is_not_in_the_page_is_said_to_be_elsewhere(open_page: Open) -> None:
    page = open_page("large-without")
    page.locator('#legend button[data-verdict="deadlock"]').click()
    page.locator(CELLS).first.click()
    assert "It is not in this page, but in the report." in page.locator("dialog").inner_text()
    assert page.locator("dialog .graph").count() == 0


# --- before and now -----------------------------------------------------------------------------


def test_a_comparison_shows_before_and_now(open_page: Open) -> None:
    page = open_page("compared")
    cured = "pip-torch/threads-1/lazy/package/main"
    marks = cell(page, cured).locator(".mark").evaluate_all("all => all.map(m => m.className)")
    assert [name.split()[1] for name in marks] == ["error", "ok"]
    changes = page.locator("#changes")
    assert cured in changes.inner_text()
    page.get_by_role("button", name="Changed", exact=True).click()
    assert page.locator(CELLS).count() == 3  # cured, new, gone
    gone = "pip-torch/baseline/eager/taken-out/main"
    assert "no result any more" in (cell(page, gone).get_attribute("aria-label") or "")
    cell(page, cured).click()
    assert "Before:" in page.locator("dialog").inner_text()
    assert "ImportError: not yet" in page.locator("dialog").inner_text()


def test_nothing_is_compared_without_a_base(open_page: Open) -> None:
    assert not open_page("example").locator("#changes").is_visible()


# --- how it looks -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(open_page: Open, scheme: str) -> None:
    page = open_page("example", color_scheme=scheme)
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    assert (before == "rgb(255, 255, 255)") == (scheme == "light")
    page.locator("#theme").click()
    switched = page.evaluate(background)
    assert switched != before
    page.reload()
    assert page.evaluate(background) == switched


def test_on_a_phone_the_page_is_as_wide_as_the_screen(open_page: Open) -> None:
    page = open_page("large", viewport={"width": 390, "height": 844}, has_touch=True)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= 390
    page.locator(CELLS).first.click()
    assert page.evaluate(wide) <= 390
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 390


def test_sections_tell_the_rest(open_page: Open) -> None:
    page = open_page("example")
    assert "refuted" in page.locator("#claims").inner_text()
    assert page.locator("#controls li").count() == 3
    assert "OpenMP" in page.locator("#causes").inner_text()
    assert "x faster" in page.locator("#times").inner_text()
    page.locator("#controls button.link").first.click()
    assert page.locator("dialog h2").inner_text()
