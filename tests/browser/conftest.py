"""A real browser without a network: a page that asks for anything, or complains, fails its test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COMMANDS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, with a profile of its own that is empty."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed", exc_type=ImportError
    )
    executable = next(filter(None, map(shutil.which, COMMANDS)), None)
    if executable is None:
        pytest.skip(f"there is none of {', '.join(COMMANDS)} here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of one of the samples, as a file; each is made once."""
    folder = tmp_path_factory.mktemp("pages")

    def make(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(samples.page(name), encoding="utf-8")
        return path

    return make


@pytest.fixture
def open_page(browser: Browser, page_file: Callable[[str], Path]) -> Iterator[Callable[..., Page]]:
    """Open a sample in a fresh context; at the end, nothing may have been asked for or said.

    With ``complaints``, the browser may say that it has refused something.
    """
    troubles: list[str] = []
    contexts: list[Any] = []

    def open_it(name: str, fragment: str = "", *, complaints: bool = False, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        path = page_file(name)
        allowed = path.as_uri()

        def answer(route: Any) -> None:
            if route.request.url.partition("#")[0] == allowed:
                route.continue_()
            else:
                troubles.append(f"asks for {route.request.url}")
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(f"raises {error}"))
        page.on(
            "console",
            lambda said: (
                troubles.append(f"says {said.text}")
                if said.type in ("error", "warning") and not complaints
                else None
            ),
        )
        page.on("dialog", lambda dialog: troubles.append(f"opens a dialog: {dialog.message}"))
        page.on("popup", lambda other: troubles.append(f"opens {other.url}"))
        page.goto(allowed + fragment)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert troubles == []
