"""What builds tell a person: accounts as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from clearway_cli.output import say, say_rows, say_table

if TYPE_CHECKING:
    from clearway_models.jobs import EmissionAccount
    from clearway_models.jobs.calibration import CalibrationAccount
    from clearway_models.jobs.forecast import ForecastAccount
    from clearway_transforms.jobs import AirAccount, CongestionAccount
    from clearway_transforms.jobs.periods import PeriodAccount


def say_congestion(account: CongestionAccount) -> None:
    """Say what a build of congestion read, left out and wrote."""
    if account.left_alone:
        say(
            f"left alone: {', '.join(map(str, account.left_alone))}. Fixes came late for days of "
            "which some have been deleted; their tables stay as they are."
        )
    if not account.days:
        say(
            "Congestion: nothing has come since the last build; the tables are as they were. "
            "--from and --to build days again all the same."
        )
        return
    say_table("Fixes left out, by rule", account.dropped)
    say_table("Pairs of fixes, by kind", account.legs)
    for provider, share in account.far_from_roads.items():
        say(
            f"warning: {share:.0%} of the fixes of {provider} lie far from every road of the city "
            "pack. Are they in another datum (`datum` of the source profile: gcj02, bd09), or does "
            "roads.geojson lack streets? Nothing was altered."
        )
    mean_kmh = account.city_mean_kmh
    say_table(
        "Congestion",
        {
            "UTC days": f"{account.days[0]} to {account.days[-1]}",
            "fixes read": account.n_fixes,
            "fixes kept": account.n_kept,
            "of those sorted": account.n_sorted,
            "vehicles": account.n_vehicles,
            "cells": account.n_cells,
            "windows": account.n_windows,
            "rows": account.n_rows,
            "rows that may be published": account.n_releasable,
            "rows held back": account.n_suppressed,
            "city mean": "no travel" if mean_kmh is None else f"{mean_kmh:.1f} km/h",
            **_periods(account.periods),
        },
    )


def _periods(account: PeriodAccount) -> dict[str, object]:
    """Return what is known of the last four weeks; nothing without windows of 15 minutes."""
    if not account.n_days:
        return {}
    known = bool(account.n_enough)
    return {
        "days of the last four weeks": account.n_days,
        "reliability known": f"{account.n_enough} of {account.n_reliability} cells and periods",
        "recurring bottlenecks": account.n_bottlenecks if known else "not enough evidence",
        "unusual windows": account.n_anomalies if known else "not enough evidence",
    }


def say_air(account: AirAccount) -> None:
    """Say what a build of hourly air values read, left out and wrote."""
    say_table("Values left out, by rule", account.rejected)
    say_table("Hours by calibration", account.calibrations)
    say_table(
        "Hourly air values",
        {
            "UTC days": f"{account.days[0]} to {account.days[-1]}",
            "values read": account.n_values,
            "sensors": account.n_sensors,
            "hours": account.n_hours,
            "of those complete": account.n_complete,
        },
    )


def say_emissions(account: EmissionAccount) -> None:
    """Say what a build of emissions wrote, and on what it rests."""
    say_table("Emissions", asdict(account))


def say_all(
    built: Mapping[str, CongestionAccount | AirAccount | EmissionAccount],
    skipped: Mapping[str, str],
) -> None:
    """Say what each build wrote, and why others had nothing to build from."""
    from clearway_transforms.jobs import AirAccount, CongestionAccount

    for account in built.values():
        match account:
            case CongestionAccount():
                say_congestion(account)
            case AirAccount():
                say_air(account)
            case _:
                say_emissions(account)
    for name, reason in skipped.items():
        say(f"{name}: skipped; {reason}")


def say_calibration(account: CalibrationAccount) -> None:
    """Say how good a trained calibration is on weeks that it has not seen."""
    daily, raw = account.scores[account.chosen], account.scores["raw"]
    say_table(
        "Calibration",
        {
            "name": account.calibration_id,
            "status": account.status,
            "model": account.chosen,
            "hours used": account.n_hours,
            "hours left out": account.n_left_out,
            "days": account.n_days,
            "sensors": account.n_sensors,
            "daily RMSE, unseen weeks": f"{daily['rmse_ugm3']:.2f} µg/m³",
            "the same, uncalibrated": f"{raw['rmse_ugm3']:.2f} µg/m³",
            "meets every target": account.meets_targets,
            "card": account.files[-1],
        },
    )


def say_forecast(account: ForecastAccount) -> None:
    """Say how good each method was on unseen days, and what was published of which."""
    _say_scores(account)
    for reason in account.not_published:
        say(f"not published: {reason}")
    for reason in account.drift:
        say(f"the model drifts: {reason}")
    say_table(
        "Forecast",
        {
            "issued at": account.issued_at,
            "model": account.model_id,
            "trained now": account.trained_now,
            "days learned from": account.n_days,
            "cells": account.n_cells,
            "rows": account.n_rows,
            "made by": {f"{minutes} min": how for minutes, how in account.methods.items()},
            "card": account.card,
        },
    )


def _say_scores(account: ForecastAccount) -> None:
    """Print the mean absolute error of each method per horizon, the least in bold."""
    horizons = [f"{score.horizon_minutes} min" for score in account.scores]
    rows: list[list[str | Text]] = []
    for name in account.scores[0].mae_kmh:
        row: list[str | Text] = [name]
        for score in account.scores:
            error_kmh = score.mae_kmh[name]
            least = error_kmh == min(score.mae_kmh.values())
            row.append(Text(f"{error_kmh:.2f}", style="bold" if least else ""))
        rows.append(row)
    rows.append(
        ["90 % intervals held", *(f"{100 * score.coverage:.1f} %" for score in account.scores)]
    )
    say_rows("Mean absolute error on unseen days, km/h", ["", *horizons], rows, numbers=horizons)
