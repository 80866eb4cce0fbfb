"""What was observed in a zone, whether that is enough for a price, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from clearway_models.charge_parameters import ChargeParameters
from clearway_models.parameters import Parameter

GOOD_QUALITIES = ("A", "B")
"""Only these decide a price; C is filled in or thin, X is not usable."""

_MM_PER_KM = 1_000_000
_MS_PER_H = 3_600_000


class Consequence(StrEnum):
    """What a lack does to a proposal."""

    HOLD = "hold"
    """It must not be published."""
    LIMITS_CLAIMS = "limits_claims"
    """It may be, but something is not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that is missing.

    Parameters
    ----------
    what
        Short name.
    effect
        Whether it holds the proposal or limits what is claimed.
    found, required
        As text with units.
    consequence, remedy
        What cannot be said or done, and what would change that.
    """

    what: str
    effect: Consequence
    found: str
    required: str
    consequence: str
    remedy: str

    def record(self) -> dict[str, object]:
        """Return the lack as JSON-ready values."""
        return {
            "what": self.what,
            "effect": self.effect.value,
            "found": self.found,
            "required": self.required,
            "consequence": self.consequence,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodEvidence:
    """What was observed in one period, over the whole zone.

    Parameters
    ----------
    n_cells
        Cells with an observed window.
    n_good_cells
        Cells with enough windows of quality A or B.
    n_days
        Local days with an observed window.
    n_vehicles, n_providers
        Distinct ones, recounted; over several pseudonym epochs those of the largest, never the sum.
    vehicles_recounted
        Whether they were: without vehicle_travel, n_vehicles is the largest of any cell and window,
        which is a lower bound.
    top_vehicle_share
        Largest share of one vehicle in the time driven; null without vehicle_travel. [1]
    quality_counts
        Windows by quality class.
    basis
        ``A+B`` if there are enough of those, else ``A+B+C``: then all it gives is indicative.
    pace_h_per_km, free_pace_h_per_km
        Time over distance, and the same at free flow, over the same windows; null without any.
        [h/km]
    pace_cv
        Relative standard error between vehicles and between days, whichever is larger. [1]
    distance_km_per_day
        Driven by probes in the zone on such a day. [km/d]
    withheld
        Why nothing of this period is shown, or empty.
    """

    period: str
    n_cells: int
    n_good_cells: int
    n_days: int
    n_vehicles: int
    n_providers: int
    vehicles_recounted: bool
    top_vehicle_share: float | None
    quality_counts: Mapping[str, int]
    basis: str
    pace_h_per_km: float | None
    free_pace_h_per_km: float | None
    pace_cv: float
    distance_km_per_day: float
    withheld: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can carry a number at all."""
        return (
            not self.withheld
            and self.pace_h_per_km is not None
            and self.free_pace_h_per_km is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneEvidence:
    """What was observed in a zone.

    Parameters
    ----------
    n_cells, n_driven_cells
        Cells of the zone, and those in which any vehicle was seen.
    n_days
        Local days with an observed window.
    first_window, last_window
        Start of the first and of the last window, ISO 8601 UTC; empty without any.
    free_flow_days
        Median look-back of the free-flow speeds of its cells. [d]
    free_flow_methods
        Methods of those, with the number of cells of each.
    periods
        By period.
    """

    n_cells: int
    n_driven_cells: int
    n_days: int
    first_window: str
    last_window: str
    free_flow_days: float
    free_flow_methods: Mapping[str, int]
    periods: tuple[PeriodEvidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides a verdict.

    Parameters
    ----------
    has_city, has_currency, has_counts, has_fleet, has_population
        What the city pack gives.
    currency
        Its currency, if any.
    checked
        Whether the congestion table passed its quality gate.
    priced_periods
        Periods with a price above 0 for any class.
    uncertain_periods
        Priced periods whose delay may be nil, at 90 %.
    unverified
        Parameters that nobody has confirmed.
    converged
        Whether demand and speed found a balance in every priced period.
    """

    has_city: bool
    has_currency: bool
    has_counts: bool
    has_fleet: bool
    has_population: bool
    currency: str | None
    checked: bool
    priced_periods: Sequence[str]
    uncertain_periods: Sequence[str] = ()
    unverified: int = 0
    converged: bool = True
    extra: Sequence[Missing] = field(default=())


def usable_windows(windows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the windows that were observed and are of quality A, B or C, with sums per window.

    Adds ``time_h``, ``distance_km`` (speed times time, so that the speed of every window is kept
    whichever estimator gave it) and ``free_time_h`` (null where there is no free-flow speed).
    """
    hours = pl.col("duration_ms") / _MS_PER_H
    distance = pl.col("space_mean_kmh") * hours
    return windows.filter(
        pl.col("source_class").eq("observed")
        & pl.col("quality").ne("X")
        & pl.col("space_mean_kmh").gt(0)
        & pl.col("duration_ms").gt(0)
    ).with_columns(
        hours.alias("time_h"),
        distance.alias("distance_km"),
        pl.when(pl.col("free_flow_kmh") > 0)
        .then(distance / pl.col("free_flow_kmh"))
        .alias("free_time_h"),
        pl.col("quality").is_in(list(GOOD_QUALITIES)).alias("good"),
    )


def period_sums(windows: pl.LazyFrame) -> pl.LazyFrame:
    """Return sums over the usable windows of each period, for all and for good windows alone."""
    known = pl.col("free_time_h").is_not_null()
    good = known & pl.col("good")
    return (
        windows.group_by("period")
        .agg(
            pl.col("h3_cell").n_unique().alias("n_cells"),
            pl.col("local_date").n_unique().alias("n_days"),
            *(pl.col("quality").eq(q).sum().alias(f"n_{q}") for q in ("A", "B", "C")),
            pl.col("n_vehicles").max().alias("most_vehicles"),
            pl.col("n_providers").max().alias("most_providers"),
            pl.col("distance_km").sum().alias("distance_km_total"),
            *(
                pl.col(column).filter(condition).sum().alias(f"{column}_{name}")
                for column in ("time_h", "distance_km", "free_time_h")
                for name, condition in (("all", known), ("good", good))
            ),
        )
        .sort("period")
    )


def good_cells(windows: pl.LazyFrame, min_windows: int) -> pl.LazyFrame:
    """Return how many cells have at least so many good windows in each period."""
    return (
        windows.filter(pl.col("good"))
        .group_by("period", "h3_cell")
        .len()
        .filter(pl.col("len") >= min_windows)
        .group_by("period")
        .agg(pl.len().alias("n_good_cells"))
        .sort("period")
    )


def vehicle_counts(vehicles: pl.LazyFrame) -> pl.LazyFrame:
    """Return distinct vehicles and providers per period, and the share of the largest vehicle.

    Pseudonyms change from epoch to epoch, so that the same cab counts once per epoch: the largest
    epoch is taken, never the sum.
    """
    per_vehicle = vehicles.group_by("period", "pseudonym_epoch", "provider", "vehicle").agg(
        pl.col("duration_ms").sum()
    )
    total = pl.col("duration_ms").sum().over("period")
    return (
        per_vehicle.with_columns((pl.col("duration_ms") / total).alias("share"))
        .group_by("period", "pseudonym_epoch")
        .agg(
            pl.len().alias("n_vehicles"),
            pl.col("provider").n_unique().alias("n_providers"),
            pl.col("share").max(),
        )
        .group_by("period")
        .agg(pl.col("n_vehicles", "n_providers").max(), pl.col("share").max().alias("top_share"))
        .sort("period")
    )


def pace_variation(frame: pl.LazyFrame, clusters: Sequence[str]) -> pl.LazyFrame:
    r"""Return the relative standard error of the mean pace per period, between clusters.

    Parameters
    ----------
    frame
        Has ``period``, ``time_h`` and ``distance_km``.
    clusters
        Columns that name a cluster: a vehicle, or a day.

    Notes
    -----
    The ratio estimator :math:`\hat p = \sum T_j / \sum D_j` has the variance
    :math:`\frac{n}{n-1} \sum (T_j - \hat p D_j)^2 / (\sum D_j)^2`. Null with one cluster.
    """
    per_cluster = frame.group_by("period", *clusters).agg(pl.col("time_h", "distance_km").sum())
    pace = pl.col("time_h").sum().over("period") / pl.col("distance_km").sum().over("period")
    rest = (pl.col("time_h") - pace * pl.col("distance_km")) ** 2
    n = pl.col("rest").len()
    return (
        per_cluster.with_columns(rest.alias("rest"))
        .group_by("period")
        .agg(
            pl.when((n > 1) & (pl.col("time_h").sum() > 0))
            .then((n / (n - 1) * pl.col("rest").sum()).sqrt() / pl.col("time_h").sum())
            .alias("cv")
        )
        .sort("period")
    )


def vehicle_sums(vehicles: pl.LazyFrame) -> pl.LazyFrame:
    """Return the vehicle rows with ``time_h`` and ``distance_km``."""
    return vehicles.with_columns(
        (pl.col("duration_ms") / _MS_PER_H).alias("time_h"),
        (pl.col("distance_mm") / _MM_PER_KM).alias("distance_km"),
    )


def judge(
    evidence: ZoneEvidence, circumstances: Circumstances, parameters: ChargeParameters
) -> tuple[Missing, ...]:
    """Return everything that is missing, what holds the proposal first.

    A lack holds a proposal when the price itself would rest on sand: a day or two of data, cells
    that were hardly observed, no reference speed, no currency, an unchecked table. A lack that only
    keeps us from saying more (totals, revenue, who pays) limits the claims.
    """
    found = [
        *_enough_data(evidence, circumstances, parameters.evidence),
        *_enough_quality(evidence, circumstances, parameters),
        *_city_pack(circumstances),
        *circumstances.extra,
    ]
    return tuple(sorted(found, key=lambda item: item.effect is not Consequence.HOLD))


def verdict_of(missing: Sequence[Missing]) -> str:
    """Return ``propose``, or ``hold`` if anything missing holds the proposal."""
    return "hold" if any(item.effect is Consequence.HOLD for item in missing) else "propose"


def _enough_data(
    evidence: ZoneEvidence, circumstances: Circumstances, limits: Mapping[str, Parameter]
) -> list[Missing]:
    found: list[Missing] = []

    def hold(what: str, have: str, need: str, *, consequence: str, remedy: str) -> None:
        found.append(
            Missing(
                what=what,
                effect=Consequence.HOLD,
                found=have,
                required=need,
                consequence=consequence,
                remedy=remedy,
            )
        )

    if evidence.n_driven_cells == 0:
        hold(
            "traffic",
            "no observed window in the zone",
            "observed windows",
            consequence="nothing can be said about this zone",
            remedy="check the zone's position, or replay and build data that covers it",
        )
    if evidence.n_days < limits["min_days"].value:
        hold(
            "days",
            f"{evidence.n_days} days",
            f"{limits['min_days'].value:.0f} days",
            consequence="an odd day or week (rain, roadworks, a festival) would set the price",
            remedy="collect more days; they need not be consecutive",
        )
    driven = evidence.n_driven_cells / evidence.n_cells
    if driven < limits["min_driven_share"].value:
        hold(
            "coverage",
            f"{driven:.0%} of the zone's {evidence.n_cells} cells were driven",
            f"{limits['min_driven_share'].value:.0%}",
            consequence="the price would be that of the part which the probes happen to serve",
            remedy="draw the zone around what was observed, or add probes elsewhere",
        )
    if evidence.free_flow_days < limits["min_free_flow_days"].value:
        hold(
            "free_flow_look_back",
            f"{evidence.free_flow_days:.1f} days",
            f"{limits['min_free_flow_days'].value:.0f} days",
            consequence="delay is measured against a reference that may itself be congested",
            remedy="collect nights and weekends for two weeks, then build congestion again",
        )
    for period in evidence.periods:
        need = limits["min_days_per_period"].value
        if period.period in circumstances.priced_periods and period.n_days < need:
            hold(
                f"days:{period.period}",
                f"{period.n_days} days",
                f"{need:.0f} days",
                consequence="the price of this period would rest on too few of its own days",
                remedy="collect more such days",
            )
    return found


def _enough_quality(
    evidence: ZoneEvidence, circumstances: Circumstances, parameters: ChargeParameters
) -> list[Missing]:
    found: list[Missing] = []
    priced = [p for p in evidence.periods if p.period in circumstances.priced_periods]
    limit = parameters.evidence["min_good_share"].value
    pairs = evidence.n_driven_cells * len(priced)
    share = sum(p.n_good_cells for p in priced) / pairs if pairs else 0.0

    def hold(what: str, have: str, need: str, *, consequence: str, remedy: str) -> None:
        found.append(
            Missing(
                what=what,
                effect=Consequence.HOLD,
                found=have,
                required=need,
                consequence=consequence,
                remedy=remedy,
            )
        )

    if circumstances.has_currency and not priced and evidence.n_driven_cells:
        hold(
            "reason_to_charge",
            "every price rounds to 0",
            "a marginal external cost of at least half a rounding unit",
            consequence="there is no charge to decide on",
            remedy="none needed: traffic here costs others little",
        )
    if priced and share < limit:
        hold(
            "cells_with_good_quality",
            f"{share:.0%} of {pairs} driven cells x priced periods",
            f"{limit:.0%}",
            consequence="values of quality C may not decide a price",
            remedy="more vehicles, more days, or a coarser resolution",
        )
    if circumstances.uncertain_periods:
        hold(
            "certain_delay",
            "the 90 % interval of the delay reaches 0 in " + ", ".join(circumstances.uncertain_periods),
            "an interval above 0",
            consequence="the congestion that would be charged for may not exist",
            remedy="more vehicles and days in these periods",
        )
    if not circumstances.converged:
        hold(
            "balance",
            "demand and speed found no balance",
            "a balance within 50 rounds",
            consequence="no effect can be predicted",
            remedy="report this zone: the model does not fit it",
        )
    if not circumstances.checked:
        hold(
            "quality_check",
            "no version of the congestion table has passed its quality gate",
            "a passed check",
            consequence="nothing that was not checked is published",
            remedy="run `clearway quality check congestion`, then propose again",
        )
    for period in evidence.periods:
        if period.withheld:
            found.append(
                Missing(
                    what=f"vehicles:{period.period}",
                    effect=Consequence.LIMITS_CLAIMS,
                    found=period.withheld,
                    required=f"{parameters.release['min_vehicles'].value:.0f} distinct vehicles, "
                    f"none with more than {parameters.release['max_vehicle_share'].value:.0%}",
                    consequence="this period is withheld to protect the few who drove, and costs 0",
                    remedy="more vehicles, or a larger zone",
                )
            )
    return found


def _city_pack(circumstances: Circumstances) -> list[Missing]:
    c = circumstances
    hold, limit = Consequence.HOLD, Consequence.LIMITS_CLAIMS
    rows = (
        (
            c.has_city, "city_pack", hold, "none", "a city pack",
            "hours are UTC, not local, and no price can be stated",
            "run `clearway city init`, then propose with --city",
        ),
        (
            c.has_currency or not c.has_city, "currency", hold,
            f"currency {c.currency}: no values filed" if c.currency else "none",
            "a currency and price year with filed values, or the city's own prices.toml",
            "prices are not stated",
            "give currency and price_year in city.toml; for a currency that is not filed, add "
            "prices.toml",
        ),
        (
            c.has_counts, "counts", limit, "none", "traffic_counts.csv",
            "totals and revenue are not available: a sample of vehicles is not a count",
            "count traffic at a few points of the zone",
        ),
        (
            c.has_fleet, "fleet_survey", limit, "the default mix", "fleet.csv",
            "emissions use a default fleet with wide intervals",
            "take the mix from registration or number-plate data",
        ),
        (
            c.has_population, "population_and_income", limit, "none", "population.csv",
            "nothing is said about who pays and who gains",
            "add population and income by area",
        ),
        (
            c.unverified == 0, "verified_parameters", limit,
            f"{c.unverified} parameters unverified", "all confirmed",
            "prices carry values from general knowledge; see the list of parameters",
            "have the marked values confirmed before a public release",
        ),
    )  # fmt: skip
    return [
        Missing(
            what=what, effect=effect, found=have, required=need, consequence=result, remedy=remedy
        )
        for present, what, effect, have, need, result, remedy in rows
        if not present
    ]
