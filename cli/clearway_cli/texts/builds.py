"""What builds tell a person: accounts of congestion and air as tables."""

from __future__ import annotations

from collections.abc import Mapping

from clearway_cli.output import console, say_table


def say_congestion(values: Mapping[str, object]) -> None:
    """Say what a build of congestion read, left out and wrote."""
    days, left_alone = _listed(values["days"]), _listed(values["left_alone"])
    if left_alone:
        console.print(
            f"left alone: {', '.join(map(str, left_alone))}. Fixes came late for days of which "
            "some have been deleted; their tables stay as they are.",
            highlight=False,
            soft_wrap=True,
        )
    if not days:
        console.print(
            "Congestion: nothing has come since the last build; the tables are as they were. "
            "--from and --to build days again all the same.",
            highlight=False,
            soft_wrap=True,
        )
        return
    mean = values["city_mean_kmh"]
    say_table("Fixes left out, by rule", _counts(values["dropped"]))
    say_table("Pairs of fixes, by kind", _counts(values["legs"]))
    for provider, share in _counts(values["far_from_roads"]).items():
        console.print(
            f"warning: {share:.0%} of the fixes of {provider} lie far from every road of the city "
            "pack. Are they in another datum (`datum` of the source profile: gcj02, bd09), or does "
            "roads.geojson lack streets? Nothing was altered.",
            highlight=False,
            soft_wrap=True,
        )
    say_table(
        "Congestion",
        {
            "UTC days": f"{days[0]} to {days[-1]}",
            "fixes read": values["n_fixes"],
            "fixes kept": values["n_kept"],
            "of those sorted": values["n_sorted"],
            "vehicles": values["n_vehicles"],
            "cells": values["n_cells"],
            "windows": values["n_windows"],
            "rows": values["n_rows"],
            "rows that may be published": values["n_releasable"],
            "rows held back": values["n_suppressed"],
            "city mean": f"{mean:.1f} km/h" if isinstance(mean, float) else "no travel",
            **_periods(_counts(values["periods"])),
        },
    )


def _periods(counts: Mapping[str, object]) -> dict[str, object]:
    """Return what is known of the last four weeks; nothing without windows of 15 minutes."""
    if not counts["n_days"]:
        return {}
    enough = counts["n_enough"]
    return {
        "days of the last four weeks": counts["n_days"],
        "reliability known": f"{enough} of {counts['n_reliability']} cells and periods",
        "recurring bottlenecks": counts["n_bottlenecks"] if enough else "not enough evidence",
        "unusual windows": counts["n_anomalies"] if enough else "not enough evidence",
    }


def say_air(values: Mapping[str, object]) -> None:
    """Say what a build of hourly air values read, left out and wrote."""
    days = _listed(values["days"])
    say_table("Values left out, by rule", _counts(values["rejected"]))
    say_table("Hours by calibration", _counts(values["calibrations"]))
    say_table(
        "Hourly air values",
        {
            "UTC days": f"{days[0]} to {days[-1]}",
            "values read": values["n_values"],
            "sensors": values["n_sensors"],
            "hours": values["n_hours"],
            "of those complete": values["n_complete"],
        },
    )


def _counts(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, tuple | list) else [value]
