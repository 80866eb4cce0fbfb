"""What the demo found, told in eleven lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from clearway_cli.demo.findings import Books, Findings, Record

_MISSING_SHOWN = 2


def lines(findings: Findings) -> list[str]:
    """Return the eleven lines that a person reads."""
    return [
        _books_line(findings.books),
        *_traffic_lines(findings),
        _corridor_line(findings),
        _air_line(findings),
        *_proposal_lines(findings.proposal),
        f"Quality gate: {_gate_text(findings.failed_checks)}",
        "Made up:      every number comes from a simulation (sim/README.md)",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    total = f"{sum(counts.values()):,}"
    several = len(counts) > 1
    named = ", ".join(f"{name} {n:,}" if several else name for name, n in counts.items())
    return f"{total} ({named})" if named else total


def _books_line(books: Books) -> str:
    closed = "books close" if books.closed else "SOME ARE LOST"
    return (
        f"Records:      {books.read:,} read = {books.stored:,} stored + "
        f"{_counts(books.quarantined)} set aside + {_counts(books.dropped)} dropped: {closed}"
    )


def _clock(instant: datetime, zone: str) -> str:
    return instant.astimezone(ZoneInfo(zone)).strftime("%H:%M")


def _traffic_lines(findings: Findings) -> list[str]:
    t, zone = findings.traffic, findings.time_zone
    longer = t.free_flow_kmh / t.peak_kmh
    worst = ", ".join(f"{area} {kmh:.1f} ({free:.1f})" for area, kmh, free in t.worst)
    return [
        (
            f"Map:          {t.n_cells} cells; {t.n_released:,} of {t.n_values:,} values of 15 "
            "minutes are public (10 vehicles or more)"
        ),
        (
            f"City speed:   {t.quiet_kmh:.1f} km/h at {_clock(t.quiet_at, zone)}, {t.peak_kmh:.1f} "
            f"at {_clock(t.peak_at, zone)}, {t.free_flow_kmh:.1f} on empty streets: trips "
            f"{longer:.2f} times as long"
        ),
        f"Worst areas:  {worst} km/h (if empty)",
    ]


def _corridor_line(findings: Findings) -> str:
    slowest = findings.slowest
    if slowest is None:
        return "Slowest road: no corridor was driven by enough vehicles"
    return (
        f"Slowest road: {slowest.name} {slowest.direction} from "
        f"{_clock(slowest.hour_start, findings.time_zone)}: {slowest.travel_time_min:.1f} minutes "
        f"({slowest.interval_low_min:.1f} to {slowest.interval_high_min:.1f}), "
        f"{slowest.free_flow_min:.1f} if empty"
    )


def _air_line(findings: Findings) -> str:
    air = findings.air
    if air is None:
        return "Air:          no complete hour of PM2.5"
    return (
        f"Air:          PM2.5 from {_clock(air.hour_start, findings.time_zone)}: "
        f"{air.mean_ugm3:g} µg/m³ at {air.n_sensors} sensors, highest {air.highest_ugm3:g} at "
        f"{air.highest_sensor}; {air.n_rejected} refused"
    )


def _proposal_lines(body: Record) -> list[str]:
    missing = [cast("dict[str, Any]", item) for item in cast("list[object]", body["missing"])]
    names = [
        f"{str(item['what']).replace('_', ' ')} ({item['found']}; needed: {item['required']})"
        for item in missing
        if item["effect"] == "hold"
    ]
    shown = ", ".join(names[:_MISSING_SHOWN])
    rest = len(missing) - len(names[:_MISSING_SHOWN])
    more = f"; {rest} more" if rest > 0 else ""
    return [
        f"Proposal:     {body['verdict_text']}; {_price_text(body)}",
        f"Predicted:    {_effect_text(body)}",
        f"Missing:      {shown or 'nothing that stops a price'}{more}",
    ]


def _price_text(body: Record) -> str:
    """Return the highest car price, the one that most people ask about."""
    prices = [cast("dict[str, Any]", row) for row in cast("list[object]", body["prices"])]
    cars = [p for p in prices if p["charge_class"] == "car" and p["price_minor_per_km"]]
    if not cars:
        return "no price is stated"
    top = max(cars, key=lambda price: int(price["price_minor_per_km"]))
    amount = int(top["price_minor_per_km"]) / 10 ** int(str(body["minor_digits"] or 0))
    label = next(
        (
            str(period["label"])
            for period in (cast("dict[str, Any]", p) for p in cast("list[object]", body["periods"]))
            if period["period"] == top["period"]
        ),
        str(top["period"]),
    )
    indicative = "indicative, " if body.get("indicative") else ""
    return f"cars {amount:.2f} {body['currency']}/km ({indicative}{label.lower()})"


def _effect_text(body: Record) -> str:
    predicted = cast("dict[str, Any]", body["predicted"])
    overall = predicted.get("overall")
    if not overall:
        return str(predicted.get("by_period_missing") or "nothing, no period is priced")
    parts = [
        f"{label} {effect['median']:+g} % ({effect['low']:+g} to {effect['high']:+g})"
        for label, effect in (
            ("traffic", overall["traffic_change_pct"]),
            ("NOx", overall["nox_change_pct"]),
        )
    ]
    return ", ".join(parts) + " when charged; 90 % intervals"


def _gate_text(failed: Sequence[str]) -> str:
    return f"{', '.join(failed)} did NOT pass" if failed else "all published tables passed"
