"""Pictures of how the story ended: the console's page of the model, a row that was tried there, and the terminal."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from tests.browser.staging import browser, chromium
from tests.demo.customers import CANARY
from tests.demo.stage import Stage
from tools.processes import ProcessFailed

_WIDTH: Final = 1100
_POINTS: Final = 6
_TERMINAL: Final = """<!doctype html><meta charset="utf-8"><style>{stylesheet}
body {{ margin: 0; padding: 16px; width: max-content; color: {foreground}; background: {background}; }}
pre {{ margin: 0; font: 14px/1.35 monospace; }}</style><body><pre>{code}</pre></body>"""
_THEME: Final = TerminalTheme(
    (22, 26, 32),
    (226, 230, 236),
    [(22, 26, 32), (246, 150, 142), (133, 214, 160), (232, 178, 92),
     (125, 180, 238), (200, 160, 240), (120, 210, 220), (226, 230, 236)],
)  # fmt: skip


def take(stage: Stage, told: Console, folder: Path) -> Iterator[Path]:
    """Write demo-console.png, demo-why.png and demo-terminal.png, and give each. Raises ProcessFailed."""
    if chromium() is None:
        raise ProcessFailed("Chromium is not there: on Debian, apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chrome:
        page = chrome.new_page(viewport={"width": _WIDTH, "height": 900})
        page.goto(stage.console)
        yield _whole(page, folder / "demo-console.png")
        yield _tried(page, folder / "demo-why.png")
        page = chrome.new_page(viewport={"width": _WIDTH, "height": 100})  # without the policy of the other
        page.set_content(told.export_html(theme=_THEME, code_format=_TERMINAL))
        yield _written(page.locator("body").screenshot(), folder / "demo-terminal.png")


def _whole(page: Page, path: Path) -> Path:
    """The page down to how right the versions were."""
    for _ in range(_POINTS):  # a line needs some points
        page.wait_for_event("response", lambda answer: "/console/live" in answer.url)
    box = page.locator("section", has=page.locator("text=Was it right")).bounding_box()
    assert box is not None
    clip = {"x": 0.0, "y": 0.0, "width": float(_WIDTH), "height": box["y"] + box["height"] + 16}
    return _written(page.screenshot(full_page=True, clip=clip), path)


def _tried(page: Page, path: Path) -> Path:
    """A customer whose contract is long and whose price has risen, of whom the canary says that they leave."""
    page.locator(".choices button", has_text=f"version {CANARY}").click()
    page.locator("form select").first.select_option("two-year")
    page.locator("label", has_text="monthly_charges").locator("input").fill("71")
    page.locator("button[type=submit]").click()
    page.wait_for_selector(".reasons")
    return _written(page.locator("#try").screenshot(), path)


def _written(picture: bytes, path: Path) -> Path:
    with Image.open(BytesIO(picture)) as taken:  # a few dozen colours are all there are: a third of the bytes
        taken.convert("RGB").quantize(64).save(path, optimize=True)
    return path
