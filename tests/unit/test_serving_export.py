"""Files that leave the lake, and those that must not."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from doubles import serving_lake

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import ClearwayError, InsufficientData, UsageError
from clearway_core.geo import cell_text
from clearway_core.lake import Lake
from clearway_serving.export.account import ExportAccount
from clearway_serving.export.jobs import export_table
from clearway_serving.export.request import ExportRequest

NEWEST = "2026-01-15T01:15:00Z"
"""Start of the last window of the lake."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return serving_lake.fill(Lake(tmp_path_factory.mktemp("export") / "lake"))


def written(lake: Lake, out: Path, table: str = "congestion", **options: object) -> ExportAccount:
    request = ExportRequest(
        table=table,
        file_format=str(options.pop("file_format", "parquet")),
        out=out,
        **options,  # type: ignore[arg-type]
    )
    return export_table(lake, request, report_dir=out.parent / "quality")


def test_an_internal_parquet_file_holds_every_row_and_column(lake: Lake, tmp_path: Path) -> None:
    account = written(lake, tmp_path / "c.parquet")

    frame = pl.read_parquet(tmp_path / "c.parquet")
    expected = serving_lake.rows()
    assert frame.columns == [*LAKE_CONTRACTS["congestion"].columns, "area", "corridor"]
    assert frame.height == account.rows == expected.height
    assert frame.schema["h3_cell"] == pl.String
    assert frame["h3_cell"].str.len_chars().unique().to_list() == [15]
    assert frame.schema["window_start"] == pl.Datetime("us", "UTC")
    assert frame.select("h3_cell", "window_start").is_unique().all()
    assert sorted(frame["space_mean_kmh"]) == sorted(expected["space_mean_kmh"])
    assert account.metadata is None
    assert "must not leave the house" in account.notes[0]


def test_csv_says_the_same_as_parquet(lake: Lake, tmp_path: Path) -> None:
    written(lake, tmp_path / "c.parquet")
    written(lake, tmp_path / "c.csv", file_format="csv")

    from_parquet = pl.read_parquet(tmp_path / "c.parquet")
    from_csv = pl.read_csv(tmp_path / "c.csv", try_parse_dates=True)
    assert "2026-01-14T23:30:00Z" in (tmp_path / "c.csv").read_text(encoding="utf-8")
    assert from_csv.columns == from_parquet.columns
    for name in ("h3_cell", "space_mean_kmh", "tti", "n_vehicles", "quality"):
        assert from_csv[name].to_list() == from_parquet[name].to_list()
    assert from_csv["window_start"].to_list() == from_parquet["window_start"].to_list()


def test_geojson_draws_the_newest_window_as_closed_rings(lake: Lake, tmp_path: Path) -> None:
    written(lake, tmp_path / "c.geojson", file_format="geojson")

    collection = json.loads((tmp_path / "c.geojson").read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    assert len(collection["features"]) == len(serving_lake.CELLS)
    for feature in collection["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        area_deg2 = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
        assert ring[0] == ring[-1]
        assert area_deg2 > 0, "counter-clockwise, RFC 7946 section 3.1.6"
        assert all(100.4 < lon < 100.6 and 13.6 < lat < 13.9 for lon, lat in ring)
        assert feature["properties"]["window_start"] == NEWEST


@pytest.mark.parametrize(
    "at", ["2026-01-15T07:05", "2026-01-15T00:00:00Z", "2026-01-15T09:03+09:00"]
)
def test_at_takes_the_window_that_holds_the_instant(lake: Lake, tmp_path: Path, at: str) -> None:
    city = serving_lake.city(tmp_path / "city")
    request = ExportRequest(table="congestion", file_format="csv", out=tmp_path / "c.csv", at=at)

    export_table(lake, request, city=city, report_dir=tmp_path)

    starts = pl.read_csv(tmp_path / "c.csv")["window_start"].unique().to_list()
    assert starts == ["2026-01-15T00:00:00Z"]


def test_air_becomes_points(lake: Lake, tmp_path: Path) -> None:
    written(lake, tmp_path / "a.geojson", "air_hourly", file_format="geojson", public=True)

    features = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))["features"]
    assert {feature["geometry"]["type"] for feature in features} == {"Point"}
    assert len(features) == 2


@pytest.mark.parametrize("file_format", ["parquet", "csv", "geojson"])
def test_a_public_file_holds_released_rows_only(
    lake: Lake, tmp_path: Path, file_format: str
) -> None:
    out = tmp_path / f"c.{file_format}"
    account = written(lake, out, file_format=file_format, public=True)

    content = out.read_bytes()
    if file_format == "parquet":
        content = pl.read_parquet(out).write_csv().encode()
    for cell in (serving_lake.FEW_VEHICLES_CELL, serving_lake.DOMINATED_CELL):
        assert cell_text(cell).encode() not in content
    assert cell_text(serving_lake.CENTRE).encode() in content
    assert account.rows_suppressed
    metadata = json.loads((tmp_path / f"c.{file_format}.metadata.json").read_text("utf-8"))
    assert metadata["rows_released"] == account.rows
    assert metadata["rows_suppressed"] == account.rows_suppressed
    assert metadata["release_gate"]["min_vehicles"] == 10
    assert metadata["fewest_vehicles_of_a_row"] >= 10
    assert metadata["table_version"] == account.table_version
    assert {"name": "space_mean_kmh", "unit": "km/h"}.items() <= next(
        column for column in metadata["columns"] if column["name"] == "space_mean_kmh"
    ).items()


def test_a_complete_grid_marks_few_and_none_alike(lake: Lake, tmp_path: Path) -> None:
    plain = written(lake, tmp_path / "plain.parquet", public=True)
    full = written(lake, tmp_path / "full.parquet", public=True, complete=True)

    rows = pl.read_parquet(tmp_path / "full.parquet")
    marked = rows.filter(pl.col("n_vehicles") == -1)
    assert rows.height == rows["h3_cell"].n_unique() * rows["window_start"].n_unique()
    assert rows.height - marked.height == plain.rows
    assert marked.height > 0
    assert marked.select("n_pings", "n_legs", "n_providers").unique().row(0) == (-1, -1, -1)
    assert marked["space_mean_kmh"].null_count() == marked.height
    assert cell_text(serving_lake.FEW_VEHICLES_CELL) not in rows["h3_cell"]
    metadata = json.loads(full.metadata.read_text(encoding="utf-8"))
    assert metadata["rows_withheld_or_empty_as_minus_one"] == marked.height
    assert metadata["fewest_vehicles_of_a_row"] >= 10


@pytest.mark.parametrize(
    ("options", "says"),
    [({}, "goes with --public"), ({"public": True, "table": "air_hourly"}, "air_hourly is none")],
)
def test_a_complete_grid_is_refused_where_it_means_nothing(
    lake: Lake, tmp_path: Path, options: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        written(lake, tmp_path / "c.parquet", complete=True, **options)


def test_instant_that_the_table_does_not_hold_is_answered_with_its_span(
    lake: Lake, tmp_path: Path
) -> None:
    with pytest.raises(
        InsufficientData, match=r"2030-01-01.*from 2026-01-14 23:30 to 2026-01-15 01:15"
    ):
        written(lake, tmp_path / "c.csv", file_format="csv", at="2030-01-01")


def test_place_that_cannot_be_written_is_said(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(ClearwayError, match=r"cannot write .*Is --out writable"):
        written(lake, tmp_path / "file" / "c.csv", file_format="csv")


def test_every_internal_table_is_refused_in_public(lake: Lake, tmp_path: Path) -> None:
    refused = []
    for name in LAKE_CONTRACTS:
        try:
            written(lake, tmp_path / "x.parquet", name, public=True)
        except UsageError:
            refused.append(name)
        except InsufficientData:
            continue

    assert {"gps_pings", "vehicle_travel", "quarantine", "dead_letters"} <= set(refused)
    published = {name for name, contract in LAKE_CONTRACTS.items() if contract.published}
    assert set(LAKE_CONTRACTS) - set(refused) == {*published, "charge_proposals"}
    assert {"released_travel", "period_travel", "corridor_travel"} <= set(refused)
    assert not (tmp_path / "x.parquet").exists() or "gps_pings" in refused


def test_public_runs_the_gate_on_an_unchecked_version(tmp_path: Path) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    impossible = serving_lake.rows().with_columns(pl.lit(-5.0).alias("interval_low_kmh"))
    lake.table("congestion").replace(impossible, {"resolution": [9]})

    account = written(lake, tmp_path / "c.parquet", public=True)

    newest = lake.table("congestion").version()
    assert newest is not None
    checks = lake.table("quality_checks").scan().collect()
    assert checks.filter(pl.col("table_version") == newest)["passed"].to_list() == [False]
    assert account.table_version == newest - 1
    assert "failed its quality gate" in account.notes[0]
    assert (pl.read_parquet(tmp_path / "c.parquet")["interval_low_kmh"] > 0).all()


def test_nothing_is_public_before_any_version_passed(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.table("congestion").append(serving_lake.rows())
    serving_lake.passed(lake, "congestion", passed=False)

    with pytest.raises(InsufficientData, match="quality gate"):
        written(lake, tmp_path / "c.parquet", public=True)

    assert not (tmp_path / "c.parquet").exists()


def test_the_product_that_was_built_last_is_taken_and_said(tmp_path: Path) -> None:
    lake = serving_lake.fill(Lake(tmp_path / "lake"))
    lake.table("congestion").append(serving_lake.rows(window_minutes=60))

    account = written(lake, tmp_path / "last.parquet")
    asked = written(lake, tmp_path / "asked.parquet", window_minutes=15)

    assert account.window_minutes == 60
    assert "9 x 15 min, 9 x 60 min" in account.notes[1]
    assert asked.window_minutes == 15
    with pytest.raises(UsageError, match="9 x 60 min"):
        written(lake, tmp_path / "x.parquet", resolution=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "congestoin"}, "there is no table"),
        ({"file_format": "shp"}, "--format"),
        ({"table": "quality_checks", "file_format": "geojson"}, "no place on a map"),
        ({"vehicle_class": "tram"}, "--vehicle-class"),
        ({"at": "noon"}, "--at is ISO 8601"),
        ({"vehicle_class": "bus", "public": True}, "over all vehicle classes"),
    ],
)
def test_a_wrong_request_says_what_is_right(
    lake: Lake, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        written(lake, tmp_path / "x", **options)  # type: ignore[arg-type]


def test_an_unwritten_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InsufficientData, match="build it first"):
        written(Lake(tmp_path / "lake"), tmp_path / "x.parquet")


def test_only_published_proposals_are_public(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    proposals = pl.DataFrame(
        [
            {
                "proposal_id": name,
                "zone_name": "Zone",
                "zone_geojson": "{}",
                "verdict": "propose",
                "currency": "THB",
                "price_year": 2026,
                "body_json": "{}",
                "manifest_json": "{}",
                "created_at": serving_lake.FIRST_WINDOW,
            }
            for name in ("waiting", "published")
        ]
    )
    lake.table("charge_proposals").append(proposals)
    decision = {
        "proposal_id": "published",
        "decision": "published",
        "decided_by": "mayor",
        "decided_at": serving_lake.FIRST_WINDOW,
        "proposal_sha256": "0",
    }
    lake.table("charge_decisions").append(pl.DataFrame([decision]))

    written(lake, tmp_path / "p.parquet", "charge_proposals", public=True)

    assert pl.read_parquet(tmp_path / "p.parquet")["proposal_id"].to_list() == ["published"]
