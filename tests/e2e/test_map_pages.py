"""The pages in a real browser: nothing but this origin, every value where a reader expects it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from doubles import serving_lake
from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright

from clearway_core.city import City
from clearway_core.geo import cell_text, centre_of
from clearway_core.lake import Lake
from clearway_models.jobs import decide, propose_charge
from clearway_serving.app import create_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
READY = "body[data-ready='true']"


@dataclass
class Visit:
    """A page and everything that went wrong while it was open."""

    page: Page
    origin: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors, violations of the policy and every request."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: object) -> None:
        if getattr(message, "type", "") in {"error", "warning"}:
            self.problems.append(getattr(message, "text", ""))

    def elsewhere(self) -> list[str]:
        """Return requests that left the origin."""
        own = (self.origin, "data:", "blob:")
        return [url for url in self.requests if not url.startswith(own)]


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    path = os.environ.get("CLEARWAY_CHROMIUM") or shutil.which("chromium")
    if path is None:
        reason = "no Chromium here; install one, or set CLEARWAY_CHROMIUM"
        if os.environ.get("CLEARWAY_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield opened.new_context()  # one for all tests: the libraries are fetched once
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("map")


@pytest.fixture(scope="module")
def city(folder: Path) -> City:
    return serving_lake.city(folder / "city")


@pytest.fixture(scope="module")
def lake(folder: Path, city: City) -> Lake:
    lake = serving_lake.fill(Lake(folder / "lake"))
    lake.table("free_flow").append(serving_lake.free_flow())
    zone = folder / "zone.geojson"
    west, south = centre_of(serving_lake.CENTRE)
    ring = [[west + dx, south + dy] for dx, dy in ((-5, -4), (5, -4), (5, 4), (-5, 4), (-5, -4))]
    ring = [[west + (x - west) / 1000, south + (y - south) / 1000] for x, y in ring]
    feature = {
        "type": "Feature",
        "properties": {"name": "Old Town zone"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    zone.write_text(json.dumps(feature), encoding="utf-8")
    propose_charge(lake, zone=zone, city=city)
    return lake


def serving(app: object) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    (socket,) = server.servers[0].sockets
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def origin(lake: Lake, city: City) -> Iterator[str]:
    yield from serving(create_app(lake, city=city, approval_url="http://localhost:8080"))


@pytest.fixture(scope="module")
def internal_origin(lake: Lake, city: City) -> Iterator[str]:
    yield from serving(create_app(lake, city=city, internal=True))


def opened(browser: BrowserContext, origin: str, path: str, size: ViewportSize) -> Iterator[Visit]:
    page = browser.new_page()
    page.set_viewport_size(size)
    visit = Visit(page, origin)
    visit.watch()
    page.goto(origin + path)
    page.locator(READY).wait_for(timeout=60_000)
    try:
        yield from watched(visit)
    finally:
        page.close()


@pytest.fixture(scope="module")
def open_map(browser: BrowserContext, origin: str) -> Iterator[Visit]:
    """Open the map once: without a graphics card it takes seconds of two cores to appear."""
    yield from opened(browser, origin, "/", DESKTOP)


@pytest.fixture
def map_page(open_map: Visit) -> Iterator[Visit]:
    as_first_seen(open_map.page)
    yield from watched(open_map)


@pytest.fixture
def fresh_map_page(browser: BrowserContext, origin: str) -> Iterator[Visit]:
    yield from opened(browser, origin, "/", DESKTOP)


@pytest.fixture(scope="module")
def open_proposal(browser: BrowserContext, origin: str, lake: Lake) -> Iterator[Visit]:
    proposal_id = lake.table("charge_proposals").scan().collect()["proposal_id"][0]
    yield from opened(browser, origin, f"/proposals/{proposal_id}", DESKTOP)


@pytest.fixture
def proposal_page(open_proposal: Visit) -> Iterator[Visit]:
    yield from watched(open_proposal)


def watched(visit: Visit) -> Iterator[Visit]:
    """Lend an open page to one test, which answers for what goes wrong meanwhile."""
    yield visit
    problems, elsewhere = list(visit.problems), visit.elsewhere()
    visit.problems.clear()
    visit.requests.clear()
    assert problems == []
    assert elsewhere == []


def as_first_seen(page: Page) -> None:
    """Take back, by the page's own controls, what an earlier test chose."""
    page.keyboard.press("Escape")
    page.locator("#tab-cells").click()
    page.locator("#search").fill("")
    page.locator("#tab-overview").click()
    page.locator("#measure input").first.check(force=True)
    page.locator("#air-toggle").uncheck()
    page.locator("#time").fill(str(serving_lake.N_WINDOWS - 1))
    page.mouse.move(0, 0)


def colours(page: Page) -> list[str]:
    """Return the colours beside the listed cells, which are those of the map."""
    painted = page.evaluate(
        """[...document.querySelectorAll('#worst canvas')].map((canvas) =>
        [...canvas.getContext('2d').getImageData(14, 14, 1, 1).data].join())"""
    )
    return [str(colour) for colour in painted]


def map_picture(page: Page) -> bytes:
    page.wait_for_timeout(400)  # the map fades new colours in over 300 ms
    return page.locator("#map").screenshot()


def test_the_map_shows_city_figures_and_that_the_city_is_made_up(fresh_map_page: Visit) -> None:
    page = fresh_map_page.page

    assert page.locator("#city-name").inner_text() == "Testburi"
    assert page.locator("#synthetic").is_visible()
    assert page.locator("#internal").is_hidden()
    assert "\u00d7" in page.locator(".hero-value").inner_text()
    assert page.locator("#legend").get_by_text("unknown or withheld").is_visible()
    assert page.locator("#now-time").inner_text() == "08:15\u201308:30", (
        "the worst window, local time"
    )


def test_the_slider_changes_time_and_colours(map_page: Visit) -> None:
    page = map_page.page
    before, colours_before = map_picture(page), colours(page)

    page.locator("#time").fill("0")

    assert page.locator("#now-time").inner_text() == "06:30\u201306:45"
    assert map_picture(page) != before
    assert colours(page) != colours_before


def test_the_slider_moves_by_keyboard(map_page: Visit) -> None:
    page = map_page.page
    page.locator("#time").focus()

    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")

    assert page.locator("#now-time").inner_text() == "06:45\u201307:00"
    assert page.locator("#time").get_attribute("aria-valuetext") == "06:45\u201307:00"


def test_play_runs_through_the_day_and_stops_at_its_end(map_page: Visit) -> None:
    page = map_page.page
    page.locator("#time").fill("6")

    page.get_by_role("button", name="Play").click()
    page.locator("#now-time", has_text="08:15\u201308:30").wait_for()
    page.get_by_role("button", name="Play").wait_for()

    assert page.locator("#play").get_attribute("aria-pressed") == "false"


def test_a_click_on_a_cell_opens_its_chart_and_table(map_page: Visit) -> None:
    page = map_page.page
    box = page.locator("#map").bounding_box()
    assert box is not None

    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    page.locator("#view-cell .u-over").wait_for()
    assert cell_text(serving_lake.CENTRE) in page.locator("#view-cell .cell-code").inner_text()
    assert page.locator("#view-cell h2").inner_text() == "Old Town"
    rows = page.locator("#view-cell .detail-table tbody tr")
    assert rows.count() == serving_lake.N_WINDOWS - 1
    page.keyboard.press("Escape")
    assert page.locator("#view-overview").is_visible()


def test_an_unknown_window_is_called_unknown(map_page: Visit) -> None:
    page = map_page.page
    page.locator("#worst button", has_text="Old Town").first.or_(
        page.locator("#worst button").first
    ).first.click()
    page.locator("#view-cell .u-over").wait_for()
    shown = page.locator("#view-cell")

    for window in range(serving_lake.N_WINDOWS):
        page.locator("#time").fill(str(window))
        text = shown.inner_text()
        assert ("unknown" in text) == (window == serving_lake.QUIET_WINDOW)
        assert "null" not in text
        assert "undefined" not in text


def test_a_cell_is_found_and_opened_without_a_mouse(map_page: Visit) -> None:
    page = map_page.page
    page.locator("#tab-overview").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#search").fill("old town")
    assert page.locator("#cell-table tbody tr").count() == 1

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.locator("#view-cell .u-over").wait_for()
    assert page.locator("#close-cell").evaluate("node => node === document.activeElement")


def test_a_withheld_cell_is_in_no_list(map_page: Visit) -> None:
    page = map_page.page
    page.locator("#tab-cells").click()

    page.locator("#search").fill(cell_text(serving_lake.FEW_VEHICLES_CELL))

    assert page.locator("#cell-table").inner_text() == "No cell matches."


def test_speed_recolours_the_map_and_its_legend(map_page: Visit) -> None:
    page = map_page.page

    page.get_by_role("radio", name="Speed").check(force=True)

    assert "km/h" in page.locator("#legend h2").inner_text()


def test_air_sensors_stand_on_the_map_with_their_table(map_page: Visit) -> None:
    page = map_page.page
    page.locator("#time").fill("2")

    page.locator("#air-toggle").check()

    pills = page.locator(".sensor")
    assert pills.count() == 2
    assert page.locator(".sensor[data-complete='false']").count() == 1
    assert page.locator("#air tbody tr").count() == 2


def test_the_map_links_to_the_proposal(fresh_map_page: Visit) -> None:
    page = fresh_map_page.page

    page.locator("#proposal a").click()

    page.locator(READY).wait_for()
    assert page.locator("h1").inner_text() == "Old Town zone"


def test_a_proposal_says_its_verdict_and_what_is_missing(proposal_page: Visit) -> None:
    page = proposal_page.page

    assert page.locator("[data-verdict='hold']").inner_text() == "Hold: not enough evidence"
    assert page.locator("[data-effect='hold'] li").count() >= 1
    assert page.locator("#missing").get_by_text("What to do:").first.is_visible()
    assert page.locator("#prices tbody tr").count() >= 5
    assert page.locator("#evidence tbody tr").count() >= 4
    assert page.locator("#limits li").count() >= 5


def test_unverified_parameters_are_marked(proposal_page: Visit, lake: Lake) -> None:
    page = proposal_page.page
    body = json.loads(lake.table("charge_proposals").scan().collect()["body_json"][0])
    unverified = sum(p["status"] == "unverified" for p in body["parameters"])

    page.locator("#parameters summary").click()
    page.get_by_label("Only unverified ones").check()

    assert unverified > 0
    assert page.locator("#parameters tbody tr").count() == unverified
    assert page.locator("#parameters .status-unverified").count() == unverified


def test_a_decision_appears_on_the_page_without_the_persons_name(
    browser: BrowserContext, folder: Path, city: City, lake: Lake
) -> None:
    copy = folder / "decided"
    shutil.copytree(folder / "lake", copy)
    decided = Lake(copy)
    proposal_id = decided.table("charge_proposals").scan().collect()["proposal_id"][0]
    decide(decided, proposal_id, decision="rejected", decided_by="A. Person", note="too early")

    for origin in serving(create_app(decided, city=city)):
        for visit in opened(browser, origin, f"/proposals/{proposal_id}", DESKTOP):
            assert visit.page.locator("#state").inner_text() == "Rejected"
            assert visit.page.locator("#how-to-answer").count() == 0
            decision = visit.page.locator("#decision").inner_text()
            assert "too early" in decision
            assert "A. Person" not in decision


def test_a_hold_says_who_may_answer_it_and_where(proposal_page: Visit) -> None:
    page = proposal_page.page

    assert page.locator("#state").inner_text() == "Held: a person may acknowledge it"
    answer = page.locator("#how-to-answer")
    assert "make airflow" in answer.inner_text()
    assert answer.get_by_role("link").get_attribute("href") == "http://localhost:8080"


def test_an_acknowledged_hold_is_not_called_approved(
    browser: BrowserContext, folder: Path, city: City, lake: Lake
) -> None:
    copy = folder / "acknowledged"
    shutil.copytree(folder / "lake", copy)
    decided = Lake(copy)
    proposal_id = decided.table("charge_proposals").scan().collect()["proposal_id"][0]
    decide(decided, proposal_id, decision="approved", decided_by="A. Person")

    for origin in serving(create_app(decided, city=city)):
        for visit in opened(browser, origin, f"/proposals/{proposal_id}", DESKTOP):
            assert visit.page.locator("#state").inner_text() == "Held and acknowledged"
            decision = visit.page.locator("#decision").inner_text()
            assert "Acknowledged" in decision
            assert "Approved" not in decision
            assert "cannot be published" in decision


def test_the_internal_view_says_so_in_red_and_shows_more(
    browser: BrowserContext, internal_origin: str
) -> None:
    for visit in opened(browser, internal_origin, "/", DESKTOP):
        page = visit.page
        assert page.locator("#internal").is_visible()
        background = page.locator("#internal").evaluate("n => getComputedStyle(n).backgroundColor")
        assert background == "rgb(163, 25, 31)"
        page.locator("#tab-cells").click()
        page.locator("#search").fill(cell_text(serving_lake.FEW_VEHICLES_CELL))
        assert page.locator("#cell-table tbody tr").count() == 1


def test_another_cell_size_can_be_chosen(
    browser: BrowserContext, tmp_path: Path, city: City
) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    hours = serving_lake.rows(window_minutes=60, resolution=8)
    lake.table("congestion").append(hours)
    lake.table("cell_travel").append(serving_lake.sums(hours))
    lake.table("released_travel").append(serving_lake.released(hours))
    serving_lake.passed(lake, "congestion")

    for origin in serving(create_app(lake, city=city)):
        for visit in opened(browser, origin, "/", DESKTOP):
            page = visit.page
            assert "60 min" in page.locator("#product option").first.inner_text()
            page.locator("#product").select_option(label="Resolution 9, 15 min")
            page.locator("#now-time", has_text="08:15").wait_for()
            assert page.locator("#now-time").inner_text() == "08:15\u201308:30"


def test_before_the_gate_the_page_says_why_it_is_empty(
    browser: BrowserContext, tmp_path: Path, city: City
) -> None:
    lake = Lake(tmp_path / "lake")
    lake.table("congestion").append(serving_lake.rows())

    for origin in serving(create_app(lake, city=city)):
        for visit in opened(browser, origin, "/", DESKTOP):
            assert "quality gate" in visit.page.locator("#map-note").inner_text()


@pytest.mark.parametrize("path", ["/", "/proposals"])
def test_nothing_is_wider_than_a_phone(browser: BrowserContext, origin: str, path: str) -> None:
    for visit in opened(browser, origin, path, PHONE):
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]


def test_the_city_without_a_pack_still_has_a_map(browser: BrowserContext, lake: Lake) -> None:
    for origin in serving(create_app(lake)):
        for visit in opened(browser, origin, "/", DESKTOP):
            assert visit.page.locator("#now-time").inner_text() == "01:15\u201301:30", "UTC"
            visit.page.locator("#worst button").first.click()
            visit.page.locator("#view-cell .u-over").wait_for()
