"""What the API says, and what it keeps to itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from doubles import serving_lake
from doubles.serving_client import Client

from clearway_core.geo import cell_text
from clearway_core.lake import Lake
from clearway_serving.app import create_app

DAY: dict[str, str | int] = {"date": "2026-01-15", "resolution": 9, "window_minutes": 15}
FEW = cell_text(serving_lake.FEW_VEHICLES_CELL)
DOMINATED = cell_text(serving_lake.DOMINATED_CELL)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return serving_lake.fill(Lake(tmp_path_factory.mktemp("serving") / "lake"))


@pytest.fixture(scope="module")
def client(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(create_app(lake, city=serving_lake.city(tmp_path_factory.mktemp("city"))))


@pytest.fixture(scope="module")
def internal(lake: Lake) -> Client:
    return Client(create_app(lake, internal=True))


def test_the_health_check_answers(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_meta_says_what_there_is_and_that_it_passed(client: Client) -> None:
    meta = client.get("/api/meta").json()

    assert meta["city"]["name"] == "Testburi"
    assert meta["city"]["synthetic"] is True
    assert meta["time_zone"] == "Asia/Bangkok"
    assert meta["internal"] is False
    (product,) = meta["congestion"]["products"]
    assert (product["resolution"], product["window_minutes"]) == (9, 15)
    assert product["dates"] == ["2026-01-15"]
    assert product["fewest_vehicles"] >= 10
    assert meta["gates"]["congestion"]["checked_at"] == "2026-01-15T03:00:00Z"


def test_a_day_is_the_citys_day_not_the_utc_day(client: Client) -> None:
    day = client.get("/api/congestion", params=DAY).json()

    first_ms = int(serving_lake.FIRST_WINDOW.timestamp() * 1000)
    assert day["windows"] == [first_ms + n * 900_000 for n in range(serving_lake.N_WINDOWS)]
    other = client.get("/api/congestion", params={**DAY, "date": "2026-01-14"}).json()
    assert other["windows"] == []


def test_values_refer_to_cells_and_windows(client: Client) -> None:
    day = client.get("/api/congestion", params=DAY).json()

    rows = serving_lake.rows()
    for n in (0, 17, len(day["values"]["cell"]) - 1):
        cell = int(day["cells"][day["values"]["cell"][n]], 16)
        start = serving_lake.FIRST_WINDOW + timedelta(minutes=15 * day["values"]["window"][n])
        (row,) = rows.filter(pl.col("h3_cell") == cell, pl.col("window_start") == start).to_dicts()
        assert day["values"]["space_mean_kmh"][n] == pytest.approx(row["space_mean_kmh"], abs=1e-3)
        assert day["values"]["n_vehicles"][n] == 10 * (1 + (row["n_vehicles"] >= 20))


@pytest.mark.parametrize("cell", [FEW, DOMINATED])
def test_a_withheld_cell_is_nowhere(client: Client, cell: str) -> None:
    day = client.get("/api/congestion", params=DAY).json()
    detail = client.get(f"/api/congestion/cells/{cell}", params=DAY)

    assert len(day["cells"]) == len(serving_lake.CELLS) - 2
    assert cell not in day["cells"]
    assert min(day["values"]["n_vehicles"]) >= 10
    assert detail.status_code == 404


def test_only_the_internal_view_shows_everything(internal: Client) -> None:
    day = internal.get("/api/congestion", params={**DAY, "date": "2026-01-14"}).json()

    assert FEW in day["cells"]
    assert min(day["values"]["n_vehicles"]) == serving_lake.FEW


def test_city_figures_weigh_cells_by_their_fixes(client: Client) -> None:
    day = client.get("/api/congestion", params=DAY).json()

    withheld = [serving_lake.FEW_VEHICLES_CELL, serving_lake.DOMINATED_CELL]
    shown = serving_lake.rows().filter(
        pl.col("window_start") == serving_lake.FIRST_WINDOW, ~pl.col("h3_cell").is_in(withheld)
    )
    time_spent = sum(shown["n_pings"])
    free_time = sum(n / tti for n, tti in shown.select("n_pings", "tti").iter_rows())
    distance = sum(n * v for n, v in shown.select("n_pings", "space_mean_kmh").iter_rows())
    # Public counts are rounded down, so the weights are not quite those of the fixes.
    assert day["city"]["tti"][0] == pytest.approx(time_spent / free_time, rel=1e-3)
    assert day["city"]["space_mean_kmh"][0] == pytest.approx(distance / time_spent, rel=1e-3)
    assert day["city"]["n_cells"][0] == shown.height


def test_one_cell_comes_with_its_published_windows_and_its_name(client: Client) -> None:
    answer = client.get(
        f"/api/congestion/cells/{cell_text(serving_lake.CENTRE)}", params=DAY
    ).json()

    assert answer["place"] == "Old Town"
    assert len(answer["values"]["window_start"]) == serving_lake.N_WINDOWS - 1
    assert set(answer["values"]["vehicle_class"]) == {"all"}
    assert set(answer["values"]["free_flow_method"]) == {"cell_p85"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/congestion?date=yesterday&resolution=9&window_minutes=15", 422),
        ("/api/congestion?date=2026-01-15&resolution=nine&window_minutes=15", 422),
        ("/api/congestion?date=2026-01-15&resolution=9&window_minutes=7", 422),
        ("/api/congestion?date=2026-01-15&resolution=3&window_minutes=15", 422),
        ("/api/congestion/cells/zzz?resolution=9&window_minutes=15", 404),
        ("/api/congestion/cells/8928308280fffff?resolution=9&window_minutes=15", 404),
        ("/api/air?date=2026-13-01&pollutant=pm2_5", 422),
        ("/api/proposals/nothing", 404),
        ("/api/gps_pings", 404),
    ],
)
def test_a_wrong_question_gets_a_plain_error(client: Client, path: str, status: int) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.json()["detail"]


def test_air_shows_complete_and_incomplete_hours(client: Client) -> None:
    answer = client.get("/api/air", params={"date": "2026-01-15", "pollutant": "pm2_5"}).json()

    assert answer["unit"] == "µg/m³"
    assert answer["values"]["complete"].count(False) == 1
    assert len(answer["values"]["sensor"]) == 6


def test_without_a_passed_gate_nothing_is_shown(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.table("congestion").append(serving_lake.rows())
    client = Client(create_app(lake))

    meta = client.get("/api/meta").json()

    assert meta["congestion"]["available"] is False
    assert "quality gate" in meta["congestion"]["reason"]
    assert client.get("/api/congestion", params=DAY).status_code == 404


def test_before_the_first_build_the_map_says_how_to_make_one(tmp_path: Path) -> None:
    meta = Client(create_app(Lake(tmp_path / "lake"))).get("/api/meta").json()

    assert meta["congestion"]["available"] is False
    assert "`clearway build congestion`" in meta["congestion"]["reason"]


def test_a_version_that_failed_leaves_the_last_good_one(tmp_path: Path) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    broken = serving_lake.rows().with_columns(pl.col("n_vehicles") + 100)
    lake.table("congestion").replace(broken, {"resolution": [9]})
    serving_lake.passed(lake, "congestion", passed=False)
    client = Client(create_app(lake))

    day = client.get("/api/congestion", params={**DAY, "date": "2026-01-14"}).json()

    assert day["cells"]
    assert max(day["values"]["n_vehicles"]) < 100


def test_a_rebuilt_table_is_shown_without_a_restart(tmp_path: Path) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    client = Client(create_app(lake))
    params = {**DAY, "date": "2026-01-14"}
    before = client.get("/api/congestion", params=params).json()
    freer = serving_lake.rows().with_columns(
        pl.col("space_mean_kmh", "interval_high_kmh") + 1, pl.col("free_flow_kmh") * 2
    )
    lake.table("congestion").replace(freer, {"resolution": [9]})
    serving_lake.passed(lake, "congestion")

    after = client.get("/api/congestion", params=params).json()

    assert after["values"]["tti"][0] == pytest.approx(2 * before["values"]["tti"][0], rel=1e-3)
    assert after["values"]["space_mean_kmh"] == before["values"]["space_mean_kmh"], (
        "what was observed is public as on the day of release"
    )


def test_the_pages_reach_back_one_month_and_no_further(tmp_path: Path) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    long_ago = serving_lake.rows().with_columns(
        pl.col("window_start").dt.offset_by("-40d"), pl.col("window_date").dt.offset_by("-40d")
    )
    lake.table("congestion").append(long_ago)
    lake.table("cell_travel").append(serving_lake.sums(long_ago))
    serving_lake.passed(lake, "congestion")

    meta = Client(create_app(lake)).get("/api/meta").json()

    (product,) = meta["congestion"]["products"]
    assert product["dates"] == ["2026-01-14", "2026-01-15"]


def test_the_base_map_is_the_city_packs_own(client: Client, internal: Client) -> None:
    roads = client.get("/api/base-map/roads")

    assert roads.headers["content-type"] == "application/geo+json"
    assert len(roads.json()["features"]) == 2
    assert internal.get("/api/base-map/roads").json()["features"] == []


def test_a_day_that_is_not_settled_is_shown_live_only_and_row_by_row_through_the_gate(
    tmp_path: Path,
) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    settled = lake.table("released_travel")
    settled.replace(settled.scan().head(0).collect(), {})
    city = serving_lake.city(tmp_path / "city")

    public = Client(create_app(lake, city=city)).get("/api/congestion", params=DAY).json()
    live = Client(create_app(lake, city=city, live=True)).get("/api/congestion", params=DAY).json()

    assert public["windows"] == []
    assert live["settled"] is False
    assert len(live["windows"]) == serving_lake.N_WINDOWS
    assert {FEW, DOMINATED} & set(live["cells"]) == set()
    assert min(live["values"]["n_vehicles"]) >= 10


def test_live_adds_nothing_to_a_day_that_is_settled(client: Client, lake: Lake) -> None:
    live = Client(create_app(lake, live=True)).get("/api/congestion", params=DAY).json()
    public = Client(create_app(lake)).get("/api/congestion", params=DAY).json()

    assert live == public
    assert client.get("/api/congestion", params=DAY).json()["settled"] is True
