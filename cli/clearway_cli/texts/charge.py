"""How a charge proposal reads in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from rich.text import Text

from clearway_cli.output import say, say_rows, say_table

_Row = Mapping[str, object]


def say_proposal(proposal: Mapping[str, object]) -> None:
    """Print verdict, prices, predicted effects and what is missing."""
    zone = _map(proposal["zone"])
    city = _map(proposal["city"])
    held = proposal["verdict"] == "hold"
    colour = "yellow" if held else "green"
    say((str(proposal["verdict_text"]), f"bold {colour}"), f"  {zone['name']}")
    if city.get("synthetic"):
        say(("The city is synthetic: nothing here is about a real place.", "yellow"))
    say_table(
        "",
        {
            "Proposal": proposal["proposal_id"],
            "Zone": f"{zone['n_cells']} cells, {_number(zone['area_km2'])} km²",
            "Money": f"{proposal['currency'] or 'not stated'} {proposal['price_year'] or ''}",
        },
    )
    if proposal["prices_stated"]:
        _say_prices(proposal, title="Indicative prices" if held else "Prices")
    _say_predicted(_map(proposal["predicted"]))
    _say_missing(_rows(proposal["missing"]))


def say_explanation(proposal: Mapping[str, object], decisions: Sequence[_Row]) -> None:
    """Print the proposal with its reasons, evidence, doubtful parameters, limits and decisions."""
    say_proposal(proposal)
    _say_rationale(proposal)
    _say_evidence(proposal)
    doubtful = [row for row in _rows(proposal["parameters"]) if row["status"] == "unverified"]
    say_rows(
        "Parameters that nobody has confirmed yet",
        ("parameter", "value", "source"),
        (
            (str(row["name"]), f"{row.get('value', '')} {row.get('unit', '')}", str(row["source"]))
            for row in doubtful
        ),
    )
    say(("\nLimits", "bold"))
    for text in cast("Sequence[str]", proposal["limits"]):
        say(f"- {text}")
    manifest = _map(proposal["manifest"])
    say_table(
        "Made from", {**_map(manifest["table_versions"]), **_map(manifest["parameter_files"])}
    )
    for decision in decisions:
        note = f": {decision['note']}" if decision["note"] else ""
        say(f"{decision['decided_at']}  {decision['decision']} by {decision['decided_by']}{note}")


def say_list(rows: Sequence[_Row]) -> None:
    """Print id, zone, verdict and state of proposals."""
    if not rows:
        say("There is no proposal yet: clearway charge propose --zone ZONE.geojson")
        return
    names = ("proposal_id", "zone_name", "verdict", "state")
    say_rows(
        "Charge proposals",
        ("proposal", "zone", "verdict", "state", "made"),
        (
            (*(str(row[name]) for name in names), f"{row['created_at']:%Y-%m-%d %H:%M}")
            for row in rows
        ),
    )


def say_zone(zone: _Row) -> None:
    """Print what a zone is made of and how much of it was observed."""
    cells = cast("Sequence[str]", zone["cells"])
    values = {name: value for name, value in zone.items() if name != "cells"}
    say_table(str(zone["name"]), {**values, "first cells": " ".join(cells[:4])})


def _say_prices(proposal: Mapping[str, object], *, title: str) -> None:
    labels = {row["charge_class"]: row["label"] for row in _rows(proposal["classes"])}
    periods = _rows(proposal["periods"])
    digits = cast("int", proposal["minor_digits"])
    prices = {(row["period"], row["charge_class"]): row for row in _rows(proposal["prices"])}
    headings = [
        f"{p['label']}\n{p['start_hour_local']:02d}-{p['end_hour_local']:02d} h" for p in periods
    ]
    say_rows(
        f"{title}, {proposal['currency']} per km",
        ("", *headings),
        (
            (str(label), *(_price(prices.get((p["period"], name)), digits) for p in periods))
            for name, label in labels.items()
        ),
    )
    say(("* kept down by the cap, the step or the ratio between classes", "dim"))


def _price(row: _Row | None, digits: int) -> str:
    if row is None or row["price_minor_per_km"] is None:
        return "-"
    if row["exempt"]:
        return "exempt"
    star = "*" if row["bounded_by"] else ""
    return f"{cast('int', row['price_minor_per_km']) / 10**digits:.{digits}f}{star}"


def _say_predicted(predicted: _Row) -> None:
    rows = _rows(predicted["by_period"])
    if not rows:
        say(f"Predicted effects: {predicted.get('by_period_missing', 'none')}")
        return
    overall = {**_map(predicted["overall"]), "period": "all charged hours", "n_vehicles": ""}
    effects = [f"{name}_change_pct" for name in ("traffic", "nox", "speed")]
    say_rows(
        "Predicted effects, median and 90 % interval",
        ("", "traffic", "NOx", "speed", "vehicles"),
        (
            (
                str(row["period"]),
                *(_interval(row[name]) for name in effects),
                str(row["n_vehicles"]),
            )
            for row in (*rows, overall)
        ),
    )
    totals = _map(predicted["totals_per_week"])
    if not totals:
        say(f"Totals and revenue: {predicted['totals_missing']}")
        return
    names = ("vehicle_km_change", "nox_change", "revenue")
    say_table("Per week", {name: _interval(totals[name]) for name in names})


def _interval(value: object) -> str:
    interval = _map(value)
    low, high = _number(interval["low"]), _number(interval["high"])
    return f"{_number(interval['median'])} ({low} to {high}) {interval['unit']}"


def _say_missing(rows: Sequence[_Row]) -> None:
    if not rows:
        return
    names = ("found", "required", "consequence", "remedy")
    say_rows(
        "What is missing",
        ("", "found", "needed", "so", "remedy"),
        ((_what_is_missing(row), *(str(row[name]) for name in names)) for row in rows),
    )


def _what_is_missing(row: _Row) -> str | Text:
    what = str(row["what"])
    return Text.assemble((what, "yellow"), " (holds)") if row["effect"] == "hold" else what


def _say_rationale(proposal: Mapping[str, object]) -> None:
    names = ("period", "charge_class", "congestion", "environment", "price_minor_per_km")
    rows = []
    for row in _rows(proposal["prices"]):
        if reasons := _map(row["rationale"]):
            told = {part: _reason(_map(reasons[part])) for part in ("congestion", "environment")}
            rows.append([str({**row, **told}[name]) for name in names])
    say_rows(
        "What one kilometre costs others under these prices, minor units",
        ("period", "class", "congestion", "environment", "price"),
        rows,
    )


def _reason(part: _Row) -> str:
    low, high = _number(part["low_minor_per_km"]), _number(part["high_minor_per_km"])
    return f"{_number(part['median_minor_per_km'])} ({low} to {high})"


def _say_evidence(proposal: Mapping[str, object]) -> None:
    names = (
        "n_cells",
        "n_good_cells",
        "n_days",
        "n_vehicles",
        "basis",
        "free_flow_kmh",
        "delay_counted_from_kmh",
    )
    rows = []
    for row in _rows(_map(proposal["evidence"])["by_period"]):
        if row["withheld"]:
            told = [f"withheld: {row['withheld']}", *("" for _ in names)]
        else:
            speed = _map(row["space_mean_kmh"])
            text = f"{speed['value']} ({speed['low']} to {speed['high']})" if speed else "-"
            told = [text, *(str(row[name]) for name in names)]
        rows.append([str(row["period"]), *told])
    say_rows("Evidence", ("period", "speed km/h", *names), rows)


def _number(value: object) -> str:
    number = float(cast("float", value))
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004 -- digits


def _map(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if value else {}


def _rows(value: object) -> Sequence[_Row]:
    return cast("Sequence[_Row]", value)
