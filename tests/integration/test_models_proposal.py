"""A proposal from the lake to its publication, on a made-up city whose jam is known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from doubles.models_lake import CELLS, Scene, write_city, write_lake, write_zone

from clearway_core.errors import ClearwayError, InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_models import jobs

GOOD = Scene()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lake with enough evidence; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("written")
    write_lake(folder, GOOD)
    return folder


@pytest.fixture
def lake(written: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(written / "lake", tmp_path / "lake"))


def propose(lake: Lake, folder: Path, **city: Any) -> dict[str, Any]:
    return jobs.propose_charge(
        lake,
        zone=write_zone(folder / "z.geojson"),
        city=write_city(folder / "city", **city),
    )


def missing(proposal: dict[str, Any]) -> dict[str, str]:
    return {item["what"]: item["effect"] for item in proposal["missing"]}


def price(proposal: dict[str, Any], period: str, charge_class: str) -> int | None:
    rows = {(row["period"], row["charge_class"]): row for row in proposal["prices"]}
    value: int | None = rows[period, charge_class]["price_minor_per_km"]
    return value


def rows_of(lake: Lake, table: str) -> pl.DataFrame:
    return lake.table(table).scan().collect()


def test_enough_evidence_is_proposed_with_prices_effects_and_reasons(
    lake: Lake, tmp_path: Path
) -> None:
    proposal = propose(lake, tmp_path)

    assert proposal["verdict"] == "propose"
    assert "hold" not in missing(proposal).values()
    assert price(proposal, "am_peak", "car") == 100
    assert price(proposal, "night", "car") == 0
    assert price(proposal, "am_peak", "bus") == 0
    overall = proposal["predicted"]["overall"]
    for change in ("traffic_change_pct", "nox_change_pct"):
        interval = overall[change]
        assert interval["low"] < interval["median"] < interval["high"] < 0
    assert overall["speed_change_pct"]["low"] > 0
    reasons = proposal["prices"][1]["rationale"]
    assert reasons["congestion"]["median_minor_per_km"] > 50
    assert 0 < reasons["environment"]["median_minor_per_km"] < 5


def test_zone_speed_is_distance_over_time_of_the_probes(lake: Lake, tmp_path: Path) -> None:
    evidence = propose(lake, tmp_path)["evidence"]

    peak = next(row for row in evidence["by_period"] if row["period"] == "am_peak")
    assert peak["space_mean_kmh"]["value"] == pytest.approx(20.0, abs=0.2)
    assert peak["free_flow_kmh"] == 40.0
    # Vehicles are counted once per pseudonym epoch, and the largest epoch is taken: 20, not 240.
    assert peak["n_vehicles"] == GOOD.n_vehicles
    assert peak["n_days"] == 12


def test_counts_give_totals_and_revenue(lake: Lake, tmp_path: Path) -> None:
    totals = propose(lake, tmp_path)["predicted"]["totals_per_week"]

    # 20 probes and 400 counted vehicles an hour: 20 vehicles stand behind one probe.
    assert totals["vehicles_per_probe"] == pytest.approx(20.0)
    assert totals["revenue"]["low"] > 0
    assert totals["vehicle_km_change"]["high"] < 0


@pytest.mark.parametrize(
    ("scene", "what"),
    [
        (replace(GOOD, n_days=2), "days"),
        (replace(GOOD, look_back_days=3.0), "free_flow_look_back"),
        (replace(GOOD, quality="C"), "cells_with_good_quality"),
        (replace(GOOD, checked=False), "quality_check"),
    ],
)
def test_thin_evidence_holds_with_indicative_prices(
    tmp_path: Path, scene: Scene, what: str
) -> None:
    lake = write_lake(tmp_path, scene)

    proposal = propose(lake, tmp_path)

    assert proposal["verdict"] == "hold"
    assert proposal["verdict_text"] == "hold: not enough evidence"
    assert missing(proposal)[what] == "hold"
    assert proposal["indicative"] is True
    assert price(proposal, "am_peak", "car") == 100
    assert all(item["remedy"] and item["consequence"] for item in proposal["missing"])


def test_version_that_failed_a_later_check_is_held(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, n_days=2))
    checks = lake.table("quality_checks")
    later = pl.col("checked_at") + pl.duration(days=1)
    checks.append(
        rows_of(lake, "quality_checks").with_columns(passed=pl.lit(value=False), checked_at=later)
    )

    assert missing(propose(lake, tmp_path))["quality_check"] == "hold"


def test_free_traffic_gives_nothing_to_charge_cars_for(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, peak_kmh=40.0))

    proposal = propose(lake, tmp_path)

    assert all(price(proposal, p["period"], "car") == 0 for p in proposal["periods"])
    assert missing(proposal)["certain_delay"] == "limits_claims"


def test_delay_is_counted_from_the_pace_of_quiet_hours(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, night_kmh=30.0))

    proposal = propose(lake, tmp_path)

    imposed = {row["period"]: row["delay_imposed_s_per_km"] for row in proposal["external_cost"]}
    # 4 x (180 s - 120 s) per kilometre, although the free-flow speed is 40 km/h; nothing at night.
    assert imposed["am_peak"]["median"] == pytest.approx(240, rel=0.05)
    assert imposed["night"]["low"] == 0
    assert price(proposal, "night", "car") == 0


def test_hours_without_data_are_named(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, n_days=1))

    proposal = propose(lake, tmp_path)

    assert missing(proposal)["hours"] == "limits_claims"
    assert price(proposal, "free_day", "car") is None


def test_few_vehicles_are_withheld(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, n_vehicles=6))

    proposal = propose(lake, tmp_path)

    assert proposal["verdict"] == "hold"
    for row in proposal["evidence"]["by_period"]:
        assert row == {
            "period": row["period"],
            "withheld": "fewer than 10 distinct vehicles",
        }
    assert all(row["price_minor_per_km"] is None for row in proposal["prices"])
    assert all(row["delay_imposed_s_per_km"] is None for row in proposal["external_cost"])


def test_without_currency_no_price_is_stated(lake: Lake, tmp_path: Path) -> None:
    proposal = propose(lake, tmp_path, currency=None)

    assert missing(proposal)["currency"] == "hold"
    assert proposal["currency"] is None
    assert all(row["price_minor_per_km"] is None for row in proposal["prices"])
    assert proposal["predicted"]["by_period"] == []
    imposed = {row["period"]: row["delay_imposed_s_per_km"] for row in proposal["external_cost"]}
    # 4 x (180 s - 90 s) per kilometre at 20 instead of 40 km/h.
    assert imposed["am_peak"]["median"] == pytest.approx(360, rel=0.05)


def test_without_city_pack_the_lake_still_answers(lake: Lake, tmp_path: Path) -> None:
    proposal = jobs.propose_charge(lake, zone=write_zone(tmp_path / "z.geojson"))

    assert missing(proposal)["city_pack"] == "hold"
    assert missing(proposal)["counts"] == "limits_claims"
    assert proposal["predicted"]["totals_missing"] == "not available: no counts"


def test_without_optional_files_only_claims_are_lost(lake: Lake, tmp_path: Path) -> None:
    proposal = propose(lake, tmp_path, optional=False)

    assert proposal["verdict"] == "propose"
    for what in ("counts", "fleet_survey", "population_and_income"):
        assert missing(proposal)[what] == "limits_claims"
    assert proposal["predicted"]["totals_per_week"] is None


def test_zone_elsewhere_is_held_for_lack_of_traffic(lake: Lake, tmp_path: Path) -> None:
    away = tmp_path / "away.geojson"
    ring = [[10.0, 50.0], [10.02, 50.0], [10.02, 50.02], [10.0, 50.02], [10.0, 50.0]]
    away.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}), encoding="utf-8")

    proposal = jobs.propose_charge(lake, zone=away, city=write_city(tmp_path / "city"))

    assert missing(proposal)["traffic"] == "hold"


def test_empty_lake_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InsufficientData, match="clearway build congestion"):
        jobs.propose_charge(Lake(tmp_path / "lake"), zone=write_zone(tmp_path / "z.geojson"))


def test_same_input_gives_the_same_id_and_one_row(lake: Lake, tmp_path: Path) -> None:
    first, second = propose(lake, tmp_path), propose(lake, tmp_path)

    assert first == second
    assert rows_of(lake, "charge_proposals").height == 1
    assert len(first["proposal_id"]) == 16


def test_without_vehicle_rows_the_count_is_a_lower_bound(lake: Lake, tmp_path: Path) -> None:
    emptied = lake.table("vehicle_travel")
    emptied.replace(rows_of(lake, "vehicle_travel").clear(), {})

    evidence = propose(lake, tmp_path)["evidence"]["by_period"]

    assert all(row["n_vehicles_is_lower_bound"] for row in evidence)


def test_approved_proposal_is_published_once_with_its_record(lake: Lake, tmp_path: Path) -> None:
    proposal = propose(lake, tmp_path)
    proposal_id = proposal["proposal_id"]
    jobs.decide(lake, proposal_id, decision="approved", decided_by="Ana Lim", note="as read")
    jobs.decide(lake, proposal_id, decision="approved", decided_by="Ana Lim")

    first = jobs.publish(lake, proposal_id, published_by="Ana Lim")
    again = jobs.publish(lake, proposal_id[:6], published_by="Someone Else")

    assert first.published_at == again.published_at
    audit = rows_of(lake, "charge_decisions").sort("decided_at")
    assert audit["decision"].to_list() == ["approved", "published"]
    assert first.file is not None
    document = json.loads(Path(first.file).read_text(encoding="utf-8"))
    assert document["proposal"]["prices"] == proposal["prices"]
    assert document["proposal_sha256"][:16] == proposal_id


def test_hold_may_be_acknowledged_but_is_never_published(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, n_days=2))
    proposal_id = propose(lake, tmp_path)["proposal_id"]
    jobs.decide(lake, proposal_id, decision="approved", decided_by="Ana Lim")

    with pytest.raises(ClearwayError, match="verdict is hold"):
        jobs.publish(lake, proposal_id, published_by="Ana Lim")

    audit = rows_of(lake, "charge_decisions").sort("decided_at")
    assert audit["decision"].to_list() == ["approved", "refused_at_publication"]
    assert not (tmp_path / "published").exists()


def test_nothing_is_published_without_or_against_a_persons_answer(
    lake: Lake, tmp_path: Path
) -> None:
    proposal_id = propose(lake, tmp_path)["proposal_id"]
    with pytest.raises(ClearwayError, match="no person's approval"):
        jobs.publish(lake, proposal_id, published_by="Ana Lim")

    jobs.decide(lake, proposal_id, decision="approved", decided_by="Ana Lim")
    jobs.decide(lake, proposal_id, decision="rejected", decided_by="Ben Ode")

    with pytest.raises(ClearwayError, match="no person's approval"):
        jobs.publish(lake, proposal_id, published_by="Ana Lim")


@pytest.mark.parametrize("name", ["", "  ", "airflow", "System"])
def test_only_a_person_decides(lake: Lake, tmp_path: Path, name: str) -> None:
    proposal_id = propose(lake, tmp_path)["proposal_id"]

    with pytest.raises(UsageError, match="name of a person"):
        jobs.decide(lake, proposal_id, decision="approved", decided_by=name)


def test_changed_document_is_refused(lake: Lake, tmp_path: Path) -> None:
    proposal_id = propose(lake, tmp_path)["proposal_id"]
    jobs.decide(lake, proposal_id, decision="approved", decided_by="Ana Lim")
    table = lake.table("charge_proposals")
    changed = rows_of(lake, "charge_proposals").with_columns(
        pl.col("body_json").str.replace('"price_minor_per_km":100', '"price_minor_per_km":101')
    )
    table.replace(changed, {})

    reasons = jobs.refusals(lake, proposal_id)

    assert "the document does not have the SHA-256 that its id states" in reasons
    assert "the document was changed after the approval" in reasons
    assert any("101 is not a multiple of 5" in reason for reason in reasons)


def test_published_prices_bound_the_next_proposal_and_stop_a_stale_one(
    lake: Lake, tmp_path: Path
) -> None:
    city = write_city(tmp_path / "city")
    zone = write_zone(tmp_path / "z.geojson")
    first = jobs.propose_charge(lake, zone=zone, city=city)
    stale = jobs.propose_charge(lake, zone=zone, city=write_city(tmp_path / "b", optional=False))
    for proposal in (first, stale):
        jobs.decide(lake, str(proposal["proposal_id"]), decision="approved", decided_by="Ana Lim")
    jobs.publish(lake, str(first["proposal_id"]), published_by="Ana Lim")

    second: dict[str, Any] = jobs.propose_charge(lake, zone=zone, city=city)

    with pytest.raises(ClearwayError, match="other prices came into force"):
        jobs.publish(lake, str(stale["proposal_id"]), published_by="Ana Lim")
    assert second["prices_in_force"]["proposal_id"] == first["proposal_id"]
    assert second["predicted"]["compared_with"] == "the prices in force"
    with pytest.raises(UsageError, match="was published"):
        jobs.decide(lake, str(first["proposal_id"]), decision="rejected", decided_by="Ben Ode")


def test_unknown_and_ambiguous_ids_are_refused(lake: Lake, tmp_path: Path) -> None:
    propose(lake, tmp_path)

    with pytest.raises(UsageError, match="expected the id of one proposal"):
        jobs.find_proposal(lake, "zz")
    with pytest.raises(UsageError, match="expected the id of one proposal"):
        jobs.find_proposal(lake, "")


def test_emissions_of_the_city_are_built_twice_alike(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, n_days=2))
    city = write_city(tmp_path / "city")

    account = jobs.build_emissions(lake, city=city)
    first = rows_of(lake, "cell_emissions").sort("h3_cell", "window_start", "pollutant")
    jobs.build_emissions(lake, city=city)
    second = rows_of(lake, "cell_emissions").sort("h3_cell", "window_start", "pollutant")

    assert first.equals(second)
    assert account.n_rows == first.height == len(CELLS) * 48 * 3
    nox = first.filter(pl.col("pollutant") == "nox")
    assert nox.filter(
        ~pl.col("emission_gkm").is_between(pl.col("interval_low_gkm"), pl.col("interval_high_gkm"))
    ).is_empty()
    slow, fast = (
        nox.filter(condition)["emission_gkm"].mean()
        for condition in (pl.col("space_mean_kmh") < 25, pl.col("space_mean_kmh") > 38)
    )
    assert isinstance(slow, float)
    assert isinstance(fast, float)
    assert slow > fast
    # 20 probes of 310 m, 20 vehicles behind each: 124 vehicle-km in the hour.
    grams = (nox["emission_gh"] / nox["emission_gkm"]).mean()
    assert grams == pytest.approx(124, rel=0.02)


def test_emissions_without_counts_say_so(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, replace(GOOD, n_days=1))

    account = jobs.build_emissions(lake, detail="class")

    rows = rows_of(lake, "cell_emissions")
    assert not account.has_counts
    assert rows["emission_gh"].null_count() == rows.height
    assert rows["missing"].unique().to_list() == ["counts fleet"]
    assert rows["emission_class"].n_unique() == 19


def test_zone_shows_its_coverage(lake: Lake, tmp_path: Path) -> None:
    shown = jobs.show_zone(lake, zone=write_zone(tmp_path / "z.geojson"))

    assert (shown["n_cells"], shown["driven_share"]) == (7, 1.0)
