"""Figures in words: how numbers, days and places are written in a language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from clearway_core.geo import cell_number, cell_text
from clearway_serving.report.texts import Texts

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"
_MINUTES_PER_HOUR = 60


def number(value: object, decimals: int = 0) -> str:
    """Return a number with thousands separated; a dash where there is none."""
    if not isinstance(value, int | float):
        return EN_DASH
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def percent(value: object, decimals: int = 1) -> str:
    """Return a share as a percentage."""
    if not isinstance(value, int | float):
        return EN_DASH
    return f"{number(value * 100, decimals)} %"


def signed_percent(value: object) -> str:
    """Return a change with its sign."""
    if not isinstance(value, int | float):
        return EN_DASH
    sign = "+" if value > 0 else ""
    return f"{sign}{percent(value)}"


def month_name(t: Texts, month: str) -> str:
    """Return the name of a month such as 2008-05."""
    year, number_of_year = month.split("-")
    name = t(f"months.{int(number_of_year)}")
    return t("document.month_format", month_name=name, year=int(year))


def day_name(day: object) -> str:
    """Return a day as ISO 8601, which needs no language."""
    return day.isoformat() if isinstance(day, date) else str(day)


def clock(minute: int) -> str:
    """Return a minute of the day as a clock shows it."""
    return f"{minute // _MINUTES_PER_HOUR % 24:02d}:{minute % _MINUTES_PER_HOUR:02d}"


def place(t: Texts, row: Mapping[str, object]) -> str:
    """Return where a row's cell lies: its area and corridor, else how far from the centre."""
    named = [str(row[name]) for name in ("area", "corridor") if row[name] is not None]
    if named:
        return t("document.list_separator").join(named)
    distance, direction = row["centre_km"], row["direction_from_centre"]
    if distance is None:
        return t("document.unknown_cell", cell=cell_text(cell_number(str(row["h3_cell"]))))
    if direction is None:
        return t("document.city_centre")
    return t("document.bearing", km=number(distance, 1), direction=t(f"directions.{direction}"))


def direction_name(t: Texts, direction: str) -> str:
    """Return a corridor's direction: a compass word in the language, the pack's word as it is."""
    key = f"directions.{direction}"
    return t(key) if t.has(key) else direction
