"""The DAGs' settings come from the environment, in one place, and an answer needs a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clearway_cli import dag_tasks
from clearway_cli.dag_settings import from_environment, instant, plain
from clearway_core.errors import UsageError


def test_without_any_variable_the_defaults_hold() -> None:
    settings = from_environment({"CLEARWAY_LAKE": "", "CLEARWAY_ZONE": ""})

    assert settings.data_dir == Path(".clearway")
    assert (settings.lake_address, settings.log_address, settings.zone_file) == (None, None, None)
    assert settings.ingest_in_dag


def test_every_variable_is_taken(tmp_path: Path) -> None:
    settings = from_environment(
        {
            "CLEARWAY_DATA_DIR": str(tmp_path),
            "CLEARWAY_LAKE": "s3://bucket/lake",
            "CLEARWAY_LOG": "kafka://broker:9092",
            "CLEARWAY_CITY": "demo_city",
            "CLEARWAY_ZONE": "zone.geojson",
            "CLEARWAY_MAP": "http://127.0.0.1:8501",
            "CLEARWAY_INGEST": "service",
        }
    )

    assert settings.lake().table("congestion").uri == "s3://bucket/lake/congestion"
    assert settings.zone() == Path("zone.geojson")
    assert settings.quality_dir() == tmp_path / "quality"
    assert not settings.ingest_in_dag


def test_an_unknown_way_to_ingest_is_refused() -> None:
    with pytest.raises(UsageError, match="CLEARWAY_INGEST must be one of dag, service"):
        from_environment({"CLEARWAY_INGEST": "both"})


def test_where_a_service_ingests_the_dag_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWAY_INGEST", "service")
    monkeypatch.setenv("CLEARWAY_LOG", "nowhere://would-fail")

    assert dag_tasks.ingest() == {"ingest": "runs as a service"}


def test_the_only_zone_of_a_city_is_taken_and_several_are_named(tmp_path: Path) -> None:
    pack = tmp_path / "city"
    (pack / "zones").mkdir(parents=True)
    (pack / "city.toml").write_text(
        '[city]\nname = "X"\ncountry = "XX"\ntime_zone = "UTC"\n'
        "service_area_deg = [0.0, 0.0, 1.0, 1.0]\n",
        encoding="utf-8",
    )
    settings = from_environment({"CLEARWAY_DATA_DIR": str(tmp_path)})
    with pytest.raises(UsageError, match="the city pack has none"):
        settings.zone()
    (pack / "zones" / "north.geojson").touch()
    assert settings.zone() == pack / "zones" / "north.geojson"
    (pack / "zones" / "south.geojson").touch()
    with pytest.raises(UsageError, match=r"north\.geojson, south\.geojson"):
        settings.zone()


@pytest.mark.parametrize("text", ["2026-03-02", "2026-03-02T06:00:00", "soon"])
def test_a_stretch_of_time_needs_instants_with_an_offset(text: str) -> None:
    with pytest.raises(UsageError, match="expected an instant"):
        instant(text)


def test_an_instant_may_be_left_out() -> None:
    assert instant(None) is None
    assert instant("") is None
    assert instant("2026-03-02T06:00:00Z") == datetime(2026, 3, 2, 6, tzinfo=UTC)


def test_an_account_becomes_json_types() -> None:
    @dataclass(frozen=True)
    class Account:
        file: Path
        at: datetime
        counts: dict[str, int]

    account = Account(Path("a"), datetime(2026, 3, 2, tzinfo=UTC), {"rows": 3})

    assert plain(account) == {
        "file": "a",
        "at": "2026-03-02 00:00:00+00:00",
        "counts": {"rows": 3},
    }


ANNA = {"id": "7", "name": "Anna"}


@pytest.mark.parametrize(
    "answer",
    [
        {"chosen_options": ["Approve"], "responded_by_user": None},
        {"chosen_options": ["Reject"], "responded_by_user": ANNA},
        {"chosen_options": [], "responded_by_user": ANNA},
        {"chosen_options": ["Approve", "Reject"], "responded_by_user": ANNA},
    ],
)
def test_only_a_persons_approval_publishes(answer: dict) -> None:
    with pytest.raises(dag_tasks.Refused, match="expected an approval by a named person"):
        dag_tasks.publish({"proposal_id": "ab12"}, answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"chosen_options": ["Reject"], "responded_by_user": None},
        {"chosen_options": ["Approve"], "responded_by_user": ANNA},
    ],
)
def test_only_a_persons_rejection_is_recorded_as_one(answer: dict) -> None:
    with pytest.raises(dag_tasks.Refused, match="expected a rejection by a named person"):
        dag_tasks.reject({"proposal_id": "ab12"}, answer)
