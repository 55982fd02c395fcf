"""Whatever a report holds is shown as text; the page asks for nothing, and opens fast."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from browser.samples import HOSTILE

from deadlock_matrix.diagnosis.text import one_line, printable

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
OPENS_WITHIN_S = 10.0  # on a busy machine; it takes a second where nothing else runs


def test_hostile_text_is_text(open_page: Open) -> None:
    page = open_page("hostile")
    scripts = page.locator("script").count()
    assert page.title().startswith("run </script><script>document.title='owned'</script>")
    page.locator("#grid td.full").click()
    page.wait_for_selector("dialog .graph svg")
    for details in page.locator("dialog details").all():
        details.evaluate("each => each.open = true")
    shown = page.locator("dialog").evaluate("each => each.textContent")
    assert shown.count(one_line(HOSTILE)) > 10
    assert printable(f"\x1b[2J{HOSTILE}") in shown  # standard error
    assert page.locator("dialog svg text").all_inner_texts()
    assert (
        page.locator("img, iframe, object, embed, dialog script, dialog a, dialog style").count()
        == 0
    )
    assert page.locator("script").count() == scripts
    assert page.title() != "owned"
    assert page.locator('a[href^="javascript:"]').count() == 0


def test_a_control_character_never_reaches_the_page(open_page: Open) -> None:
    page = open_page("hostile")
    page.locator("#grid td.full").click()
    text = page.evaluate("document.documentElement.textContent")
    assert [c for c in text if not c.isprintable() and c not in "\n\t\r"] == []


def test_nothing_but_its_own_scripts_is_run(open_page: Open) -> None:
    page = open_page("example", complaints=True)
    refused = page.evaluate(
        """() => {
          const events = [];
          const script = document.createElement("script");
          try { script.textContent = "window.owned = true"; document.body.append(script); } catch {}
          try { document.body.innerHTML += ""; } catch { events.push("innerHTML"); }
          return [window.owned === undefined, events];
        }"""
    )
    assert refused == [True, ["innerHTML"]]


def test_two_thousand_cells_open_at_once(open_page: Open) -> None:
    took = []
    for _ in range(3):
        page = open_page("large")
        assert page.locator("#grid td.full").count() == 2048
        took.append(
            page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
        )
    assert min(took) < OPENS_WITHIN_S


def test_a_filter_answers_at_once(open_page: Open) -> None:
    page = open_page("large")
    took = page.evaluate(
        """() => {
          const search = document.getElementById("search");
          const begun = performance.now();
          search.value = "gpt2";
          search.dispatchEvent(new Event("input"));
          document.body.offsetHeight;
          return performance.now() - begun;
        }"""
    )
    assert page.locator("#grid td.full").count() == 256
    assert took < 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["evidence", "compared", "large"])
def test_axe_finds_no_serious_fault(open_page: Open, name: str, scheme: str) -> None:
    source = axe()
    # axe is put in from outside, and makes elements of text, which the page itself forbids.
    page = open_page(name, color_scheme=scheme, bypass_csp=True)
    page.evaluate(source)
    assert faults(page) == []
    page.locator("#grid td.full", has=page.locator(".mark.deadlock")).first.click()
    page.wait_for_selector("dialog .graph svg")
    for details in page.locator("dialog details").all():
        details.evaluate("each => each.open = true")
    assert faults(page) == []


def test_axe_would_find_one(open_page: Open) -> None:
    source = axe()
    page = open_page("example", bypass_csp=True)
    page.evaluate(source)
    page.evaluate("document.querySelector('.rest').style.color = '#dddddd'")
    page.evaluate("document.getElementById('search').removeAttribute('aria-label')")
    page.evaluate("document.getElementById('search').removeAttribute('placeholder')")
    assert {each.partition(":")[0] for each in faults(page)} == {"color-contrast", "label"}


def axe() -> str:
    """The script; the test is skipped where it is not installed."""
    package = pytest.importorskip(
        "axe_playwright_python", reason="axe is not installed", exc_type=ImportError
    )
    return files(package).joinpath("axe.min.js").read_text(encoding="utf-8")


def faults(page: Page) -> list[str]:
    """What axe finds that is serious or critical, with the first elements it is about."""
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
