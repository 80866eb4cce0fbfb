"""What of the lake may leave the house, and the day on which that is settled."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from clearway_core.city import City
from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.field import Contract
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_transforms.congestion import cells, indices
from clearway_transforms.congestion import speed as speeds
from clearway_transforms.jobs.cells import free_flow_rows, rolled_travel
from clearway_transforms.jobs.days import local_span, utc_days
from clearway_transforms.jobs.product import BASE, Product
from clearway_transforms.parameters import congestion_parameters, release_parameters
from clearway_transforms.release import gate, ladder, public_values

LADDER_TABLES = ("congestion", "cell_speed", "cell_emissions")
"""Tables of cells and windows whose rows are public as far as the ladder allows."""

COMPUTABLE = ("congestion", "cell_speed")
"""Of those, the ones that this stage can compute where they were not built."""

_KEY = ["resolution", "window_minutes", "h3_cell", "window_start"]

_EVIDENCE = ("evidence_start", "window_start")
"""Columns that say when the vehicles behind a row drove; the first that a table has."""

_OBSERVED = (
    "space_mean_kmh",
    "interval_low_kmh",
    "interval_high_kmh",
    "n_vehicles",
    "n_providers",
    "n_pings",
    "n_legs",
    "quality",
    "source_class",
    # Null in what is public: they carry the evidence of cells that are not.
    *speeds.BLENDED,
)
"""Columns that are computed anew from the sums that were released."""


def settle_release(
    lake: Lake, *, city: City | None = None, clock: Clock | None = None
) -> tuple[date, ...]:
    """Settle what is public of each local day that is closed and not settled yet.

    A day is settled once. What arrives later changes the internal tables, never the public rows:
    the difference of two versions would show who came late.

    Parameters
    ----------
    lake
        Holds ``vehicle_travel`` of resolution 9 by 15 minutes; gets ``released_travel``.
    city
        Its clock says when days begin (else UTC).
    clock
        For which days are closed.

    Returns
    -------
    tuple
        The local days that were settled now.
    """
    zone = ZoneInfo("UTC") if city is None else city.time_zone
    now = (clock or SystemClock()).now()
    days = _open_days(lake, zone, now)
    if not days:
        return ()
    rule = rule_of(lake)
    settled = pl.concat(_settled(lake, day, zone, rule) for day in days)
    if not settled.is_empty():
        lake.table("released_travel").append(settled)
    return tuple(days)


def rule_of(lake: Lake) -> gate.ReleaseRule:
    """Return the rule for open data, by how many providers the data have ever held.

    From the counts, which stay when raw GPS and vehicle travel are deleted.
    """
    providers = lake.table("cleaning_counts").scan().filter(pl.col("subject") == "provider")
    n_providers = providers.select(pl.col("name").n_unique()).collect().item()
    return gate.public_rule(n_providers=n_providers)


def gated(contract: Contract) -> bool:
    """Return whether rows of a table rest on vehicles, so that they have to pass the gate."""
    return "n_vehicles" in contract.columns


def released(  # noqa: PLR0913 -- which rows, and for whom
    lake: Lake,
    table: str,
    *,
    resolution: int | None = None,
    window_minutes: int | None = None,
    version: int | None = None,
    city: City | None = None,
    live: bool = False,
) -> pl.LazyFrame:
    """Return the rows that may leave the house; those that did not pass the gate are absent.

    Parameters
    ----------
    lake
        The lake.
    table
        A published table that rests on vehicles.
    resolution, window_minutes
        For ``congestion``, ``cell_speed`` and ``cell_emissions``: one product of
        `clearway_transforms.release.gate.LADDER`. The first two are computed from
        ``vehicle_travel`` where this was never built, unless a version is asked for. Of other
        tables, None is all. [1], [min]
    version
        Delta version of the table, such as the newest that passed its quality gate; None is the
        newest. Rows that it does not hold are absent.
    city
        Its clock says when it is night, where free flow is computed.
    live
        Also rows of days that are not settled yet, each as far as it passes by itself: for screens
        of the agency, not for the open web, where whoever keeps copies could subtract them.

    Returns
    -------
    polars.LazyFrame
        Rows of the table, of class 'all' where it has classes, in the order of its key. Counts are
        rounded down. Speeds and counts of the three tables are those of the day of release.

    Raises
    ------
    UsageError
        If the table does not pass through this gate, or the product is not public.
    InsufficientData
        If there are no such rows to begin with.
    """
    contract = LAKE_CONTRACTS.get(table)
    if contract is None or not gated(contract) or not (contract.published or table in COMPUTABLE):
        names = ", ".join(sorted(n for n, c in LAKE_CONTRACTS.items() if gated(c) and c.published))
        message = f"the release gate knows cell_speed, {names}, got {table!r}"
        raise UsageError(message)
    if table in LADDER_TABLES:
        product = _public_product(resolution, window_minutes, city)
        rows = _of_ladder(lake, table, product, version=version)
        if live:
            rows = pl.concat([rows, _of_open_days(lake, table, product, version=version)])
    else:
        rows = _by_own_counts(lake, table, version=version, live=live)
        for name, value in (("resolution", resolution), ("window_minutes", window_minutes)):
            if value is not None and name in contract.columns:
                rows = rows.filter(pl.col(name) == value)
    return public_values.coarse(rows).sort(contract.key)


def _public_product(
    resolution: int | None, window_minutes: int | None, city: City | None
) -> Product:
    if resolution is None or window_minutes is None:
        message = "resolution and window_minutes are needed, neither may be None"
        raise UsageError(message)
    product = Product(resolution=resolution, window_minutes=window_minutes, city=city)
    if (resolution, window_minutes) not in gate.LADDER:
        public = ", ".join(f"{r} x {w} min" for r, w in gate.LADDER)
        message = (
            f"public are {public}; {resolution} x {window_minutes} min is not: products that "
            "cross can be subtracted from each other"
        )
        raise UsageError(message)
    return product


def _of_ladder(lake: Lake, table: str, product: Product, *, version: int | None) -> pl.LazyFrame:
    settled = product.scan(lake, "released_travel")
    speed = product.finished(speeds.cell_speed(settled, congestion_parameters()), "cell_speed")
    rows = product.scan(lake, table, version=version)
    if rows.head(1).collect().is_empty():
        rows = _computed(lake, product, table, version=version)
    return _as_released(table, rows, speed)


def _of_open_days(lake: Lake, table: str, product: Product, *, version: int | None) -> pl.LazyFrame:
    """Return the rows of days that are not settled, as far as they pass by themselves."""
    rule = rule_of(lake)
    passing = gate.release(product.scan(lake, "cell_travel"), rule).select(_KEY)
    rows = product.scan(lake, table, version=version).filter(~_settled_by("window_start", lake))
    if "vehicle_class" in LAKE_CONTRACTS[table].columns:
        rows = rows.filter(pl.col("vehicle_class") == cells.ALL_CLASSES)
    return rows.join(passing, on=_KEY, how="semi")


def _by_own_counts(lake: Lake, table: str, *, version: int | None, live: bool) -> pl.LazyFrame:
    """Return the rows that pass by the counts that they carry themselves.

    Unless live, rows of a window wait until the day of their evidence is settled. A row of one cell
    and quarter of an hour is the same cell-window as in ``congestion``, so it is public only where
    that is.
    """
    rule = rule_of(lake)
    rows = gate.release(lake.table(table).scan(version=version), rule)
    evidence = next((name for name in _EVIDENCE if name in LAKE_CONTRACTS[table].columns), None)
    if live or evidence is None:
        return rows
    if table == "anomalies":
        base = BASE.scan(lake, "released_travel")
        return rows.join(base, on=["resolution", "h3_cell", "window_start"], how="semi")
    return rows.filter(_settled_by(evidence, lake))


def _settled_by(column: str, lake: Lake) -> pl.Expr:
    """Return whether an instant lies on a settled day."""
    spans = (
        pl.col(column).is_between(start, end, closed="left") for start, end in settled_spans(lake)
    )
    return pl.any_horizontal(pl.lit(value=False), *spans)


def _as_released(table: str, rows: pl.LazyFrame, speed: pl.LazyFrame) -> pl.LazyFrame:
    """Return the public rows of a table, with the speeds and counts that were released."""
    columns = list(LAKE_CONTRACTS[table].columns)
    if table == "cell_emissions":
        # Emissions follow from the speed; one whose speed has changed since is not public.
        return rows.join(
            speed.select(*_KEY, "space_mean_kmh"), on=[*_KEY, "space_mean_kmh"], how="semi"
        )
    rows = rows.filter(pl.col("vehicle_class") == cells.ALL_CLASSES)
    joined = rows.drop(_OBSERVED).join(speed.select(*_KEY, *_OBSERVED), on=_KEY, validate="1:1")
    if table == "cell_speed":
        return joined.select(columns)
    return joined.with_columns(**indices.speed_indices()).select(columns)


def _open_days(lake: Lake, zone: ZoneInfo, now: datetime) -> list[date]:
    """Return the local days that are closed, built in full and not settled yet, by any clock."""
    closed = now - timedelta(hours=release_parameters().closed_hours)
    built = set(BASE.held_days(lake, "vehicle_travel"))
    raw = set(lake.table("gps_pings").partition_values()["observed_date"].to_list())
    taken = settled_spans(lake)
    days = []
    for day in sorted({day + timedelta(days=on) for day in built for on in (-1, 0, 1)}):
        start, end = local_span(day, zone)
        dates = set(utc_days(day, zone))
        whole = dates & built and not (dates & raw) - built
        if whole and end <= closed and not any(a < end and start < b for a, b in taken):
            days.append(day)
    return days


def settled_spans(lake: Lake) -> list[tuple[datetime, datetime]]:
    """Return when each settled local day begins and ends."""
    days = (
        lake.table("released_travel").scan().select("release_date", "time_zone").unique().collect()
    )
    return sorted(local_span(day, ZoneInfo(name)) for day, name in days.iter_rows())


def _settled(lake: Lake, day: date, zone: ZoneInfo, rule: gate.ReleaseRule) -> pl.DataFrame:
    """Return the rows of ``released_travel`` of one local day."""
    start, end = local_span(day, zone)
    parameters = congestion_parameters()
    base = BASE.scan(lake, "vehicle_travel", utc_days(day, zone))
    of_day = cells.count_queues(base, parameters).filter(
        pl.col("window_start").is_between(start, end, closed="left")
    )
    travel = ladder.of_all_classes(of_day, parameters.classes_apart).collect()
    sums = ladder.public_travel(travel, rule, time_zone=zone.key)
    columns = list(LAKE_CONTRACTS["released_travel"].columns)
    parts = [
        Product(resolution=each[0], window_minutes=each[1])
        .finished(rows.lazy(), "cell_travel")
        .with_columns(release_date=pl.lit(day), time_zone=pl.lit(zone.key))
        .collect()
        .select(columns)
        for each, rows in sums.items()
    ]
    return pl.concat(parts)


def _computed(lake: Lake, product: Product, table: str, *, version: int | None) -> pl.LazyFrame:
    """Return the rows of a product that was never built."""
    parameters = congestion_parameters()
    travelled = not product.base.scan(lake, "vehicle_travel").head(1).collect().is_empty()
    if version is not None or table not in COMPUTABLE or not travelled:
        at = "" if version is None else f" at version {version}"
        message = (
            f"{table}{at} holds no rows of resolution {product.resolution} and "
            f"{product.window_minutes} minutes: run `clearway build congestion --resolution "
            f"{product.resolution} --window …`, then `clearway quality check {table}`"
        )
        raise InsufficientData(message)
    rolled = rolled_travel(lake, product, parameters)
    sums = product.finished(cells.cell_travel(rolled), "cell_travel").collect().lazy()
    speed = product.finished(speeds.cell_speed(sums, parameters), "cell_speed").collect()
    if table == "cell_speed":
        return speed.lazy()
    newest = speed["window_date"].max()
    back = pl.lit(newest) - pl.duration(days=parameters.look_back_days)
    reference = free_flow_rows(
        sums.filter(pl.col("window_date") > back), product, parameters
    ).collect()
    return product.finished(indices.congestion(speed.lazy(), reference.lazy()), table)
