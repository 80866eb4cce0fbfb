"""Makes a charge proposal from the lake, and keeps it there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from clearway_core.calendar import Calendar, read_calendar
from clearway_core.city import City
from clearway_core.clock import SystemClock
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_core.publication import passed_version
from clearway_models import lake as tables
from clearway_models.charge.evidence import ZoneEvidence
from clearway_models.charge.parameters import (
    ChargeParameters,
    read_charge_parameters,
)
from clearway_models.charge.prediction import ChargeModel
from clearway_models.charge.pricing import PeriodResult, price_periods
from clearway_models.charge.proposal import (
    Inputs,
    canonical,
    proposal_body,
    proposal_id_of,
    unverified_count,
)
from clearway_models.charge.valuation import Valuation, european_reference, value_for
from clearway_models.charge.verdict import Circumstances, judge
from clearway_models.charge.zone import Zone, read_zone
from clearway_models.emissions.factors import FactorSet, Fleet, read_factor_set, read_fleet
from clearway_models.expansion.counts import COUNTS_FILE, Expansion
from clearway_models.jobs.evidence import gather_evidence
from clearway_models.jobs.expansion import count_expansion
from clearway_models.jobs.in_force import InForce, prices_in_force
from clearway_models.parameters import ParameterFile, parameter_file

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
    version = passed_version(lake, "congestion")
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
    in_force = observed.in_force
    results = price_periods(
        model,
        evidence,
        stated=files.valuation is not None,
        in_force=None if in_force is None else in_force.prices,
    )
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
        in_force=None if in_force is None else in_force.record(),
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
        calendar=read_calendar(city),
        counts=counts,
        extra=(*extra, *(valuation.files if valuation else ())),
    )


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
    proposal_id = proposal_id_of(text)
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
