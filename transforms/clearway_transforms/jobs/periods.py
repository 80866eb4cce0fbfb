"""From vehicle travel to what is kept per period, and from what is kept to reliability.

Only `build_period_travel` reads tables that are deleted with raw GPS. What the other tables say can
be computed again at any time from ``cell_travel``, ``period_travel`` and ``free_flow``, which stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl

from clearway_core.calendar import Calendar, read_calendar
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.period_tables import NEWEST
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_transforms.congestion import cells
from clearway_transforms.jobs.days import day_start, utc_days
from clearway_transforms.jobs.product import Product
from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability import periods
from clearway_transforms.reliability.anomalies import anomalies
from clearway_transforms.reliability.bottlenecks import bottlenecks
from clearway_transforms.reliability.measures import counting, reliability
from clearway_transforms.travel import allocation

_DAY = timedelta(days=1)
_WINDOW_COLUMNS = (
    "h3_cell",
    "vehicle_class",
    "window_start",
    "distance_mm",
    "duration_ms",
    "n_vehicles",
    "n_providers",
    "top_vehicle_ms",
    "distance_sq_dm2",
    "duration_sq_ds2",
    "distance_duration_dm_ds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodAccount:
    """What was found in the newest look-back, of class 'all'.

    Parameters
    ----------
    n_days
        Local days of it that have data.
    n_reliability, n_enough
        Rows of cells and periods, and those with enough evidence for percentiles.
    n_bottlenecks
        Recurring bottlenecks with enough evidence.
    n_anomalies
        Unusual windows on the local days that were built.
    """

    n_days: int = 0
    n_reliability: int = 0
    n_enough: int = 0
    n_bottlenecks: int = 0
    n_anomalies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Local days that are looked at together: a calendar month, or the newest look-back."""

    name: str
    first: date
    last: date


def local_days(product: Product, days: Iterable[date]) -> list[date]:
    """Return the local days that windows of these UTC days fall on."""
    zone = read_calendar(product.city).time_zone
    midnights = [day_start(day) for day in days]
    ends = [start + _DAY - timedelta(minutes=allocation.BASE_WINDOW_MINUTES) for start in midnights]
    return sorted({instant.astimezone(zone).date() for instant in (*midnights, *ends)})


def build_period_travel(lake: Lake, product: Product, days: Sequence[date]) -> list[date]:
    """Write ``period_travel`` of the local days that these UTC days touch; return those days.

    Parameters
    ----------
    lake
        Holds ``vehicle_travel``.
    product
        Resolution and clock; the length of its windows does not matter.
    days
        UTC days whose vehicle travel was written.

    Notes
    -----
    A local day of which a part is gone from ``vehicle_travel``, deleted with raw GPS, but was there
    when it was built, stays as it is.
    """
    calendar = read_calendar(product.city)
    held = set(held_days(lake, product.resolution))
    there = product.base.held_days(lake, "vehicle_travel")
    gone = _days_once_read(lake) - {*there, *days}
    built, travelled = [], dict[date, pl.DataFrame]()
    for day in local_days(product, days):
        dates = utc_days(day, calendar.time_zone)
        if day in held and gone.intersection(dates):
            continue
        # Two local days share a UTC day: it is read once.
        travelled = {
            each: travelled[each] if each in travelled else _with_queues(lake, product, each)
            for each in dates
        }
        rows = _period_rows(pl.concat(travelled.values()).lazy(), product, calendar, day=day)
        if day in held or not rows.is_empty():
            _put(lake, "period_travel", rows, product=product, local_date=day)
            built.append(day)
    return built


def build_reliability(
    lake: Lake, product: Product, days: Sequence[date], progress: Progress = silent
) -> PeriodAccount:
    """Write reliability, bottlenecks and anomalies that these local days have a part in.

    Those of the whole look-back are written too, because every new day changes its free flow: the
    rows are those that one build of all days gives.

    Parameters
    ----------
    lake
        Holds ``cell_travel``, ``period_travel`` and ``free_flow``.
    product
        Resolution and clock. Windows other than 15 minutes have no reliability: the measures are
        defined on the travel times of 15 minutes.
    days
        Local days whose rows were written.
    progress
        Told after each span and month.

    Returns
    -------
    PeriodAccount
        Of the newest look-back.
    """
    held = held_days(lake, product.resolution)
    if product.window_minutes != allocation.BASE_WINDOW_MINUTES or not held or not days:
        return PeriodAccount()
    back = timedelta(days=reliability_parameters().look_back_days)
    newest = Span(name=NEWEST, first=held[-1] - back + _DAY, last=held[-1])
    recent = {day for day in held if day >= newest.first}
    after = {day for day in held if any(each <= day <= each + back for each in days)}
    months, unusual = _months({*days, *recent}), sorted({*after, *recent})
    parts = len(months) + len(_months(unusual))
    account = _build_span(lake, product, newest)
    for number, month in enumerate(months):
        _build_span(lake, product, month)
        progress(number + 1, parts, f"{month.name} reliability")
    n_anomalies = 0
    for number, month in enumerate(_months(unusual)):
        within = [day for day in unusual if month.first <= day <= month.last]
        n_anomalies += _build_anomalies(lake, product, within, counted=set(days))
        progress(len(months) + number + 1, parts, f"{month.name} anomalies")
    return replace(account, n_anomalies=n_anomalies)


def held_days(lake: Lake, resolution: int) -> list[date]:
    """Return the local days for which ``period_travel`` has rows of a resolution, in order."""
    held = lake.table("period_travel").partition_values()
    return held.filter(pl.col("resolution") == resolution)["local_date"].sort().to_list()


def nights(lake: Lake, resolution: int) -> pl.LazyFrame:
    """Return the nights of the last six months, for free flow: rows of ``period_travel``."""
    held = held_days(lake, resolution)
    if not held:
        return _scan_periods(lake, resolution, date.min, date.min)
    back = timedelta(days=reliability_parameters().night_look_back_days - 1)
    rows = _scan_periods(lake, resolution, held[-1] - back, held[-1])
    return rows.filter(pl.col("period") == "overnight")


def _with_queues(lake: Lake, product: Product, utc_day: date) -> pl.DataFrame:
    base = product.base.scan(lake, "vehicle_travel", [utc_day])
    return cells.count_queues(base, congestion_parameters()).collect()


def _period_rows(
    vehicle_travel: pl.LazyFrame, product: Product, calendar: Calendar, *, day: date
) -> pl.DataFrame:
    found = periods.period_travel(
        vehicle_travel,
        periods.days_frame(calendar, day, day),
        reliability_parameters(),
        resolution=product.resolution,
        time_zone=product.time_zone,
        apart=congestion_parameters().classes_apart,
    )
    return _finished(found, "period_travel", product).collect()


def _build_span(lake: Lake, product: Product, span: Span) -> PeriodAccount:
    """Write the rows of a span and return the counts of class 'all'."""
    rows = _scan_periods(lake, product.resolution, span.first, span.last).collect()
    days = periods.stored_days(rows.lazy())
    windows = _windows(lake, product, days).collect()
    free = product.scan(lake, "free_flow").collect()
    parameters, speed_parameters = reliability_parameters(), congestion_parameters()
    grouped = rows.lazy().with_columns(day_group=periods.group_of())
    measured = reliability(
        windows.lazy(),
        grouped,
        free.lazy(),
        parameters=parameters,
        speed_parameters=speed_parameters,
    )
    recurring = bottlenecks(
        windows.lazy(), free.lazy(), parameters=parameters, speed_parameters=speed_parameters
    )
    found = {}
    for name, each in (("reliability", measured), ("bottlenecks", recurring)):
        found[name] = _finished(each, name, product, span=span).collect()
        _put(lake, name, found[name], product=product, span=span.name)
    of_all = {
        name: each.filter(pl.col("vehicle_class") == cells.ALL_CLASSES)
        for name, each in found.items()
    }
    enough = {name: each.filter(pl.col("evidence") == "enough") for name, each in of_all.items()}
    return PeriodAccount(
        n_days=rows["local_date"].n_unique(),
        n_reliability=of_all["reliability"].height,
        n_enough=enough["reliability"].height,
        n_bottlenecks=enough["bottlenecks"].height,
    )


def _build_anomalies(
    lake: Lake, product: Product, days: Sequence[date], *, counted: set[date]
) -> int:
    """Write the anomalies of local days; return how many of class 'all' some of the days have."""
    parameters = reliability_parameters()
    back = timedelta(days=parameters.look_back_days)
    held = _scan_periods(lake, product.resolution, days[0] - back, days[-1])
    windows = _windows(lake, product, periods.stored_days(held).collect().lazy()).collect().lazy()
    free = product.scan(lake, "free_flow").collect().lazy()
    n_found = 0
    for day in days:
        date_of = pl.col("local_date")
        found = anomalies(
            windows.filter(date_of == day),
            windows.filter(date_of.is_between(day - back, day - _DAY)),
            free,
            parameters=parameters,
            speed_parameters=congestion_parameters(),
        )
        rows = _finished(found, "anomalies", product).collect()
        _put(lake, "anomalies", rows, product=product, local_date=day)
        if day in counted:
            n_found += rows.filter(pl.col("vehicle_class") == cells.ALL_CLASSES).height
    return n_found


def _windows(lake: Lake, product: Product, days: pl.LazyFrame) -> pl.LazyFrame:
    """Return the windows that count on these local days, with their place in the calendar."""
    parameters = reliability_parameters()
    held = days.select("local_date").collect()["local_date"].to_list()
    zone = read_calendar(product.city).time_zone
    utc = sorted({each for day in held for each in utc_days(day, zone)})
    scanned = product.scan(lake, "cell_travel", utc).select(_WINDOW_COLUMNS)
    return periods.with_period(
        counting(scanned, parameters), days, parameters, time_zone=product.time_zone
    )


def _scan_periods(lake: Lake, resolution: int, first: date, last: date) -> pl.LazyFrame:
    conditions = [
        ("resolution", "=", resolution),
        ("local_date", ">=", first),
        ("local_date", "<=", last),
    ]
    return lake.table("period_travel").scan(conditions)


def _days_once_read(lake: Lake) -> set[date]:
    """Return the UTC days whose fixes were ever read; the counts of cleaning stay."""
    days = lake.table("cleaning_counts").scan().select(pl.col("observed_date").unique())
    return set(days.collect()["observed_date"])


def _months(days: Iterable[date]) -> list[Span]:
    firsts = sorted({day.replace(day=1) for day in days})
    return [
        Span(name=f"{first:%Y-%m}", first=first, last=(first + 31 * _DAY).replace(day=1) - _DAY)
        for first in firsts
    ]


def _put(lake: Lake, table: str, rows: pl.DataFrame, *, product: Product, **part: object) -> None:
    """Put the rows in the place of one part of this resolution."""
    where = {name: [value] for name, value in part.items()}
    lake.table(table).replace(rows, {"resolution": [product.resolution], **where})


def _finished(
    rows: pl.LazyFrame, table: str, product: Product, *, span: Span | None = None
) -> pl.LazyFrame:
    """Return the rows with every column of a table, in the order of its key."""
    contract = LAKE_CONTRACTS[table]
    known = {
        "resolution": pl.lit(product.resolution, dtype=pl.Int32),
        "time_zone": pl.lit(product.time_zone),
    }
    if span is not None:
        known |= {
            "span": pl.lit(span.name),
            "span_first_date": pl.lit(span.first),
            "span_last_date": pl.lit(span.last),
        }
    return rows.with_columns(**known).select(contract.columns).sort(contract.key)
