"""The first thing that a reader wants to know, in one sentence, with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from markupsafe import Markup

from clearway_serving.report.figures import MonthReport
from clearway_serving.report.plots import change_plot
from clearway_serving.report.texts import Texts
from clearway_serving.report.wording import month_name, number, percent, signed_percent
from clearway_transforms.comparison.verdict import Verdict

SIGNS = {
    Verdict.WORSE: "▲",
    Verdict.BETTER: "▼",
    Verdict.NO_CHANGE: "=",
    Verdict.CANNOT_TELL: "?",
}


_FREE_MINUTES = 10


def headline_views(report: MonthReport, t: Texts) -> list[dict[str, object]]:
    """Return what the page says of each comparison."""
    return [_view(report, t, row) for row in report.tables["headline"].iter_rows(named=True)]


def lead_text(report: MonthReport, t: Texts) -> str | None:
    """Return when the month was slowest; None where nothing is published."""
    slowest = report.tables["city"].drop_nulls("tti").sort("tti", descending=True).head(1)
    if slowest.is_empty():
        return None
    row = slowest.row(0, named=True)
    return t(
        "headline.lead",
        days=t(f"in_sentence.{row['day_group']}"),
        period=t(f"in_sentence.{row['period']}"),
        minutes=number(row["tti"] * _FREE_MINUTES, 1),
    )


def headline_text(report: MonthReport, t: Texts, row: Mapping[str, object]) -> str:
    """Return the verdict of one comparison as a sentence."""
    month = month_name(t, str(row["month"]))
    verdict = str(row["verdict"])
    if row["reasons"] == "no_month":
        return t("headline.no_month_text", month=month)
    change = row["change"]
    values = {"month": month}
    if verdict in {Verdict.WORSE, Verdict.BETTER} and isinstance(change, float):
        values["change"] = percent(abs(change))
    if verdict == Verdict.NO_CHANGE:
        values["band"] = percent(report.about["band_city"], 0)
    return t(f"headline.{verdict}_text", **values)


def _view(report: MonthReport, t: Texts, row: Mapping[str, object]) -> dict[str, object]:
    verdict = Verdict(str(row["verdict"]))
    kind, month = str(row["kind"]), month_name(t, str(row["month"]))
    plot: Markup | None
    match row["change"], row["change_low"], row["change_high"]:
        case float(change), float(low), float(high):
            plot = change_plot(change, low, high, float(str(report.about["band_city"])))
        case _:
            plot = None
    return {
        "verdict": str(verdict),
        "bare": row["reasons"] == "no_month",
        "against": t(f"headline.{kind}", month=month),
        "sign": SIGNS[verdict],
        "badge": t(f"headline.{verdict}"),
        "text": headline_text(report, t, row),
        "plot": plot,
        "reasons": _reasons(report, t, str(row["reasons"])),
        "details": [] if plot is None else _details(report, t, row),
    }


def _reasons(report: MonthReport, t: Texts, codes: str) -> list[str]:
    values = {
        "min_days": report.about["min_days"],
        "min_places": report.about["min_places"],
        "min_vehicles": report.about["min_vehicles"],
        "min_covered": percent(report.about["min_covered"], 0),
        "band": percent(report.about["band_city"], 0),
    }
    return [t(f"reasons.{code}", **values) for code in codes.split() if code != "no_month"]


def _details(report: MonthReport, t: Texts, row: Mapping[str, object]) -> list[str]:
    low, high = signed_percent(row["change_low"]), signed_percent(row["change_high"])
    covered = [float(str(row[f"covered_{each}"])) for each in ("before", "after")]
    lines = [
        t("headline.estimate", change=signed_percent(row["change"]), low=low, high=high),
        t(
            "headline.evidence",
            month=month_name(t, str(row["month"])),
            days=row["n_days_after"],
            other_days=row["n_days_before"],
            places=number(row["n_places"]),
            covered=percent(min(covered), 0),
            vehicles=row["n_vehicles_after"],
            other_vehicles=row["n_vehicles_before"],
        ),
    ]
    places = report.tables["places"].filter(pl.col("kind") == row["kind"])
    if not places.is_empty():
        counts = {each: int((places["verdict"] == each).sum()) for each in Verdict}
        lines.append(t("headline.places", **{str(each): n for each, n in counts.items()}))
        judged = places.height - counts[Verdict.CANNOT_TELL]
        level = float(str(report.about["comparison_level"]))
        if judged:
            expected = number(judged * (1 - level), 1)
            lines.append(t("headline.by_chance", n=judged, expected=expected))
    return lines
