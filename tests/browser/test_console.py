"""The console in Chromium: it draws what happens, says nothing on its console, and everybody can use it."""

import os
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright", reason="make test-browser installs it")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.staging import MODEL, ask, asked_until_it_drifts, browser, chromium, served
from tests.live import LiveServer, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with served(console_actions=True) as server:
        yield server


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    if chromium() is None:
        assert not os.environ.get("REQUIRE_ALL_PARTS"), "Chromium is not there"
        pytest.skip("Chromium is not there")
    with browser() as found:
        yield found


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, chrome: Browser, server: LiveServer) -> Iterator[Page]:
    """A page that must not complain."""
    page = chrome.new_page(
        viewport={"width": 1100, "height": 800}, color_scheme=request.param, base_url=server.server.addresses["admin"]
    )
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: said.append(sent.url) if not sent.url.startswith(page_origin(server)) else None)
    yield page
    page.close()
    assert said == []


def page_origin(server: LiveServer) -> tuple[str, ...]:
    """What pages may ask: their own server, and what they hold themselves."""
    return (server.server.addresses["admin"], "data:")


def judged(page: Page) -> list[str]:
    """What axe has against a page, whose rules are those of WCAG and of good practice."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


def test_overview_tells_rates(page: Page, server: LiveServer) -> None:
    page.goto("/console")
    rate = page.locator(f'[data-rate="{MODEL}"]')
    for _ in range(60):
        with page.expect_response(lambda answer: "/console/live" in answer.url):
            ask(server, drifted=False)
        if rate.inner_text() not in ("–", "0.0"):
            break
    assert float(rate.inner_text()) > 0
    assert page.locator("text=corrupt:").count() > 0
    assert judged(page) == []


def test_model_draws_a_line_for_each_version(page: Page, server: LiveServer) -> None:
    page.goto(f"/console/models/{MODEL}")
    for _ in range(60):
        with page.expect_response(lambda answer: "/console/live" in answer.url):
            ask(server, drifted=True)
        if page.locator(".u-legend .u-series").count() == 6:  # two pictures: time and two versions
            break
    assert page.locator(".u-legend .u-series").count() == 6
    wait_until(lambda: asked_until_it_drifts(server), "both versions to drift")
    page.reload()
    assert "Drifted: " in page.inner_text("main")
    assert judged(page) == []


def test_a_row_is_tried_with_the_keyboard(page: Page) -> None:
    page.goto(f"/console/models/{MODEL}")
    page.locator(".choices button", has_text="version 2").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("form")
    page.locator("form select").first.select_option("month-to-month")
    page.locator("form input").first.fill("2")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer")
    assert page.inner_text(".answer") == "yes"
    assert "contract = month-to-month raised the log-odds of yes by" in page.inner_text("#answer")
    assert page.locator(".reasons rect").count() == 3
    assert judged(page) == []
    page.locator("form input").first.fill("two")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .bad")
    assert 'column "tenure_months"' in page.inner_text("#answer .bad")
    assert judged(page) == []


@pytest.mark.parametrize("path", ["/console", f"/console/models/{MODEL}"])
def test_narrow_screens_do_not_scroll_sideways(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert judged(page) == []
