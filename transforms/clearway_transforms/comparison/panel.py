"""Whether traffic moves slower or faster than in another month, on a panel that both months share.

A city's mean speed also changes when probes drive elsewhere, at other hours or on other days. The
comparison therefore holds place, period and kind of day fixed: only what both months observed
enters, and it weighs the same in both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from clearway_transforms.comparison.verdict import Reason, verdict_and_reasons
from clearway_transforms.estimators import ratio_variance, student_t
from clearway_transforms.parameters import ComparisonParameters

ROW_COLUMNS = (
    "local_date",
    "day_kind",
    "distance_mm",
    "duration_ms",
    "n_vehicles",
    "distance_sq_dm2",
    "duration_sq_ds2",
    "distance_duration_dm_ds",
)
"""What a row must have beside the columns that name its place and period."""

_DECIMALS = 9
"""Sums of floating-point numbers depend on their order beyond this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is compared.

    Parameters
    ----------
    by
        Columns that name one answer each, such as the cell; none asks for everything together.
    place
        Columns that, with day_kind, name what is held fixed inside an answer, such as cell and
        period.
    band
        Relative change that does not matter. [1]
    min_places
        Distinct combinations of `place` that an answer needs.
    min_vehicles
        Vehicles that some place, period and day must have had in each month; below it an answer
        could tell of single vehicles.
    weight
        Column with the fixed weight of a place, such as the length of a segment; None takes the
        distance driven in both months together.
    """

    by: tuple[str, ...]
    place: tuple[str, ...]
    band: float
    min_places: int
    min_vehicles: int
    weight: str | None = None


def month_change(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    question: Question,
    parameters: ComparisonParameters,
) -> pl.LazyFrame:
    r"""Return how much longer the same travel takes in the later month, with interval and verdict.

    Parameters
    ----------
    before, after
        Rows of two months: `ROW_COLUMNS` and the columns of the question, one row per place,
        period and local day, of one vehicle class.
    question
        What is compared.
    parameters
        Demands.

    Returns
    -------
    polars.LazyFrame
        One row per answer, sorted: ``change`` (0.1 is ten percent more time) with
        ``change_low`` and ``change_high``, ``n_days_``, ``n_vehicles_`` and ``covered_`` of either
        month (``before``, ``after``), ``n_places``, ``verdict`` and ``reasons``. Answers without
        any shared place have no row.

    Notes
    -----
    With pace :math:`p_{sm} = T_{sm} / D_{sm}` of place, period and kind of day *s* in month *m*
    and weights :math:`w_s = D_{s0} + D_{s1}`, the change is

    .. math:: \\delta = \\ln \\frac{\\sum_s w_s p_{s1}}{\\sum_s w_s p_{s0}}

    (a Marshall-Edgeworth index of travel time). Its variance is found twice: with days as clusters,
    each day's part being :math:`\\sum_s w_s \\sqrt{n_s / (n_s - 1)} (T_{sd} - p_s D_{sd}) / D_s`
    over all its places at once, and with the vehicles of each place and day as clusters. The wider
    interval holds. Student's t has Welch's degrees of freedom from the numbers of days. Added to
    both is what stays with a vehicle from place to place and day to day,
    ``vehicle_style_cv``\\ ² / n, because pseudonyms do not let it be seen in the data.

    References
    ----------
    W. G. Cochran, "Sampling Techniques", 3rd ed., Wiley, 1977, chapter 6 (ratio estimator).
    B. L. Welch, "The generalization of Student's problem when several different population
    variances are involved", Biometrika 34, 1947, doi:10.1093/biomet/34.1-2.28.
    """
    rows = _comparable(before, after)
    panel = _panel(rows, question, parameters)
    answers = _answers(rows, panel, question, parameters)
    judged = _with_verdict(_with_interval(answers, parameters), question, parameters)
    return judged.sort(question.by) if question.by else judged


def day_kind(day_type: pl.Expr, day_tags: pl.Expr) -> pl.Expr:
    """Return which days a day may be compared with; null where with none.

    Parameters
    ----------
    day_type, day_tags
        Of ``period_travel``.

    Returns
    -------
    polars.Expr
        ``workday`` or ``weekend``, each with ``, school_break`` where there is one; null on public
        holidays and on days with an event, which no other day is like.
    """
    tags = day_tags.fill_null("")
    group = pl.when(day_type == "workday").then(pl.lit("workday")).otherwise(pl.lit("weekend"))
    in_break = tags.str.contains("school_break", literal=True)
    kind = pl.when(in_break).then(group + pl.lit(", school_break")).otherwise(group)
    special = (day_type == "holiday") | tags.str.contains("event:", literal=True)
    return pl.when(~special).then(kind)


def _comparable(before: pl.LazyFrame, after: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of both months, of kinds of day that both have."""
    rows = pl.concat(
        [
            before.with_columns(later=pl.lit(value=False)),
            after.with_columns(later=pl.lit(value=True)),
        ]
    )
    both = pl.col("later").n_unique().over("day_kind") == 2  # noqa: PLR2004 -- months
    return rows.filter(pl.col("day_kind").is_not_null()).filter(both)


def _panel(
    rows: pl.LazyFrame, question: Question, parameters: ComparisonParameters
) -> pl.LazyFrame:
    """Return sums and pace of each place and month in the panel, with its fixed weight."""
    stratum = _stratum(question)
    sums = (
        rows.filter(_usable(parameters))
        .group_by(*stratum, "later")
        .agg(
            pl.col("distance_mm", "duration_ms").sum(),
            pl.col("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds").sum(),
            n_days=pl.col("local_date").n_unique(),
            n_clusters=pl.col("n_vehicles").sum(),
            **({} if question.weight is None else {"weight": pl.col(question.weight).first()}),
        )
        .filter(pl.col("n_days") >= parameters.min_stratum_days)
        .filter(pl.col("later").n_unique().over(stratum) == 2)  # noqa: PLR2004 -- both months
    )
    if question.weight is None:
        sums = sums.with_columns(weight=pl.col("distance_mm").sum().over(stratum))
    pace = pl.col("duration_ms") / pl.col("distance_mm")
    return sums.with_columns(
        pace=pace,
        weight=pl.col("weight").cast(pl.Float64),
        # Squares are in dm and ds, a hundredth of mm and ms: the pace has the same number in both.
        vehicle_variance=ratio_variance(
            pace,
            n=pl.col("n_clusters"),
            distance_sq=pl.col("distance_sq_dm2"),
            duration_sq=pl.col("duration_sq_ds2"),
            product=pl.col("distance_duration_dm_ds"),
            distance=pl.col("distance_mm") / 100,
        ),
        few_days_factor=(pl.col("n_days") / (pl.col("n_days") - 1)).sqrt(),
    )


def _answers(
    rows: pl.LazyFrame,
    panel: pl.LazyFrame,
    question: Question,
    parameters: ComparisonParameters,
) -> pl.LazyFrame:
    """Return one row per answer with what both months' intervals and verdict need."""
    by = ["answer", *question.by]
    stratum = _stratum(question)
    panel = panel.with_columns(answer=pl.lit(1)).sort(*stratum, "later")
    month = panel.group_by(*by, "later", maintain_order=True).agg(
        total=(pl.col("weight") * pl.col("pace")).sum(),
        vehicle_variance=(pl.col("weight") ** 2 * pl.col("vehicle_variance")).sum(),
        n_clusters=pl.col("n_clusters").sum(),
        in_panel_mm=pl.col("distance_mm").sum(),
        n_day_kinds=pl.col("day_kind").n_unique(),
        n_places=pl.struct(question.place).n_unique(),
    )
    days = _days(rows, panel, question, parameters)
    driven = (
        rows.with_columns(answer=pl.lit(1))
        .group_by(*by, "later")
        .agg(driven_mm=pl.col("distance_mm").sum())
    )
    month = month.join(days, on=[*by, "later"], how="left", validate="1:1").join(
        driven, on=[*by, "later"], how="left", validate="1:1"
    )
    later = month.filter("later").drop("later")
    earlier = month.filter(~pl.col("later")).drop("later")
    return earlier.join(later, on=by, how="inner", suffix="_after", validate="1:1").drop("answer")


def _days(
    rows: pl.LazyFrame,
    panel: pl.LazyFrame,
    question: Question,
    parameters: ComparisonParameters,
) -> pl.LazyFrame:
    """Return per answer and month the variance between days, the days and the most vehicles."""
    stratum = _stratum(question)
    by = ["answer", *question.by]
    of_panel = panel.select(
        *stratum,
        "later",
        "answer",
        "weight",
        "pace",
        "few_days_factor",
        stratum_mm=pl.col("distance_mm"),
    )
    part = (
        pl.col("weight")
        * pl.col("few_days_factor")
        * (pl.col("duration_ms") - pl.col("pace") * pl.col("distance_mm"))
        / pl.col("stratum_mm")
    )
    return (
        rows.filter(_usable(parameters))
        .join(of_panel, on=[*stratum, "later"], how="inner", validate="m:1", suffix="_panel")
        .sort("local_date", *stratum)
        .group_by(*by, "later", "local_date", maintain_order=True)
        .agg(part=part.sum(), n_vehicles=pl.col("n_vehicles").max())
        .sort("local_date")
        .group_by(*by, "later", maintain_order=True)
        .agg(
            day_variance=(pl.col("part") ** 2).sum(),
            n_days=pl.len().cast(pl.Int64),
            n_vehicles=pl.col("n_vehicles").max(),
        )
    )


def _with_interval(answers: pl.LazyFrame, parameters: ComparisonParameters) -> pl.LazyFrame:
    """Return the answers with the change, its interval and what each month rests on."""
    style = pl.sum_horizontal(
        parameters.vehicle_style_cv**2 / pl.col(f"n_vehicles{month}") for month in ("", "_after")
    )
    by_day = [pl.col(f"day_variance{m}") / pl.col(f"total{m}") ** 2 for m in ("", "_after")]
    by_vehicle = [pl.col(f"vehicle_variance{m}") / pl.col(f"total{m}") ** 2 for m in ("", "_after")]
    free = [pl.col(f"n_days{m}") - pl.col(f"n_day_kinds{m}") for m in ("", "_after")]
    clusters = pl.min_horizontal("n_clusters", "n_clusters_after") - 1
    level = parameters.comparison_level
    half = pl.max_horizontal(
        student_t(_welch(by_day, free), level) * (pl.sum_horizontal(by_day) + style).sqrt(),
        student_t(clusters, level) * (pl.sum_horizontal(by_vehicle) + style).sqrt(),
    )
    log_change = (pl.col("total_after") / pl.col("total")).log()
    return answers.with_columns(log_change=log_change, half=half).with_columns(
        change=(pl.col("log_change").exp() - 1).round(_DECIMALS),
        change_low=((pl.col("log_change") - pl.col("half")).exp() - 1).round(_DECIMALS),
        change_high=((pl.col("log_change") + pl.col("half")).exp() - 1).round(_DECIMALS),
        covered_before=(pl.col("in_panel_mm") / pl.col("driven_mm")).round(_DECIMALS),
        covered_after=(pl.col("in_panel_mm_after") / pl.col("driven_mm_after")).round(_DECIMALS),
    )


def _welch(variances: list[pl.Expr], degrees: list[pl.Expr]) -> pl.Expr:
    """Return the degrees of freedom of a difference of two means, rounded down."""
    squares = [
        variance**2 / degree.clip(lower_bound=1)
        for variance, degree in zip(variances, degrees, strict=True)
    ]
    total = pl.sum_horizontal(squares)
    smallest = pl.min_horizontal(degrees).cast(pl.Float64)
    found = pl.when(total > 0).then(pl.sum_horizontal(variances) ** 2 / total).otherwise(smallest)
    return found.floor()


def _with_verdict(
    answers: pl.LazyFrame, question: Question, parameters: ComparisonParameters
) -> pl.LazyFrame:
    """Return the answers with verdict and reasons, and without the sums on the way."""
    verdict, reasons = verdict_and_reasons(
        band=math.log1p(question.band),
        missing={
            Reason.FEW_DAYS: pl.min_horizontal("n_days", "n_days_after") < parameters.min_days,
            Reason.FEW_PLACES: pl.col("n_places") < question.min_places,
            Reason.FEW_VEHICLES: pl.min_horizontal("n_vehicles", "n_vehicles_after")
            < question.min_vehicles,
            Reason.LITTLE_COVERED: pl.min_horizontal("covered_before", "covered_after")
            < parameters.min_covered,
        },
    )
    return answers.select(
        *question.by,
        "change",
        "change_low",
        "change_high",
        pl.col("n_days").alias("n_days_before"),
        "n_days_after",
        pl.col("n_vehicles").alias("n_vehicles_before"),
        "n_vehicles_after",
        "covered_before",
        "covered_after",
        pl.col("n_places").cast(pl.Int64),
        verdict=verdict,
        reasons=reasons,
    )


def _stratum(question: Question) -> list[str]:
    return [*dict.fromkeys((*question.by, *question.place)), "day_kind"]


def _usable(parameters: ComparisonParameters) -> pl.Expr:
    return (pl.col("n_vehicles") >= parameters.min_row_vehicles) & (pl.col("distance_mm") > 0)
