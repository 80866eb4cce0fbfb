"""From vehicle travel to the tables of cells, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from clearway_core.lake import Lake
from clearway_core.progress import Progress
from clearway_transforms.blending import blend
from clearway_transforms.congestion import cells, indices
from clearway_transforms.congestion import speed as speeds
from clearway_transforms.congestion.free_flow import free_flow
from clearway_transforms.jobs.periods import nights
from clearway_transforms.jobs.product import Product
from clearway_transforms.parameters import (
    CongestionParameters,
    blend_parameters,
    congestion_parameters,
)


def build_cells(lake: Lake, product: Product, *, days: Sequence[date], progress: Progress) -> None:
    """Write the tables of cells day by day, so that memory does not grow with the days.

    Days that borrow from a rebuilt one are blended again, and congestion of the whole look-back is
    told again where free flow has changed: the rows are those that one build of all days gives.
    """
    parameters = congestion_parameters()
    days = sorted(days)
    for number, day in enumerate(days):
        rolled = rolled_travel(lake, product, parameters, [day])
        product.replace(lake, "cell_travel", cells.cell_travel(rolled), [day])
        progress(number + 1, 2 * len(days), f"{day} travel")
    held = product.held_days(lake, "cell_travel")
    touched = sorted({*days, *_borrowers(held, days)})
    for day in touched:
        product.replace(lake, "cell_speed", _speed_of(lake, product, day), [day])
    recent = _look_back(lake, product, parameters)
    look_back = product.scan(lake, "cell_travel", recent)
    overnight = nights(lake, product.resolution)
    reference = free_flow_rows(look_back, product, parameters, nights=overnight).collect()
    if _put_reference(lake, product, reference):
        touched = sorted({*touched, *recent})
    for number, day in enumerate(touched):
        speed = product.scan(lake, "cell_speed", [day])
        congested = indices.congestion(speed, reference.lazy())
        product.replace(lake, "congestion", congested, [day])
        done = len(days) + (number + 1) * len(days) // len(touched)
        progress(done, 2 * len(days), f"{day} congestion")


def _borrowers(held: Sequence[date], days: Sequence[date]) -> set[date]:
    """Return the days whose blended speeds rest on any of these days."""
    blending = blend_parameters()
    return {day for day in held if not set(days).isdisjoint(blend.days_needed(day, blending))}


def _put_reference(lake: Lake, product: Product, reference: pl.DataFrame) -> bool:
    """Write ``free_flow`` of a product, and return whether it says anything new."""
    table, shape = lake.table("free_flow"), (product.resolution, product.window_minutes)
    held = table.scan([("resolution", "=", shape[0]), ("window_minutes", "=", shape[1])])
    if held.sort(table.contract.key).collect().equals(reference):
        return False
    table.replace(reference, {"resolution": [shape[0]], "window_minutes": [shape[1]]})
    return True


def _speed_of(lake: Lake, product: Product, day: date) -> pl.LazyFrame:
    """Return the rows of ``cell_speed`` of a day, blended from it and days before it."""
    blending = blend_parameters()
    known = product.scan(lake, "cell_travel", blend.days_needed(day, blending)).collect()
    blended = blend.blend(
        known,
        blending,
        congestion_parameters(),
        day=day,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )
    sums = known.lazy().filter(pl.col("window_date") == day)
    speed = speeds.cell_speed(sums, congestion_parameters()).drop(speeds.BLENDED)
    return speed.join(
        blended.lazy(),
        on=["h3_cell", "window_start", "vehicle_class"],
        how="left",
        validate="1:1",
    )


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
    base = product.base.scan(lake, "vehicle_travel", None if reach is None else sorted(reach))
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
    cell_travel: pl.LazyFrame,
    product: Product,
    parameters: CongestionParameters,
    *,
    nights: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """Return the rows of ``free_flow`` that these windows, and whole nights of before, give."""
    found = free_flow(
        cell_travel,
        parameters,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        time_zone=product.time_zone,
        nights=nights,
    )
    return product.finished(found, "free_flow")


def _look_back(lake: Lake, product: Product, parameters: CongestionParameters) -> list[date]:
    """Return the days up to the newest of the product, whichever days were built just now."""
    held = product.held_days(lake, "cell_travel")
    return [day for day in held if (held[-1] - day).days < parameters.look_back_days]
