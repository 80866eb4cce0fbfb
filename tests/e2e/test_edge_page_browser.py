"""The gateway's page on a phone: a real gateway, a real lake, a real browser."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from doubles.edge_pole import (
    air_frame,
    asked,
    free_port,
    n_delivered,
    receiver_line,
    running_gateway,
    sensor,
    status_of,
    until,
    write_settings,
)
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from clearway_core.data_dir import DataDir
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.jobs import ingest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE: ViewportSize = {"width": 390, "height": 844}
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CLEARWAY_CHROMIUM") or shutil.which("chromium")
    if path is None:
        reason = "no Chromium here; install one, or set CLEARWAY_CHROMIUM"
        if os.environ.get("CLEARWAY_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()


class Phone:
    """A phone that notes what goes wrong, and where its requests go."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self.page: Page = browser.new_page(viewport=PHONE, device_scale_factor=2)
        self.problems: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda told: self._said(told.text))
        self.page.on("request", lambda asked: self._asked(asked.url, origin))

    def _said(self, text: str) -> None:
        # A refused PIN and a gateway that is gone are told by the browser too.
        if "401" not in text and "ERR_CONNECTION" not in text:
            self.problems.append(text)

    def _asked(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:")):
            self.elsewhere.append(url)

    def close(self) -> None:
        self.page.close()
        assert self.problems == []
        assert self.elsewhere == []


def parts_that_stick_out(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def least_contrast(page: Page) -> float:
    """Return the lowest contrast of any text with its background (WCAG 2.2, 1.4.3)."""
    return float(
        page.evaluate(
            """() => {
        const lum = (rgb) => { const [r, g, b] = rgb.match(/[\\d.]+/g).slice(0, 3).map((v) => {
            const c = v / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const back = (e) => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (!c.startsWith('rgba(0, 0, 0, 0')) return c; } return 'rgb(255,255,255)'; };
        const seen = [...document.querySelectorAll('h1,p,span,li,label,button')]
          .filter((e) => e.offsetParent && e.textContent.trim() && !e.children.length);
        return Math.min(...seen.map((e) => { const [a, b] =
            [lum(getComputedStyle(e).color), lum(back(e))].sort((x, y) => y - x);
          return (a + 0.05) / (b + 0.05); }));
    }"""
        )
    )


@pytest.fixture
def origin() -> str:
    return f"http://127.0.0.1:{free_port()}"


def port_of(origin: str) -> int:
    return int(origin.rpartition(":")[2])


@pytest.mark.timeout(180)
def test_a_technician_sees_go_only_after_the_lake_and_what_to_fix(
    browser: Browser, origin: str, tmp_path: Path
) -> None:
    with ExitStack() as pole, sensor(air_frame) as air:
        receiver = pole.enter_context(sensor(receiver_line))
        settings = write_settings(tmp_path, air=air, receiver=receiver, port=port_of(origin))
        with running_gateway(settings):
            until(lambda: status_of(origin))
            phone = Phone(browser, origin)
            page = phone.page
            page.goto(origin)
            expect(page.locator("#word")).to_have_text("NO-GO")
            expect(page.locator("#headline")).to_contain_text("no reading is confirmed yet")
            expect(page.locator("#place")).to_have_text("asok-north · gw-017")

            until(lambda: n_delivered(origin))
            data = DataDir(tmp_path / "data")
            ingest(Lake(data.lake), EmbeddedLog(data.log_file))
            expect(page.locator("#word")).to_have_text("GO", timeout=15_000)
            confirmed = re.compile(r"^reading \d+ confirmed after \d+ s$")
            expect(page.locator("#headline")).to_have_text(confirmed)
            expect(page.locator("li.ok", has_text="the receiver is 0 m from it")).to_be_visible()
            assert parts_that_stick_out(page) <= 0
            assert least_contrast(page) >= 7, "read in bright sun"
            page.screenshot(path=tmp_path / "go.png", full_page=True)

            pole.close()  # the receiver's cable is pulled
            gone = page.locator("li.fix", has_text="receiver (nmea)")
            expect(gone.locator(".words")).to_contain_text("lost: ", timeout=15_000)
            expect(gone.locator(".remedy")).not_to_be_empty()
            expect(page.locator("#word")).to_have_text("NO-GO")
            expect(page.locator("#headline")).to_have_text("1 thing to fix")
            assert parts_that_stick_out(page) <= 0
            page.screenshot(path=tmp_path / "no-go.png", full_page=True)
        # The gateway is gone: what was seen last must not stay.
        expect(page.locator("#headline")).to_contain_text("does not answer", timeout=15_000)
        expect(page.locator("#word")).to_have_text("NO-GO")
        expect(page.locator("#checks li")).to_have_count(0)
        phone.close()


@pytest.mark.timeout(120)
def test_a_phone_needs_the_pin_on_the_label_typed_or_scanned(
    browser: Browser, origin: str, tmp_path: Path
) -> None:
    settings = write_settings(tmp_path, port=port_of(origin), host="0.0.0.0")  # noqa: S104 -- the point
    with running_gateway(settings):
        pin_file = tmp_path / "data/gateways/gw-017/page.pin"
        until(lambda: pin_file.exists() and asked(origin, "/")[0] == 200)
        pin = pin_file.read_text().strip()
        typed = Phone(browser, origin)
        typed.page.goto(origin)
        typed.page.get_by_label("PIN on the label").fill("00000000x")
        typed.page.get_by_role("button", name="Show").click()
        expect(typed.page.locator("#login-fault")).to_contain_text("not the PIN")
        typed.page.get_by_label("PIN on the label").fill(pin)
        typed.page.get_by_role("button", name="Show").click()
        expect(typed.page.locator("#checks li").first).to_be_visible()
        assert pin not in typed.page.content()
        typed.close()

        scanned = Phone(browser, origin)
        scanned.page.context.clear_cookies()
        scanned.page.goto(f"{origin}/#pin={pin}")
        expect(scanned.page.locator("#checks li").first).to_be_visible()
        assert pin not in scanned.page.url
        scanned.close()
    assert pin not in (tmp_path / "gateway.log").read_text()
