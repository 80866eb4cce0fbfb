"""Makes a charge proposal from the lake, and keeps it there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from clearway_core.city import City
from clearway_core.clock import SystemClock
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_models import lake as tables
from clearway_models.charge.evidence import PeriodEvidence, ZoneEvidence
from clearway_models.charge.parameters import (
    REFERENCE_CLASS,
    ChargeParameters,
    read_charge_parameters,
)
from clearway_models.charge.periods import read_holidays
from clearway_models.charge.prediction import ChargeModel, PeriodTraffic
from clearway_models.charge.prices import Price, bounded_prices, capped_costs
from clearway_models.charge.proposal import (
    Inputs,
    PeriodResult,
    canonical,
    proposal_body,
    sha256_of,
    unverified_count,
)
from clearway_models.charge.valuation import Valuation, european_reference, value_for
from clearway_models.charge.verdict import Circumstances, judge
from clearway_models.charge.zone import Zone, read_zone
from clearway_models.emissions.factors import FactorSet, Fleet, read_factor_set, read_fleet
from clearway_models.expansion.counts import COUNTS_FILE, Expansion
from clearway_models.jobs.evidence import Calendar, gather_evidence
from clearway_models.jobs.expansion import count_expansion
from clearway_models.jobs.in_force import InForce, price_bounds, prices_in_force
from clearway_models.parameters import ParameterFile, parameter_file

_ID_DIGITS = 16
_TABLES = ("cell_travel", "vehicle_travel", "free_flow")
_N_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What the parameter files and the city pack say."""

    parameters: ChargeParameters
    factor_set: FactorSet
    fleet: Fleet
    valuation: Valuation | None
    calendar: Calendar
    counts: Path | None
    extra: tuple[ParameterFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    """What the lake says about a zone."""

    evidence: ZoneEvidence
    expansion: Expansion | None
    totals_missing: str
    in_force: InForce | None
    checked: bool
    window_minutes: int
    table_versions: Mapping[str, int | None]


def propose_charge(
    lake: Lake,
    *,
    zone: Path,
    city: City | None = None,
    resolution: int | None = None,
    window_minutes: int | None = None,
    progress: Progress = silent,
) -> dict[str, object]:
    """Make a charge proposal for a zone, keep it in the lake, and return it.

    Parameters
    ----------
    lake
        Lake with a congestion table; the newest version that passed its quality gate is read, or
        the newest of all, which then holds the proposal.
    zone
        GeoJSON or H3 cells.
    city
        City pack; without it, hours are UTC and no price is stated.
    resolution, window_minutes
        Which build to use; None takes resolution 9 and the longest window up to an hour. [min]

    Returns
    -------
    dict
        ``proposal_id``, the whole document ``charge_proposal/1``, and ``created_at``. The same
        lake, zone, city and files give the same id, and nothing is added a second time.

    Raises
    ------
    UsageError
        If the zone file or a file of the city pack has faults.
    InsufficientData
        If there is no congestion table at all.
    """
    progress(0, _N_STEPS, "reading the zone and the parameters")
    grid = tables.find_grid(lake, resolution=resolution, window_minutes=window_minutes)
    area = read_zone(zone, resolution=grid.resolution)
    files = _read_files(city)
    progress(1, _N_STEPS, "gathering the evidence")
    version = tables.passed_version(lake, "congestion")
    observed = _observe(lake, area, files, grid=grid, version=version)
    progress(2, _N_STEPS, "pricing and predicting")
    inputs = _price_all(area, city, files, observed)
    progress(3, _N_STEPS, "keeping the proposal")
    kept = _keep(lake, area, proposal_body(inputs))
    progress(_N_STEPS, _N_STEPS, "done")
    return kept


def _observe(
    lake: Lake, zone: Zone, files: _Files, *, grid: tables.Grid, version: int | None
) -> _Observed:
    flow_gsd = files.factor_set.parameters.uncertainty["flow"].value
    newest = lake.table("congestion").version()
    expansion, reason = count_expansion(
        lake,
        files.counts,
        resolution=grid.resolution,
        flow_gsd=flow_gsd,
        cells=frozenset(zone.cells),
    )
    read = _TABLES if files.counts is None else (*_TABLES, "gps_pings")
    return _Observed(
        evidence=gather_evidence(
            lake,
            zone,
            grid=grid,
            version=version,
            calendar=files.calendar,
            parameters=files.parameters,
        ),
        expansion=expansion,
        totals_missing=reason,
        in_force=prices_in_force(lake, zone.name),
        checked=version is not None,
        window_minutes=grid.window_minutes,
        table_versions={
            "congestion": newest if version is None else version,
            **tables.table_versions(lake, read),
        },
    )


def _price_all(zone: Zone, city: City | None, files: _Files, observed: _Observed) -> Inputs:
    model = ChargeModel(
        files.parameters,
        files.valuation or european_reference(files.parameters),
        factor_set=files.factor_set,
        fleet=files.fleet,
        zone_crossing_km=zone.crossing_km,
    )
    evidence = observed.evidence
    lift = quiet_lift(evidence, files.parameters)
    results = [
        _result(model, period, files, in_force=observed.in_force, lift=lift)
        for period in evidence.periods
    ]
    circumstances = _circumstances(city, files, results, observed=observed)
    return Inputs(
        zone=zone,
        city=city,
        parameters=files.parameters,
        valuation=files.valuation,
        factor_set=files.factor_set,
        fleet=files.fleet,
        class_shares=model.central_shares(),
        evidence=evidence,
        results=results,
        missing=judge(evidence, circumstances, files.parameters),
        expansion=observed.expansion,
        totals_missing=observed.totals_missing,
        in_force=None if observed.in_force is None else observed.in_force.record(),
        table_versions=observed.table_versions,
        window_minutes=observed.window_minutes,
        extra_files=files.extra,
    )


def _read_files(city: City | None) -> _Files:
    parameters = read_charge_parameters()
    factor_set = read_factor_set()
    fleet_file, counts, holidays = (
        city.file(name) if city else None for name in ("fleet.csv", COUNTS_FILE, "holidays.csv")
    )
    valuation = value_for(parameters, city)
    extra = [parameter_file(path) for path in (fleet_file, counts, holidays) if path is not None]
    return _Files(
        parameters=parameters,
        factor_set=factor_set,
        fleet=read_fleet(factor_set.classes, fleet_file),
        valuation=valuation,
        calendar=Calendar(
            time_zone=city.time_zone.key if city else "UTC",
            holidays=read_holidays(holidays),
        ),
        counts=counts,
        extra=(*extra, *(valuation.files if valuation else ())),
    )


def quiet_lift(evidence: ZoneEvidence, parameters: ChargeParameters) -> float:
    """Return by how much the free-flow pace is lifted, so that quiet hours show no delay; >= 1 [1].

    The free-flow speed is a high percentile: of thin windows it is the luck of a few fast ones,
    and even empty streets stay behind it. What one more car delays is measured against the pace of
    quiet hours instead, where that is slower: rather too little is charged for than too much.
    """
    quiet = {period.name for period in parameters.periods if period.quiet}
    ratios = [
        item.pace_h_per_km / item.free_pace_h_per_km
        for item in evidence.periods
        if item.period in quiet
        and item.usable
        and item.pace_h_per_km is not None
        and item.free_pace_h_per_km
    ]
    return max([1.0, *ratios])


def _result(
    model: ChargeModel,
    evidence: PeriodEvidence,
    files: _Files,
    *,
    in_force: InForce | None,
    lift: float,
) -> PeriodResult:
    period = next(p for p in files.parameters.periods if p.name == evidence.period)
    pace, free = evidence.pace_h_per_km, evidence.free_pace_h_per_km
    if not evidence.usable or pace is None or free is None:
        return PeriodResult(
            period=period,
            evidence=evidence,
            prices={},
            congestion={},
            environment={},
            reference_pace_h_per_km=None,
            delay_imposed=None,
            effect=None,
        )
    reference = free * lift
    valuation = files.valuation
    paid = None if in_force is None else in_force.prices.get(period.name, {})
    minor = 1 if valuation is None else valuation.minor_per_unit
    traffic = PeriodTraffic(
        period=period.name,
        pace_h_per_km=pace,
        free_pace_h_per_km=reference,
        pace_cv=evidence.pace_cv,
        in_force_per_km=None if paid is None else {k: v / minor for k, v in paid.items()},
    )
    prices: dict[str, Price] = {}
    if valuation is not None:
        prices = _prices(model, traffic, files.parameters, valuation, previous=paid)
    congestion, environment = model.cost_intervals(traffic) if prices else ({}, {})
    per_km = {name: price.minor_per_km / minor for name, price in prices.items()}
    return PeriodResult(
        period=period,
        evidence=evidence,
        prices=prices,
        congestion=congestion,
        environment=environment,
        reference_pace_h_per_km=reference,
        delay_imposed=model.delay_imposed(traffic),
        effect=model.effect(traffic, per_km) if any(per_km.values()) else None,
    )


def _prices(
    model: ChargeModel,
    traffic: PeriodTraffic,
    parameters: ChargeParameters,
    valuation: Valuation,
    *,
    previous: Mapping[str, int] | None,
) -> dict[str, Price]:
    """Return the prices of a period; delay is charged for only where it is certain at 90 %."""
    congestion, environment = model.efficient_costs(traffic)
    certain = model.delay_imposed(traffic).low > 0
    minor, classes = valuation.minor_per_unit, parameters.classes
    cost = capped_costs(
        {name: value * minor * certain for name, value in congestion.items()},
        {name: value * minor for name, value in environment.items()},
        cap_minor=valuation.cap_minor_per_km,
        road_space={name: classes[name].passenger_car_units.value for name in congestion},
    )
    prices = bounded_prices(
        {name: 0.0 if classes[name].exempt else value for name, value in cost.items()},
        price_bounds(parameters, valuation.record()),
        reference=REFERENCE_CLASS,
        previous=previous,
    )
    for name, price in prices.items():
        cap_minor = valuation.cap_minor_per_km * classes[name].passenger_car_units.value
        capped = certain and not classes[name].exempt and congestion[name] * minor > cap_minor
        if capped and "cap" not in price.bounded_by:
            prices[name] = Price(price.minor_per_km, ("cap", *price.bounded_by))
    return prices


def _circumstances(
    city: City | None, files: _Files, results: Sequence[PeriodResult], *, observed: _Observed
) -> Circumstances:
    priced = [result for result in results if result.priced]
    return Circumstances(
        has_city=city is not None,
        has_currency=files.valuation is not None,
        totals_missing=observed.totals_missing,
        has_fleet=files.fleet.surveyed,
        has_population=city is not None and city.file("population.csv") is not None,
        currency=city.currency if city else None,
        checked=observed.checked,
        priced_periods=[result.period.name for result in priced],
        uncertain_periods=[
            result.period.name
            for result in results
            if result.delay_imposed is not None and result.delay_imposed.low <= 0
        ],
        unverified=unverified_count(files.parameters, files.factor_set, files.valuation),
        converged=all(result.effect is not None for result in priced),
    )


def _keep(lake: Lake, zone: Zone, body: dict[str, object]) -> dict[str, object]:
    text = canonical(body)
    proposal_id = sha256_of(text)[:_ID_DIGITS]
    table = lake.table("charge_proposals")
    held = table.scan().filter(pl.col("proposal_id").eq(proposal_id)).select("created_at").collect()
    created_at = SystemClock().now() if held.is_empty() else held["created_at"][0]
    if held.is_empty():
        table.append(
            pl.DataFrame(
                {
                    "proposal_id": [proposal_id],
                    "zone_name": [zone.name],
                    "zone_geojson": [json.dumps(zone.geometry)],
                    "verdict": [body["verdict"]],
                    "currency": [body["currency"]],
                    "price_year": [body["price_year"]],
                    "body_json": [text],
                    "manifest_json": [json.dumps(body["manifest"], sort_keys=True)],
                    "created_at": [created_at],
                },
                schema_overrides={
                    "currency": pl.String,
                    "price_year": pl.Int32,
                    "created_at": pl.Datetime("us", "UTC"),
                },
            )
        )
    return {"proposal_id": proposal_id, **body, "created_at": created_at.isoformat()}
