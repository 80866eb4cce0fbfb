"""What of the lake may leave the house."""

from __future__ import annotations

import polars as pl

from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_transforms import cells, release, tables
from clearway_transforms import congestion as indices
from clearway_transforms import speed as speeds
from clearway_transforms.cell_jobs import free_flow_rows, rolled_travel
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.product import Product, finished

RELEASABLE = ("congestion", "cell_speed", "cell_emissions")
"""Tables of cells and windows whose rows carry the counts that the gate needs."""

COMPUTABLE = ("congestion", "cell_speed")
"""Of those, the ones that this stage can compute where they were not built."""


def released(
    lake: Lake,
    table: str,
    *,
    resolution: int,
    window_minutes: int,
    version: int | None = None,
    city: City | None = None,
) -> pl.LazyFrame:
    """Return the rows that may leave the house; those that did not pass the gate are absent.

    Parameters
    ----------
    lake
        The lake.
    table
        ``congestion``, ``cell_speed`` or ``cell_emissions``.
    resolution, window_minutes
        Of the rows. The first two tables are computed from ``vehicle_travel`` where this was never
        built, unless a version is asked for. [1], [min]
    version
        Delta version of the table, such as the newest that passed its quality gate; None is the
        newest.
    city
        Its clock says when hours, days and nights begin, where rows are computed.

    Returns
    -------
    polars.LazyFrame
        Rows of the table, of class 'all' where it has classes, in the order of its key.

    Raises
    ------
    UsageError
        If the table does not pass through this gate.
    InsufficientData
        If there are no such rows to begin with.
    """
    if table not in RELEASABLE:
        message = f"the release gate knows {', '.join(RELEASABLE)}, got {table!r}"
        raise UsageError(message)
    product = Product(resolution=resolution, window_minutes=window_minutes, city=city)
    rows = product.scan(lake, table, version=version)
    sums = product.scan(lake, "cell_travel")
    if not tables.window_days(
        lake.table("cell_travel"), resolution=resolution, window_minutes=window_minutes
    ):
        sums = _computed_sums(lake, product).lazy()
    if rows.head(1).collect().is_empty():
        rows = _computed(lake, product, table, sums=sums, version=version)
    n_providers = tables.n_providers(lake).collect().item()
    rule = release.public_rule(congestion_parameters(), n_providers=n_providers)
    return release.release(rows, rule, cell_travel=sums).sort(LAKE_CONTRACTS[table].key)


def _computed_sums(lake: Lake, product: Product) -> pl.DataFrame:
    rolled = rolled_travel(lake, product, congestion_parameters())
    return finished(cells.cell_travel(rolled), "cell_travel", product).collect()


def _computed(
    lake: Lake, product: Product, table: str, *, sums: pl.LazyFrame, version: int | None
) -> pl.LazyFrame:
    """Return the rows of a product that was never built."""
    parameters = congestion_parameters()
    travelled = not product.scan_vehicles(lake).head(1).collect().is_empty()
    if version is not None or table not in COMPUTABLE or not travelled:
        at = "" if version is None else f" at version {version}"
        message = (
            f"{table}{at} holds no rows of resolution {product.resolution} and "
            f"{product.window_minutes} minutes: run `clearway build congestion --resolution "
            f"{product.resolution} --window …`, then `clearway quality check {table}`"
        )
        raise InsufficientData(message)
    speed = finished(speeds.cell_speed(sums, parameters), "cell_speed", product).collect()
    if table == "cell_speed":
        return speed.lazy()
    newest = speed["window_date"].max()
    back = pl.lit(newest) - pl.duration(days=parameters.look_back_days)
    reference = free_flow_rows(
        sums.filter(pl.col("window_date") > back), product, parameters
    ).collect()
    return finished(indices.congestion(speed.lazy(), reference.lazy()), table, product)
