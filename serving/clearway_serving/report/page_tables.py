"""The tables of the page: which columns, in which words, how many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from markupsafe import Markup

from clearway_serving.report import page_evidence
from clearway_serving.report.figures import MonthReport
from clearway_serving.report.html_table import table
from clearway_serving.report.maps import PERIOD_ORDER
from clearway_serving.report.plots import time_bar
from clearway_serving.report.revision import Difference
from clearway_serving.report.texts import Texts
from clearway_serving.report.wording import (
    EN_DASH,
    clock,
    direction_name,
    month_name,
    number,
    percent,
    place,
    signed_percent,
)

MOST_ROWS = 12
"""Bottlenecks and events on the page; the workbook has all."""

_MOST_DIFFERENCES = 14
_FREE_MINUTES = 10
_FIRST_TABLES = ("headline", "city", "corridors", "suppression")
"""Tables whose differences stand on the first page."""

Row = Mapping[str, object]


def all_tables(report: MonthReport, t: Texts) -> dict[str, Markup | None]:
    """Return every table of the page by name."""
    return {
        "city": _city(report, t),
        "corridors": _corridors(report, t),
        "bottlenecks": _bottlenecks(report, t),
        "anomalies": _anomalies(report, t),
        "cleaning": page_evidence.cleaning(report, t),
        "suppression": page_evidence.suppression(report, t),
        "quintiles": page_evidence.quintiles(report, t),
        "provenance": page_evidence.provenance(report, t),
        "versions": page_evidence.versions(report, t),
        "files": page_evidence.files(report, t),
    }


def _city(report: MonthReport, t: Texts) -> Markup | None:
    columns = [
        (t("city.kind_of_day"), False),
        (t("city.period"), False),
        (t("city.minutes"), True),
        (t("city.tti"), True),
        (t("city.speed"), True),
        (t("city.cells"), True),
        (t("city.n_days"), True),
        (t("city.vehicles"), True),
    ]
    rows = [
        (
            t(f"day_groups.{row['day_group']}"),
            _period(t, row),
            t("city.minutes_value", minutes=number(_times(row["tti"], _FREE_MINUTES), 1)),
            number(row["tti"], 2),
            number(row["space_mean_kmh"], 1),
            number(row["n_cells"]),
            number(row["n_days"]),
            number(row["n_vehicles"]),
        )
        for row in _in_order(report.tables["city"])
    ]
    return table(columns, rows, t("city.caption"))


def _corridors(report: MonthReport, t: Texts) -> Markup | None:
    rows = report.tables["corridors"]
    longest = rows["interval_high_min"].max() if rows.height else None
    columns = [
        (t("corridors.corridor"), False),
        (t("corridors.when"), False),
        (t("corridors.minutes"), True),
        (t("corridors.bar"), False),
    ]
    numeric = ("tti", "pti", "buffer", "observed", "n_days", "vehicles")
    columns += [(t(f"corridors.{name}"), True) for name in numeric]
    lines = []
    for row in _in_order(rows, "corridor", "direction"):
        known = row["travel_time_min"] is not None
        lines.append(
            (
                _line_name(t, row),
                _when(t, row),
                _minutes(t, row) if known else t("document.not_enough"),
                _bar(row, longest) if known else "",
                number(row["tti"], 2),
                number(row["pti"], 2),
                percent(row["buffer_index"], 0),
                percent(row["observed_length_share"], 0),
                number(row["n_days"]),
                number(row["n_vehicles"]),
            )
        )
    return table(columns, lines)


def corridor_changes(report: MonthReport, t: Texts) -> list[tuple[str, Markup]]:
    """Return a captioned table of changes by corridor for each comparison that has some."""
    rows = report.tables["corridor_changes"]
    found = []
    months = {row["kind"]: row["month"] for row in report.tables["headline"].iter_rows(named=True)}
    for kind in rows["kind"].unique(maintain_order=True):
        lines = [
            (
                _line_name(t, row),
                t(f"headline.{row['verdict']}"),
                signed_percent(row["change"]),
                t(
                    "document.interval",
                    low=signed_percent(row["change_low"]),
                    high=signed_percent(row["change_high"]),
                ),
                number(row["n_days_after"]),
            )
            for row in rows.filter(pl.col("kind") == kind).iter_rows(named=True)
        ]
        columns = [
            (t("corridors.corridor"), False),
            (t("corridors.verdict"), False),
            (t("corridors.change"), True),
            (t("corridors.change_interval"), True),
            (t("corridors.n_days"), True),
        ]
        made = table(columns, lines)
        if made is not None:
            found.append((t("corridors.changes", month=month_name(t, months[kind])), made))
    return found


def _bottlenecks(report: MonthReport, t: Texts) -> Markup | None:
    names = ("rank", "place", "days", "time", "share", "tti", "extra", "n_days", "vehicles")
    columns = [(t(f"bottlenecks.{name}"), name not in names[1:4]) for name in names]
    ranked = report.tables["bottlenecks"].filter(pl.col("rank").is_not_null())
    rows = [
        (
            number(row["rank"]),
            place(t, row),
            t(f"day_groups.{row['day_group']}"),
            t(
                "bottlenecks.time_range",
                start=clock(row["start_minute"]),
                end=clock(row["start_minute"] + row["duration_minutes"]),
            ),
            percent(row["congested_share"], 0),
            number(row["tti"], 2),
            number(row["extra_h_per_day"], 1),
            number(row["n_days"]),
            number(row["n_vehicles"]),
        )
        for row in ranked.head(MOST_ROWS).iter_rows(named=True)
    ]
    return table(columns, rows)


def _anomalies(report: MonthReport, t: Texts) -> Markup | None:
    names = ("when", "place", "speed", "usual", "extra", "vehicles", "tags")
    columns = [(t(f"anomalies.{name}"), name in names[2:6]) for name in names]
    rows = [
        (
            f"{row['local_date']} {row['clock']}",
            place(t, row),
            number(row["space_mean_kmh"], 1),
            number(row["usual_kmh"], 1),
            number(row["extra_h"], 1),
            number(row["n_vehicles"]),
            row["day_tags"] or "",
        )
        for row in report.tables["anomalies"]
        .head(MOST_ROWS)
        .with_columns(
            clock=pl.col("window_start")
            .dt.convert_time_zone(str(report.about["time_zone"]))
            .dt.strftime("%H:%M")
        )
        .iter_rows(named=True)
    ]
    return table(columns, rows)


def more(report: MonthReport, t: Texts, name: str) -> str | None:
    """Return where the rows are that the page leaves out; None if it shows all."""
    n = report.tables[name].height
    return t(f"{name}.more", n=n) if n > MOST_ROWS else None


def differences(t: Texts, found: Sequence[Difference]) -> Markup | None:
    """Return the differences that matter most, as a table."""
    first = [each for each in found if each.table in _FIRST_TABLES and each.kind == "changed"]
    rows = [
        (
            f"{t('sheets.' + each.table)}: {each.row}, {each.column}",
            _value(each.old),
            _value(each.new),
        )
        for each in first[:_MOST_DIFFERENCES]
    ]
    columns = [
        (t("changes.what"), False),
        (t("changes.old"), True),
        (t("changes.new"), True),
    ]
    return table(columns, rows)


def _in_order(rows: pl.DataFrame, *first: str) -> list[dict[str, object]]:
    """Return rows with periods in the order of the day, and in that of other columns before."""
    order = {each: place for place, each in enumerate(PERIOD_ORDER)}
    listed = list(rows.iter_rows(named=True))
    return sorted(
        listed,
        key=lambda row: (
            *(str(row[name]) for name in first),
            order.get((row["day_group"], row["period"]), len(order)),
        ),
    )


def _period(t: Texts, row: Row) -> Markup:
    name, hours = t(f"periods.{row['period']}"), t(f"hours.{row['period']}")
    return Markup('{} <span class="small">{}</span>').format(name, hours)


def _line_name(t: Texts, row: Row) -> str:
    direction = direction_name(t, str(row["direction"]))
    return t("corridors.name", corridor=row["corridor"], direction=direction)


def _when(t: Texts, row: Row) -> str:
    days, period = t(f"day_groups.{row['day_group']}"), t(f"inside.{row['period']}")
    return t("corridors.when_text", days=days, period=period)


def _minutes(t: Texts, row: Row) -> Markup:
    interval = t(
        "document.interval",
        low=number(row["interval_low_min"], 1),
        high=number(row["interval_high_min"], 1),
    )
    mean = number(row["travel_time_min"], 1)
    return Markup('<b>{}</b> <span class="small under">{}</span>').format(mean, interval)


def _bar(row: Row, longest: object) -> Markup:
    mean, low, high = (
        float(str(row[name]))
        for name in ("travel_time_min", "interval_low_min", "interval_high_min")
    )
    free = row["free_flow_min"]
    return time_bar(
        mean,
        low,
        high,
        free_flow=free if isinstance(free, float) else None,
        longest=float(str(longest)),
    )


def _times(value: object, factor: float) -> float | None:
    return value * factor if isinstance(value, float) else None


def _value(value: object) -> str:
    return (
        number(value, 3) if isinstance(value, float) else EN_DASH if value is None else str(value)
    )
