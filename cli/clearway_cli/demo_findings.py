"""What the demo found, read from the lake, and how it is told in eleven lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast

import polars as pl

from clearway_cli.demo import DemoRun
from clearway_core.city import City
from clearway_core.lake import Lake

RESOLUTION, WINDOW_MINUTES = 9, 15
_WORST_SHOWN = 3
_MISSING_SHOWN = 2

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
    from clearway_ingest.book_statements import Ledger

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
    from clearway_quality.jobs import passed_version
    from clearway_transforms.jobs import released

    version = passed_version(lake, "congestion")
    key = ["resolution", "window_minutes", "h3_cell", "window_start", "vehicle_class"]
    own = (
        pl.col("resolution").eq(RESOLUTION)
        & pl.col("window_minutes").eq(WINDOW_MINUTES)
        & pl.col("vehicle_class").eq("all")
    )
    sums = lake.table("cell_travel").scan().filter(own).select(*key, "distance_mm", "duration_ms")
    every = (
        lake.table("congestion")
        .scan(version=version)
        .filter(own)
        .join(sums, on=key, validate="1:1")
    )
    rows = _with_times(every).collect()
    public = released(
        lake, "congestion", resolution=RESOLUTION, window_minutes=WINDOW_MINUTES, version=version
    ).select(key)
    shown = rows.join(public.collect(), on=key, how="semi")
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
    names = [places.name(cell, RESOLUTION) for cell in rows["h3_cell"].to_list()]
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


def lines(findings: Findings) -> list[str]:
    """Return the eleven lines that a person reads."""
    return [
        _books_line(findings.books),
        *_traffic_lines(findings),
        _corridor_line(findings),
        _air_line(findings),
        *_proposal_lines(findings.proposal),
        f"Quality gate: {_gate_text(findings.failed_checks)}",
        "Made up:      every number comes from a simulation (sim/README.md)",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    total = f"{sum(counts.values()):,}"
    several = len(counts) > 1
    named = ", ".join(f"{name} {n:,}" if several else name for name, n in counts.items())
    return f"{total} ({named})" if named else total


def _books_line(books: Books) -> str:
    closed = "books close" if books.closed else "SOME ARE LOST"
    return (
        f"Records:      {books.read:,} read = {books.stored:,} stored + "
        f"{_counts(books.quarantined)} set aside + {_counts(books.dropped)} dropped: {closed}"
    )


def _clock(instant: datetime, zone: str) -> str:
    from zoneinfo import ZoneInfo

    return instant.astimezone(ZoneInfo(zone)).strftime("%H:%M")


def _traffic_lines(findings: Findings) -> list[str]:
    t, zone = findings.traffic, findings.time_zone
    longer = t.free_flow_kmh / t.peak_kmh
    worst = ", ".join(f"{area} {kmh:.1f} ({free:.1f})" for area, kmh, free in t.worst)
    return [
        (
            f"Map:          {t.n_cells} cells; {t.n_released:,} of {t.n_values:,} values of 15 "
            "minutes are public (10 vehicles or more)"
        ),
        (
            f"City speed:   {t.quiet_kmh:.1f} km/h at {_clock(t.quiet_at, zone)}, {t.peak_kmh:.1f} "
            f"at {_clock(t.peak_at, zone)}, {t.free_flow_kmh:.1f} on empty streets: trips "
            f"{longer:.2f} times as long"
        ),
        f"Worst areas:  {worst} km/h (if empty)",
    ]


def _corridor_line(findings: Findings) -> str:
    slowest = findings.slowest
    if slowest is None:
        return "Slowest road: no corridor was driven by enough vehicles"
    return (
        f"Slowest road: {slowest.name} {slowest.direction} from "
        f"{_clock(slowest.hour_start, findings.time_zone)}: {slowest.travel_time_min:.1f} minutes "
        f"({slowest.interval_low_min:.1f} to {slowest.interval_high_min:.1f}), "
        f"{slowest.free_flow_min:.1f} if empty"
    )


def _air_line(findings: Findings) -> str:
    air = findings.air
    if air is None:
        return "Air:          no complete hour of PM2.5"
    return (
        f"Air:          PM2.5 from {_clock(air.hour_start, findings.time_zone)}: "
        f"{air.mean_ugm3:g} µg/m³ at {air.n_sensors} sensors, highest {air.highest_ugm3:g} at "
        f"{air.highest_sensor}; {air.n_rejected} refused"
    )


def _proposal_lines(body: Record) -> list[str]:
    missing = [cast("dict[str, Any]", item) for item in cast("list[object]", body["missing"])]
    names = [
        f"{str(item['what']).replace('_', ' ')} ({item['found']}; needed: {item['required']})"
        for item in missing
        if item["effect"] == "hold"
    ]
    shown = ", ".join(names[:_MISSING_SHOWN])
    rest = len(missing) - len(names[:_MISSING_SHOWN])
    more = f"; {rest} more" if rest > 0 else ""
    return [
        f"Proposal:     {body['verdict_text']}; {_price_text(body)}",
        f"Predicted:    {_effect_text(body)}",
        f"Missing:      {shown or 'nothing that stops a price'}{more}",
    ]


def _price_text(body: Record) -> str:
    """Return the highest car price, the one that most people ask about."""
    prices = [cast("dict[str, Any]", row) for row in cast("list[object]", body["prices"])]
    cars = [p for p in prices if p["charge_class"] == "car" and p["price_minor_per_km"]]
    if not cars:
        return "no price is stated"
    top = max(cars, key=lambda price: int(price["price_minor_per_km"]))
    amount = int(top["price_minor_per_km"]) / 10 ** int(str(body["minor_digits"] or 0))
    label = next(
        (
            str(period["label"])
            for period in (cast("dict[str, Any]", p) for p in cast("list[object]", body["periods"]))
            if period["period"] == top["period"]
        ),
        str(top["period"]),
    )
    indicative = "indicative, " if body.get("indicative") else ""
    return f"cars {amount:.2f} {body['currency']}/km ({indicative}{label.lower()})"


def _effect_text(body: Record) -> str:
    predicted = cast("dict[str, Any]", body["predicted"])
    overall = predicted.get("overall")
    if not overall:
        return str(predicted.get("by_period_missing") or "nothing, no period is priced")
    parts = [
        f"{label} {effect['median']:+g} % ({effect['low']:+g} to {effect['high']:+g})"
        for label, effect in (
            ("traffic", overall["traffic_change_pct"]),
            ("NOx", overall["nox_change_pct"]),
        )
    ]
    return ", ".join(parts) + " when charged; 90 % intervals"


def _gate_text(failed: Sequence[str]) -> str:
    return f"{', '.join(failed)} did NOT pass" if failed else "all published tables passed"
