"""The document of a proposal, from results that are made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from clearway_core.city import City
from clearway_core.geo import cell_at, cell_text, disk
from clearway_models.charge.effect import Effect, interval_of
from clearway_models.charge.evidence import PeriodEvidence, ZoneEvidence
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.prices import Price
from clearway_models.charge.pricing import PeriodResult
from clearway_models.charge.proposal import (
    Inputs,
    canonical,
    prices_of,
    proposal_body,
    proposal_id_of,
    sha256_of,
    unverified_count,
)
from clearway_models.charge.valuation import european_reference
from clearway_models.charge.verdict import Consequence, Missing
from clearway_models.charge.zone import Zone
from clearway_models.emissions.factors import Fleet, read_factor_set
from clearway_models.expansion.counts import IN_ZONE, Expansion
from clearway_models.parameters import ParameterFile, Status

PARAMETERS = read_charge_parameters()
FACTORS = read_factor_set()
VALUATION = european_reference(PARAMETERS)
FLEET = Fleet(
    shares={"car_petrol_euro_4": 0.9, "bus_15_18t_euro_5": 0.1}, source="survey", surveyed=True
)
CELLS = tuple(sorted(disk(cell_at(100.62, 12.90, 9), 1)))
PEAK = PeriodEvidence(
    period="am_peak",
    n_cells=7,
    n_good_cells=6,
    n_days=12,
    n_vehicles=40,
    n_providers=2,
    vehicles_recounted=True,
    quality_counts={"A": 100, "B": 50, "C": 5},
    basis="A+B",
    pace_h_per_km=0.0503,
    free_pace_h_per_km=0.0252,
    pace_cv=0.1,
    distance_km_per_day=500.0,
)
HOLE = Missing(
    what="days",
    effect=Consequence.HOLD,
    found="1 day",
    required="14 days",
    consequence="c",
    remedy="r",
)


def effect(ratio: float, after_gkm: float) -> Effect:
    n = int(PARAMETERS.simulation["draws"].value)
    return Effect(
        vehicle_km_ratio=np.full(n, ratio),
        nox_before_gkm=np.full(n, 0.4),
        nox_after_gkm=np.full(n, after_gkm),
        pace_before=np.full(n, 0.05),
        pace_after=np.full(n, 0.04),
        paid_per_km=np.full(n, 0.6),
    )


def result(name: str, evidence: PeriodEvidence = PEAK, **values: Any) -> PeriodResult:
    period = next(p for p in PARAMETERS.periods if p.name == name)
    return PeriodResult(period=period, evidence=replace(evidence, period=name), **values)


def priced(name: str = "am_peak", ratio: float = 0.8, km: float = 500.0) -> PeriodResult:
    return result(
        name,
        replace(PEAK, distance_km_per_day=km),
        reference_pace_h_per_km=0.03,
        delay_imposed=interval_of(np.full(3, 240.0), "s/km"),
        prices={"car": Price(60, ("cap",)), "bus": Price(0, ())},
        congestion={
            name: interval_of(np.array([0.4, 0.5, 0.6]), "EUR/km") for name in ("car", "bus")
        },
        environment={name: interval_of(np.full(3, 0.0123), "EUR/km") for name in ("car", "bus")},
        effect=effect(ratio, 0.3),
    )


def inputs(*results: PeriodResult, **changes: Any) -> Inputs:
    values: dict[str, Any] = {
        "zone": Zone(name="Old town", geometry={"type": "Polygon"}, resolution=9, cells=CELLS),
        "city": None,
        "parameters": PARAMETERS,
        "valuation": VALUATION,
        "factor_set": FACTORS,
        "fleet": FLEET,
        "class_shares": {"car": 0.9, "bus": 0.1},
        "evidence": ZoneEvidence(
            n_cells=7,
            n_driven_cells=6,
            n_days=14,
            first_window="a",
            last_window="b",
            free_flow_days=27.12345678,
            free_flow_methods={"night_p85": 6},
            periods=(PEAK,),
        ),
        "results": list(results) or [priced()],
        "missing": (),
        "expansion": None,
        "totals_missing": "not available: no counts",
        "in_force": None,
        "table_versions": {"congestion": 3, "gps_pings": None},
        "window_minutes": 60,
        "extra_files": (ParameterFile("fleet.csv", "ff"),),
    }
    return Inputs(**{**values, **changes})


def body(*results: PeriodResult, **changes: Any) -> dict[str, Any]:
    made = proposal_body(inputs(*results, **changes))
    assert json.loads(canonical(made)) == made
    return made


def test_document_says_what_it_is_and_on_what_money() -> None:
    made = body()

    assert (made["contract"], made["verdict"], made["indicative"]) == (
        "charge_proposal/1",
        "propose",
        False,
    )
    assert (made["currency"], made["price_year"], made["minor_digits"]) == ("EUR", 2016, 2)
    assert made["prices_stated"]
    assert made["zone"]["n_cells"] == 7
    assert made["zone"]["cells"] == [cell_text(cell) for cell in CELLS]
    assert made["city"] is None
    assert made["manifest"]["table_versions"] == {"congestion": 3, "gps_pings": None}
    assert made["manifest"]["parameter_files"]["fleet.csv"] == "ff"
    assert set(made["manifest"]["parameter_files"]) >= {"charge.toml", "hot_exhaust.csv"}


def test_hold_is_indicative_and_lists_its_holes() -> None:
    made = body(missing=(HOLE,))

    assert (made["verdict"], made["indicative"]) == ("hold", True)
    assert made["verdict_text"] == "hold: not enough evidence"
    assert made["missing"] == [HOLE.record()]


def test_city_is_named_with_its_clock() -> None:
    city = SimpleNamespace(
        name="Sample", country="XX", time_zone=ZoneInfo("Asia/Bangkok"), synthetic=True
    )

    assert body(city=cast("City", city))["city"] == {
        "name": "Sample",
        "country": "XX",
        "time_zone": "Asia/Bangkok",
        "synthetic": True,
    }


def test_classes_are_those_of_the_fleet_with_their_share() -> None:
    classes = {row["charge_class"]: row for row in body()["classes"]}

    assert set(classes) == {"car", "bus"}
    assert classes["car"]["emission_classes"] == ["car_petrol_euro_4"]
    assert (classes["car"]["share_of_vehicle_km"], classes["car"]["exempt"]) == (0.9, False)
    assert classes["bus"]["exempt"]


def test_price_comes_with_a_typical_crossing_and_its_reasons() -> None:
    made = body()
    car, bus = made["prices"]

    crossing = made["zone"]["mean_crossing_km"]
    assert car["price_minor_per_km"] == 60
    assert car["typical_crossing_minor"] == round(60 * crossing)
    assert car["bounded_by"] == ["cap"]
    assert car["rationale"] == {
        "congestion": {
            "median_minor_per_km": 50.0,
            "low_minor_per_km": 41.0,
            "high_minor_per_km": 59.0,
        },
        "environment": dict.fromkeys(
            ("median_minor_per_km", "low_minor_per_km", "high_minor_per_km"), 1.2
        ),
    }
    assert (bus["price_minor_per_km"], bus["exempt"]) == (0, True)


def test_crossing_never_costs_more_than_the_day() -> None:
    dear = replace(priced(), prices={"car": Price(100_000, ())})

    row, other = body(dear)["prices"]

    assert row["typical_crossing_minor"] == VALUATION.cap_minor_per_day
    assert (other["price_minor_per_km"], other["rationale"], other["bounded_by"]) == (
        None,
        None,
        [],
    )


def test_without_money_there_is_a_delay_and_no_price() -> None:
    delayed = result(
        "am_peak",
        reference_pace_h_per_km=0.03,
        delay_imposed=interval_of(np.full(3, 240.0), "s/km"),
    )

    made = body(delayed, valuation=None)

    assert not made["prices_stated"]
    assert (made["currency"], made["price_year"], made["minor_digits"]) == (None, None, None)
    assert all(row["price_minor_per_km"] is None for row in made["prices"])
    assert made["external_cost"][0]["delay_imposed_s_per_km"]["median"] == 240
    assert made["predicted"]["by_period_missing"] == "not available: prices are not stated"
    assert body(delayed)["predicted"]["by_period_missing"] == "not available: no period is priced"
    assert "valuation" not in {row["name"] for row in made["parameters"]}


def test_effect_of_all_periods_weighs_the_kilometres_of_a_week() -> None:
    free_day = priced("free_day", ratio=0.5, km=1250.0)
    free = replace(priced("night"), prices={"car": Price(0, ())})

    predicted = body(priced(), free_day, free)["predicted"]

    assert [row["period"] for row in predicted["by_period"]] == ["am_peak", "free_day"]
    assert predicted["by_period"][0]["traffic_change_pct"]["median"] == -20
    assert (predicted["by_period"][0]["n_vehicles"], predicted["by_period"][0]["n_days"]) == (
        40,
        12,
    )
    # 5 x 500 km on working days and 2 x 1,250 on free ones: half and half.
    assert predicted["overall"]["traffic_change_pct"]["median"] == -35
    assert predicted["compared_with"] == "no charge"
    assert (predicted["totals_per_week"], predicted["totals_missing"]) == (
        None,
        "not available: no counts",
    )
    assert "by_period_missing" not in predicted
    nights = body(priced(km=140.0), priced("night", ratio=0.5, km=100.0))["predicted"]
    assert nights["overall"]["traffic_change_pct"]["median"] == -35  # seven of them
    assert (
        body(in_force={"proposal_id": "x"})["predicted"]["compared_with"] == "the prices in force"
    )


def test_totals_are_what_counts_make_of_the_probes() -> None:
    expansion = Expansion(
        factor=20.0,
        log_sd=0.1,
        hour_log_sd=0.2,
        n_probes=100,
        n_counted=2000.0,
        n_sites=3,
        n_site_hours=9,
        basis=IN_ZONE,
    )

    predicted = body(expansion=expansion, totals_missing="")["predicted"]
    totals = predicted["totals_per_week"]

    km = 5 * 500 * 20
    assert totals["vehicle_km_now"]["median"] == pytest.approx(km, rel=0.01)
    spread = np.exp(1.645 * 0.1)
    assert totals["vehicle_km_now"]["low"] == pytest.approx(km / spread, rel=0.03)
    assert totals["vehicle_km_now"]["high"] == pytest.approx(km * spread, rel=0.03)
    assert totals["vehicle_km_change"]["median"] == pytest.approx(-0.2 * km, rel=0.02)
    assert totals["nox_change"]["median"] == pytest.approx(-0.1 * km / 1000, rel=0.02)
    evaded = 1 - PARAMETERS.tariff["evasion"].value
    assert totals["revenue"]["median"] == pytest.approx(km * 0.6 * 100 * evaded, rel=0.03)
    assert totals["revenue"]["unit"] == "EUR minor units/week"
    assert totals["counted_at"] == IN_ZONE
    assert predicted["totals_missing"] is None
    no_money = body(expansion=expansion, valuation=None, totals_missing="")
    assert no_money["predicted"]["totals_per_week"] is None


def test_evidence_of_a_period_gives_speeds_with_their_interval() -> None:
    evidence = body()["evidence"]

    (row,) = evidence["by_period"]
    assert evidence["free_flow_look_back_days"] == 27.1235
    assert (evidence["n_cells"], evidence["n_driven_cells"]) == (7, 6)
    assert row["space_mean_kmh"] == {
        "value": 19.9,
        "low": round(float(np.exp(-0.1645)) / 0.0503, 1),
        "high": round(float(np.exp(0.1645)) / 0.0503, 1),
    }
    assert (row["free_flow_kmh"], row["delay_counted_from_kmh"]) == (39.7, 33.3)
    assert row["priced"]
    assert not row["n_vehicles_is_lower_bound"]
    assert row["withheld"] is None


def test_period_that_is_withheld_shows_nothing_else() -> None:
    hidden = result("am_peak", replace(PEAK, withheld="fewer than 10 distinct vehicles"))
    unseen = result("night", replace(PEAK, pace_h_per_km=None, free_pace_h_per_km=None))

    first, second = body(hidden, unseen)["evidence"]["by_period"]

    assert first == {"period": "am_peak", "withheld": "fewer than 10 distinct vehicles"}
    speeds = ("space_mean_kmh", "free_flow_kmh", "delay_counted_from_kmh")
    assert [second[name] for name in speeds] == [None, None, None]
    assert not second["priced"]


def test_parameters_are_listed_with_curves_of_the_fleet_alone() -> None:
    names = [row["name"] for row in body()["parameters"]]

    assert len(names) == len(set(names))
    assert {"damage_cost.nox", "wear.car.tyre", "co2.petrol", "valuation"} <= set(names)
    curves = {name for name in names if name.startswith("hot_exhaust.")}
    assert curves == {
        f"hot_exhaust.{name}.{quantity}"
        for name in FLEET.shares
        for quantity in ("nox", "pm_exhaust")
    }


def test_unverified_numbers_are_counted_and_a_transfer_is_one() -> None:
    sure = {name: replace(p, status=Status.VERIFIED) for name, p in PARAMETERS.damage_cost.items()}
    fewer = replace(PARAMETERS, damage_cost=sure)

    all_of_them = unverified_count(PARAMETERS, FACTORS, VALUATION)

    assert unverified_count(fewer, FACTORS, VALUATION) == all_of_them - 2
    assert unverified_count(PARAMETERS, FACTORS, None) == all_of_them - 1
    own = replace(VALUATION, status="city")
    assert unverified_count(PARAMETERS, FACTORS, own) == all_of_them - 1


def test_same_document_has_the_same_id_in_any_order_of_its_keys() -> None:
    text = canonical({"b": 1, "a": "µ"})

    assert text == '{"a":"µ","b":1}' == canonical({"a": "µ", "b": 1})
    assert sha256_of(text).startswith(proposal_id_of(text))
    assert len(proposal_id_of(text)) == 16
    with pytest.raises(ValueError, match="Out of range"):
        canonical({"a": float("nan")})


def test_stated_prices_are_read_back_by_period_and_class() -> None:
    made = body(priced(), result("night"))

    assert prices_of(made) == {"am_peak": {"car": 60, "bus": 0}}
    assert prices_of({"prices": None}) == {}
