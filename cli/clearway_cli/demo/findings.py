"""What the demo found, read from the lake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import cast

import polars as pl

from clearway_cli.demo.chain import DemoRun
from clearway_core.city import City
from clearway_core.lake import Lake

_RESOLUTION, _WINDOW_MINUTES = 9, 15
_WORST_SHOWN = 3

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Every record that was read, and where it is; `read` = the other three together."""

    read: int
    stored: int
    quarantined: Mapping[str, int]
    dropped: Mapping[str, int]
    unclosed_pages: int

    @property
    def closed(self) -> bool:
        """Whether nothing is unaccounted for, by the replay's word and by the gateways' books."""
        placed = self.stored + sum(self.quarantined.values()) + sum(self.dropped.values())
        return self.read == placed and self.unclosed_pages == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Speeds of the city and of its worst areas in the slowest quarter of an hour."""

    n_cells: int
    n_values: int
    n_released: int
    quiet_at: datetime
    quiet_kmh: float
    peak_at: datetime
    peak_kmh: float
    free_flow_kmh: float
    worst: Sequence[tuple[str, float, float]]
    """Area, its speed and its free-flow speed. [km/h]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corridor:
    """The corridor and hour that lost most against empty streets."""

    name: str
    direction: str
    hour_start: datetime
    travel_time_min: float
    interval_low_min: float
    interval_high_min: float
    free_flow_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """Hourly PM2.5 in the newest hour."""

    hour_start: datetime
    n_sensors: int
    mean_ugm3: float
    highest_sensor: str
    highest_ugm3: float
    calibration: str
    n_rejected: int
    n_incomplete: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All of it."""

    city: str
    synthetic: bool
    log: str
    log_reason: str
    airflow: bool
    airflow_note: str
    books: Books
    traffic: Traffic
    slowest: Corridor | None
    air: Air | None
    proposal_id: str
    proposal: Record
    failed_checks: tuple[str, ...]
    time_zone: str

    def as_dict(self) -> dict[str, object]:
        """Return JSON-ready values."""
        values = cast("dict[str, object]", asdict(self))
        cast("dict[str, object]", values["books"])["closed"] = self.books.closed
        values["verdict"] = self.proposal["verdict"]
        return values


def find(lake: Lake, run: DemoRun) -> Findings:
    """Return what the lake holds after the demo."""
    proposal = (
        lake.table("charge_proposals").scan().sort("created_at").last().collect().row(0, named=True)
    )
    return Findings(
        city=run.city.name,
        synthetic=run.city.synthetic,
        log=run.log.kind,
        log_reason=run.log.reason,
        airflow=run.airflow,
        airflow_note=run.airflow_note,
        books=_books(lake, run),
        traffic=_traffic(lake, run.city),
        slowest=_slowest(lake),
        air=_air(lake),
        proposal_id=str(proposal["proposal_id"]),
        proposal=json.loads(proposal["body_json"]),
        failed_checks=run.failed_checks,
        time_zone=run.city.time_zone.key,
    )


def _books(lake: Lake, run: DemoRun) -> Books:
    from clearway_ingest.books.ledger import Ledger

    dropped: dict[str, int] = {}
    for account in run.gateways.values():
        for reason, count in account.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    quarantined = (
        lake.table("quarantine").scan().group_by("rule").len().sort("rule").collect().rows()
    )
    return Books(
        read=sum(account.read for account in run.gateways.values()),
        stored=sum(_rows(lake, table) for table in ("gps_pings", "air_readings")),
        quarantined={str(rule): int(count) for rule, count in quarantined},
        dropped=dropped,
        unclosed_pages=len(Ledger(lake.table("books")).unclosed()),
    )


def _rows(lake: Lake, table: str) -> int:
    return int(lake.table(table).scan().select(pl.len()).collect().item())


def _traffic(lake: Lake, city: City) -> Traffic:
    rows, shown = _congestion(lake)
    # As on the map: over the cells that may be shown. The first window is left out: the fleets are
    # still setting out.
    by_window = _speeds(shown, "window_start").sort("window_start").slice(1)
    peak = by_window.sort("kmh").row(0, named=True)
    before = by_window.filter(pl.col("window_start") <= peak["window_start"])
    quiet = before.sort("kmh").row(-1, named=True)
    at_peak = shown.filter(pl.col("window_start") == peak["window_start"])
    return Traffic(
        n_cells=rows["h3_cell"].n_unique(),
        n_values=rows.height,
        n_released=shown.height,
        quiet_at=quiet["window_start"],
        quiet_kmh=round(quiet["kmh"], 1),
        peak_at=peak["window_start"],
        peak_kmh=round(peak["kmh"], 1),
        free_flow_kmh=round(peak["free_kmh"], 1),
        worst=_worst(at_peak, city),
    )


def _congestion(lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return all rows of the version that passed its gate, and those of them that are released."""
    from clearway_quality.jobs import passed_version
    from clearway_transforms.jobs import released

    version = passed_version(lake, "congestion")
    key = ["resolution", "window_minutes", "h3_cell", "window_start", "vehicle_class"]
    own = (
        pl.col("resolution").eq(_RESOLUTION)
        & pl.col("window_minutes").eq(_WINDOW_MINUTES)
        & pl.col("vehicle_class").eq("all")
    )
    sums = lake.table("cell_travel").scan().filter(own).select(*key, "distance_mm", "duration_ms")
    every = lake.table("congestion").scan(version=version).filter(own)
    rows = _with_times(every.join(sums, on=key, validate="1:1")).collect()
    public = released(
        lake, "congestion", resolution=_RESOLUTION, window_minutes=_WINDOW_MINUTES, version=version
    ).select(key)
    return rows, rows.join(public.collect(), on=key, how="semi")


def _with_times(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add distance [km], time [h] and the time that it would take in free flow [h]."""
    km = pl.col("distance_mm") / 1e6
    return rows.filter(pl.col("free_flow_kmh") > 0).with_columns(
        km=km, h=pl.col("duration_ms") / 3.6e6, free_h=km / pl.col("free_flow_kmh")
    )


def _speeds(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    sums = rows.group_by(by).agg(pl.col("km", "h", "free_h").sum(), cells=pl.len())
    return sums.with_columns(
        kmh=pl.col("km") / pl.col("h"), free_kmh=pl.col("km") / pl.col("free_h")
    )


def _worst(rows: pl.DataFrame, city: City) -> list[tuple[str, float, float]]:
    from clearway_serving.places import Places

    places = Places(city)
    names = [places.name(cell, _RESOLUTION) for cell in rows["h3_cell"].to_list()]
    areas = _speeds(rows.with_columns(area=pl.Series(names, dtype=pl.String)), "area")
    ranked = areas.sort(pl.col("kmh") / pl.col("free_kmh"), "area").head(_WORST_SHOWN)
    return [
        (area, round(kmh, 1), round(free, 1))
        for area, kmh, free in ranked.select("area", "kmh", "free_kmh").iter_rows()
    ]


def _slowest(lake: Lake) -> Corridor | None:
    from clearway_transforms.jobs import released

    hours = released(lake, "corridor_times").filter(
        pl.col("period").eq("window") & pl.col("window_minutes").eq(60) & pl.col("tti").gt(1)
    )
    rows = hours.sort("tti", "corridor", "direction", descending=[True, False, False])
    for row in rows.head(1).collect().iter_rows(named=True):
        return Corridor(
            name=row["corridor"],
            direction=row["direction"],
            hour_start=row["window_start"],
            travel_time_min=round(row["travel_time_min"], 1),
            interval_low_min=round(row["interval_low_min"], 1),
            interval_high_min=round(row["interval_high_min"], 1),
            free_flow_min=round(row["free_flow_min"], 1),
        )
    return None


def _air(lake: Lake) -> Air | None:
    rows = lake.table("air_hourly").scan().filter(pollutant="pm2_5").collect()
    valued = rows.with_columns(
        ugm3=pl.coalesce("calibrated_hourly_mean", "raw_hourly_mean")
    ).filter(pl.col("complete") & pl.col("ugm3").is_not_null())
    if valued.is_empty():
        return None
    newest = valued.filter(pl.col("hour_start") == pl.col("hour_start").max()).sort("ugm3")
    highest = newest.row(-1, named=True)
    used = newest.filter(pl.col("calibration_id") != "none")["calibration_id"].unique().sort()
    return Air(
        hour_start=highest["hour_start"],
        n_sensors=newest.height,
        mean_ugm3=round(float(newest["ugm3"].sum()) / newest.height, 1),
        highest_sensor=highest["sensor"],
        highest_ugm3=round(highest["ugm3"], 1),
        calibration=", ".join(used) or "none",
        n_rejected=int(rows["n_rejected"].sum()),
        n_incomplete=int((~rows["complete"]).sum()),
    )
