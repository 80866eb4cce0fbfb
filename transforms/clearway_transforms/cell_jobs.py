"""From vehicle travel to the tables of cells, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from clearway_core.lake import Lake
from clearway_core.progress import Progress
from clearway_transforms import cells, tables
from clearway_transforms import congestion as indices
from clearway_transforms import speed as speeds
from clearway_transforms.parameters import CongestionParameters, congestion_parameters
from clearway_transforms.product import Product, finished, replace


def build_cells(lake: Lake, product: Product, *, days: Sequence[date], progress: Progress) -> None:
    """Write the tables of cells day by day, so that memory does not grow with the days."""
    parameters = congestion_parameters()
    for number, day in enumerate(days):
        rolled = rolled_travel(lake, product, parameters, [day])
        sums = finished(cells.cell_travel(rolled), "cell_travel", product).collect()
        replace(lake, "cell_travel", sums.lazy(), product=product, days=[day])
        speed = speeds.cell_speed(sums.lazy(), parameters)
        replace(lake, "cell_speed", speed, product=product, days=[day])
        progress(number + 1, 2 * len(days), f"{day} speed")
    recent = _look_back(lake, product, parameters)
    look_back = product.scan(lake, "cell_travel", recent)
    reference = free_flow_rows(look_back, product, parameters).collect()
    if _put_reference(lake, product, reference):
        days = sorted({*days, *recent})
    for number, day in enumerate(days):
        speed = product.scan(lake, "cell_speed", [day])
        congested = indices.congestion(speed, reference.lazy())
        replace(lake, "congestion", congested, product=product, days=[day])
        progress(len(days) + number + 1, 2 * len(days), f"{day} congestion")


def _put_reference(lake: Lake, product: Product, reference: pl.DataFrame) -> bool:
    """Write ``free_flow`` of a product, and return whether it says anything new."""
    table, shape = lake.table("free_flow"), (product.resolution, product.window_minutes)
    held = table.scan([("resolution", "=", shape[0]), ("window_minutes", "=", shape[1])])
    if held.sort(table.contract.key).collect().equals(reference):
        return False
    table.replace(reference, {"resolution": [shape[0]], "window_minutes": [shape[1]]})
    return True


def rolled_travel(
    lake: Lake,
    product: Product,
    parameters: CongestionParameters,
    days: Sequence[date] | None = None,
) -> pl.LazyFrame:
    """Return vehicle travel rolled up to a product, of the windows that begin on these UTC dates.

    Parameters
    ----------
    lake
        The lake.
    product
        Cells, windows and clock.
    parameters
        Thresholds.
    days
        UTC dates; None is all.
    """
    reach = None if days is None else {day + timedelta(days=on) for day in days for on in (0, 1)}
    base = product.scan_vehicles(lake, None if reach is None else sorted(reach))
    rolled = cells.roll_up(
        cells.count_queues(base, parameters),
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        time_zone=product.time_zone,
    )
    if days is not None:
        rolled = rolled.filter(pl.col("window_start").dt.date().is_in(list(days)))
    return cells.with_all_classes(rolled, parameters.classes_apart)


def free_flow_rows(
    cell_travel: pl.LazyFrame, product: Product, parameters: CongestionParameters
) -> pl.LazyFrame:
    """Return the rows of ``free_flow`` that these windows give."""
    found = indices.free_flow(
        cell_travel,
        parameters,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        time_zone=product.time_zone,
    ).with_columns(pl.col("look_back_end") + pl.duration(minutes=product.window_minutes))
    return finished(found, "free_flow", product)


def _look_back(lake: Lake, product: Product, parameters: CongestionParameters) -> list[date]:
    """Return the days up to the newest of the product, whichever days were built just now."""
    held = tables.window_days(
        lake.table("cell_travel"),
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )
    if not held:
        return []
    return [day for day in held if (held[-1] - day).days < parameters.look_back_days]
