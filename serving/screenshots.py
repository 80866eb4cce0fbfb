"""Take the pictures of the documentation from a demo that is being served.

Start `make demo`, then in another terminal: `python serving/screenshots.py`. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
READY = "body[data-ready='true']"
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
)
_SETTLE_MS = 1500
"""The map fades colours in; a picture taken earlier shows half of it."""


def take(page: Page, address: str, name: str, *, open_worst: bool = False) -> None:
    """Save one page as ``docs/images/<name>.png``.

    Parameters
    ----------
    page
        A browser's page.
    address
        What to open.
    name
        Of the file.
    open_worst
        Open the most congested cell first.
    """
    page.goto(address)
    page.locator(READY).wait_for(timeout=60_000)
    if open_worst:
        page.locator("#worst button").first.click()
        page.locator("#view-cell .u-over").wait_for()
    page.wait_for_timeout(_SETTLE_MS)
    page.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--origin", default="http://127.0.0.1:8501")
    origin = parser.parse_args().origin
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS
        )
        page = browser.new_page(viewport=DESKTOP)
        take(page, f"{origin}/", "map-overview")
        take(page, f"{origin}/", "map", open_worst=True)
        page.goto(f"{origin}/proposals")
        page.locator(READY).wait_for()
        proposal = page.locator("main a[href*='/proposals/']").first.get_attribute("href")
        take(page, f"{origin}{proposal}", "proposal")
        page.set_viewport_size(PHONE)
        take(page, f"{origin}/", "map-phone")
        browser.close()


if __name__ == "__main__":
    main()
