"""A charge proposal as one document: prices, reasons, effects, evidence, what is missing."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from clearway_core import geo
from clearway_core.city import City
from clearway_models.charge.effect import Effect, combined, interval_of, two_digits
from clearway_models.charge.evidence import ZoneEvidence
from clearway_models.charge.limits import LIMITS
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.prices import Price
from clearway_models.charge.pricing import PeriodResult
from clearway_models.charge.valuation import Valuation
from clearway_models.charge.verdict import Missing, verdict_of
from clearway_models.charge.zone import Zone
from clearway_models.emissions.factors import FactorSet, Fleet
from clearway_models.expansion.counts import Expansion
from clearway_models.parameters import ParameterFile

CONTRACT = "charge_proposal/1"

_ID_DIGITS = 16

DAYS_PER_WEEK: Mapping[str, int] = {"working": 5, "free": 2, "all": 7}

VERDICTS: Mapping[str, str] = {
    "propose": "propose",
    "hold": "hold: not enough evidence",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that a proposal is written from."""

    zone: Zone
    city: City | None
    parameters: ChargeParameters
    valuation: Valuation | None
    factor_set: FactorSet
    fleet: Fleet
    class_shares: Mapping[str, float]
    evidence: ZoneEvidence
    results: Sequence[PeriodResult]
    missing: Sequence[Missing]
    expansion: Expansion | None
    totals_missing: str
    in_force: Mapping[str, object] | None
    table_versions: Mapping[str, int | None]
    window_minutes: int
    extra_files: Sequence[ParameterFile]


def canonical(body: Mapping[str, object]) -> str:
    """Return the one text of a document whatever the order of its keys."""
    return json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def proposal_id_of(text: str) -> str:
    """Return the id of a proposal: the first digits of its document's SHA-256."""
    return sha256_of(text)[:_ID_DIGITS]


def prices_of(body: Mapping[str, object]) -> dict[str, dict[str, int]]:
    """Return the stated prices of a proposal by period and class [minor units/km]."""
    prices: dict[str, dict[str, int]] = {}
    rows = body["prices"]
    for row in rows if isinstance(rows, list) else []:
        if row["price_minor_per_km"] is not None:
            prices.setdefault(row["period"], {})[row["charge_class"]] = row["price_minor_per_km"]
    return prices


def proposal_body(inputs: Inputs) -> dict[str, object]:
    """Return the document; it holds no clock time, so that equal inputs give an equal body."""
    verdict = verdict_of(inputs.missing)
    stated = inputs.valuation is not None
    return {
        "contract": CONTRACT,
        "verdict": verdict,
        "verdict_text": VERDICTS[verdict],
        "indicative": verdict == "hold",
        "missing": [item.record() for item in inputs.missing],
        "zone": _zone(inputs),
        "city": _city(inputs.city),
        "currency": inputs.valuation.currency if inputs.valuation else None,
        "price_year": inputs.valuation.price_year if inputs.valuation else None,
        "minor_digits": inputs.valuation.minor_digits if inputs.valuation else None,
        "price_unit": "minor units per km driven in the zone",
        "prices_stated": stated,
        "periods": [period.record() for period in inputs.parameters.periods],
        "classes": _classes(inputs),
        "prices": [row for result in inputs.results for row in _prices(inputs, result)],
        "prices_in_force": inputs.in_force,
        "external_cost": [_external(result) for result in inputs.results],
        "predicted": _predicted(inputs),
        "evidence": _evidence(inputs),
        "limits": list(LIMITS),
        "parameters": _parameters(inputs),
        "manifest": _manifest(inputs),
    }


def _zone(inputs: Inputs) -> dict[str, object]:
    zone = inputs.zone
    return {
        "name": zone.name,
        "resolution": zone.resolution,
        "n_cells": len(zone.cells),
        "area_km2": _digits(zone.area_km2),
        "mean_crossing_km": _digits(zone.crossing_km),
        "cells": [geo.cell_text(cell) for cell in zone.cells],
        "geometry": zone.geometry,
    }


def _city(city: City | None) -> dict[str, object] | None:
    if city is None:
        return None
    return {
        "name": city.name,
        "country": city.country,
        "time_zone": city.time_zone.key,
        "synthetic": city.synthetic,
    }


def _classes(inputs: Inputs) -> list[dict[str, object]]:
    vehicles = inputs.factor_set.classes
    return [
        {
            "charge_class": name,
            "label": item.label,
            "exempt": item.exempt,
            "share_of_vehicle_km": _digits(inputs.class_shares[name]),
            "passenger_car_units": item.passenger_car_units.value,
            "emission_classes": [
                key for key in inputs.fleet.shares if vehicles[key].charge_class == name
            ],
        }
        for name, item in inputs.parameters.classes.items()
        if name in inputs.class_shares
    ]


def _prices(inputs: Inputs, result: PeriodResult) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in inputs.class_shares:
        price = result.prices.get(name)
        row: dict[str, object] = {
            "period": result.period.name,
            "charge_class": name,
            "exempt": inputs.parameters.classes[name].exempt,
            "price_minor_per_km": None if price is None else price.minor_per_km,
            "typical_crossing_minor": None,
            "bounded_by": [] if price is None else list(price.bounded_by),
            "rationale": None,
        }
        if price is not None and inputs.valuation is not None:
            row["typical_crossing_minor"] = _crossing(inputs, price, inputs.valuation)
            if name in result.congestion:
                row["rationale"] = _rationale(result, name, inputs.valuation)
        rows.append(row)
    return rows


def _crossing(inputs: Inputs, price: Price, valuation: Valuation) -> int:
    """Return what a typical way through the zone costs, under the daily cap [minor units]."""
    return min(round(price.minor_per_km * inputs.zone.crossing_km), valuation.cap_minor_per_day)


def _rationale(result: PeriodResult, name: str, valuation: Valuation) -> dict[str, object]:
    minor = valuation.minor_per_unit
    return {
        part: {
            "median_minor_per_km": two_digits(costs[name].median * minor),
            "low_minor_per_km": two_digits(costs[name].low * minor),
            "high_minor_per_km": two_digits(costs[name].high * minor),
        }
        for part, costs in (("congestion", result.congestion), ("environment", result.environment))
    }


def _external(result: PeriodResult) -> dict[str, object]:
    """Return what a kilometre costs others in natural units, which needs no currency."""
    imposed = None if result.delay_imposed is None else result.delay_imposed.record()
    return {"period": result.period.name, "delay_imposed_s_per_km": imposed}


def _predicted(inputs: Inputs) -> dict[str, object]:
    priced = [(r, r.effect) for r in inputs.results if r.priced and r.effect is not None]
    simulation = inputs.parameters.simulation
    predicted: dict[str, object] = {
        "method": "elasticity of generalised trip cost, balanced with speed by the BPR function; "
        "Monte Carlo with common random numbers; median and 90 % interval, 2 significant digits",
        "compared_with": "no charge" if inputs.in_force is None else "the prices in force",
        "n_draws": int(simulation["draws"].value),
        "seed": int(simulation["seed"].value),
        "by_period": [_effect(result, effect) for result, effect in priced],
        "overall": None,
        "totals_per_week": None,
        "totals_missing": inputs.totals_missing or None,
    }
    if not priced:
        predicted["by_period_missing"] = (
            "not available: prices are not stated"
            if inputs.valuation is None
            else "not available: no period is priced"
        )
        return predicted
    weights = [_weekly_km(result) for result, _ in priced]
    overall = combined([effect for _, effect in priced], weights)
    predicted["overall"] = {
        **_changes(overall),
        "hours": "all charged periods together",
        "weights": "kilometres driven by probes: a proxy, not a count",
    }
    if inputs.expansion is not None and inputs.valuation is not None:
        predicted["totals_per_week"] = _totals(
            overall, sum(weights), inputs.expansion, inputs.valuation, inputs.parameters
        )
    return predicted


def _effect(result: PeriodResult, effect: Effect) -> dict[str, object]:
    return {
        "period": result.period.name,
        **_changes(effect),
        "n_vehicles": result.evidence.n_vehicles,
        "n_days": result.evidence.n_days,
    }


def _changes(effect: Effect) -> dict[str, object]:
    return {
        "traffic_change_pct": effect.traffic_change_pct().record(),
        "nox_change_pct": effect.nox_change_pct().record(),
        "speed_change_pct": effect.speed_change_pct().record(),
    }


def _weekly_km(result: PeriodResult) -> float:
    return result.evidence.distance_km_per_day * DAYS_PER_WEEK[result.period.days]


def _totals(
    effect: Effect,
    probe_km: float,
    expansion: Expansion,
    valuation: Valuation,
    parameters: ChargeParameters,
) -> dict[str, object]:
    """Return totals of an average week in the charged periods."""
    random = np.random.default_rng(int(parameters.simulation["seed"].value) + 2)
    spread = np.exp(expansion.log_sd * random.standard_normal(len(effect.vehicle_km_ratio)))
    km = probe_km * expansion.factor * spread
    paid = effect.paid_per_km * (1 - parameters.tariff["evasion"].value)
    nox = effect.nox_after_gkm - effect.nox_before_gkm
    unit = f"{valuation.currency} minor units/week"
    return {
        "vehicle_km_now": interval_of(km, "km/week").record(),
        "vehicle_km_change": interval_of(km * (effect.vehicle_km_ratio - 1), "km/week").record(),
        "nox_change": interval_of(km * nox / 1000, "kg/week").record(),
        "revenue": interval_of(km * paid * valuation.minor_per_unit, unit).record(),
        "revenue_note": "before operating cost and the daily cap, after evasion",
        **expansion.record(),
    }


def _evidence(inputs: Inputs) -> dict[str, object]:
    e = inputs.evidence
    return {
        "window_minutes": inputs.window_minutes,
        "n_cells": e.n_cells,
        "n_driven_cells": e.n_driven_cells,
        "n_days": e.n_days,
        "first_window": e.first_window,
        "last_window": e.last_window,
        "free_flow_look_back_days": _digits(e.free_flow_days),
        "free_flow_methods": dict(e.free_flow_methods),
        "fleet": {"surveyed": inputs.fleet.surveyed, "source": inputs.fleet.source},
        "by_period": [_period(result) for result in inputs.results],
    }


def _period(result: PeriodResult) -> dict[str, object]:
    e = result.evidence
    row: dict[str, object] = {"period": e.period, "withheld": e.withheld or None}
    if e.withheld:
        return row
    speed = None if e.pace_h_per_km is None else 1 / e.pace_h_per_km
    free = None if e.free_pace_h_per_km is None else 1 / e.free_pace_h_per_km
    half_width = 1.645 * e.pace_cv
    return row | {
        "n_cells": e.n_cells,
        "n_good_cells": e.n_good_cells,
        "n_days": e.n_days,
        "n_vehicles": e.n_vehicles,
        "n_vehicles_is_lower_bound": not e.vehicles_recounted,
        "n_providers": e.n_providers,
        "quality_counts": dict(e.quality_counts),
        "basis": e.basis,
        "space_mean_kmh": None
        if speed is None
        else {
            "value": round(speed, 1),
            "low": round(speed * float(np.exp(-half_width)), 1),
            "high": round(speed * float(np.exp(half_width)), 1),
        },
        "free_flow_kmh": None if free is None else round(free, 1),
        "delay_counted_from_kmh": None
        if result.reference_pace_h_per_km is None
        else round(1 / result.reference_pace_h_per_km, 1),
        "priced": result.priced,
    }


def _parameters(inputs: Inputs) -> list[dict[str, object]]:
    emission = inputs.factor_set.parameters
    tables = (
        emission.co2,
        *emission.wear.values(),
        emission.heavy_form,
        emission.pm2_5_fraction,
        emission.electric,
        {"sigma_log_pace": emission.sigma_log_pace},
        emission.uncertainty,
    )
    filed = [*inputs.parameters.all_parameters(), *(p for t in tables for p in t.values())]
    rows = [parameter.record() for parameter in filed]
    rows += [
        {
            "name": f"hot_exhaust.{name}.{quantity}",
            "unit": factor.unit,
            "source": factor.source,
            "status": factor.status.value,
        }
        for (name, quantity), factor in inputs.factor_set.hot.items()
        if name in inputs.fleet.shares and quantity != "energy"
    ]
    if inputs.valuation is not None:
        rows.append({"name": "valuation", **inputs.valuation.record()})
    return rows


def unverified_count(
    parameters: ChargeParameters, factor_set: FactorSet, valuation: Valuation | None
) -> int:
    """Return how many numbers behind a price nobody has confirmed; a transfer of money is one."""
    transfer = valuation is not None and valuation.status == "unverified"
    emission = factor_set.parameters
    filed = [*parameters.all_parameters(), *(p for t in emission.wear.values() for p in t.values())]
    return sum(parameter.status.value == "unverified" for parameter in filed) + transfer


def _manifest(inputs: Inputs) -> dict[str, object]:
    files = (inputs.parameters.file, *inputs.factor_set.files, *inputs.extra_files)
    return {
        "clearway_version": version("clearway"),
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
        "table_versions": dict(inputs.table_versions),
        "parameter_files": {file.name: file.sha256 for file in files},
    }


def _digits(value: float) -> float:
    """Return the value with 6 significant digits: sums in another order give the same text."""
    return float(f"{value:.6g}")
