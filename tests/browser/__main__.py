"""Take the pictures of the console that docs show: python -m tests.browser [FOLDER]."""

import sys
from functools import partial
from pathlib import Path
from typing import Literal

from tests.browser.staging import MODEL, ask, asked_until_it_drifts, browser, chromium, served
from tests.live import wait_until


def main(folder: Path) -> None:
    """Write console.png, console-model.png and console-try.png, and the same in the dark."""
    if chromium() is None:
        sys.exit("Chromium is not there: on Debian, apt-get install chromium")
    with served(console_actions=True) as server, browser() as chrome:
        wait_until(partial(asked_until_it_drifts, server), "drift to be seen")
        schemes: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", ""), ("dark", "-dark"))
        for scheme, suffix in schemes:
            page = chrome.new_page(viewport={"width": 1100, "height": 1150}, color_scheme=scheme)
            page.goto(f"{server.server.addresses['admin']}/console/models/{MODEL}")
            for _ in range(5):  # a line needs some points
                with page.expect_response(lambda answer: "/console/live" in answer.url):
                    ask(server, drifted=True)
            page.locator(".choices button", has_text="version 2").click()
            page.locator("button[type=submit]").click()
            page.wait_for_selector(".answer")
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=folder / f"console-model{suffix}.png")
            page.locator("#try").screenshot(path=folder / f"console-try{suffix}.png")
            page.goto(f"{server.server.addresses['admin']}/console")
            for _ in range(2):
                with page.expect_response(lambda answer: "/console/live" in answer.url):
                    ask(server, drifted=True)
            page.screenshot(path=folder / f"console{suffix}.png", full_page=True)
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs"))
