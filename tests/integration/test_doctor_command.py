"""The doctor tells green from yellow from red, and never tells a secret."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from clearway_cli.cities import adopt_city, find_folder
from clearway_cli.commands import doctor as command
from clearway_cli.doctor import machine
from clearway_cli.doctor.examine import examine
from clearway_cli.doctor.finding import Finding, Installation, State
from clearway_core.data_dir import DataDir
from clearway_core.lake import open_lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_edge.jobs import replay
from clearway_ingest.books.closing import close_books
from clearway_ingest.jobs import ingest

HEADER = "observed_at,sensor,sensor_model,lon_deg,lat_deg,pm2_5_cf1_a_ugm3"


def examined(
    data_dir: Path, *, log: str | None = None, environment: Mapping[str, str] | None = None
) -> dict[str, Finding]:
    installation = Installation(
        data_dir=data_dir,
        log_address=log,
        lake_address=None,
        city_name=None,
        environment=environment or {},
    )
    return {finding.subject: finding for finding in examine(installation)}


def send_air(data_dir: Path, minutes: int) -> None:
    profile = data_dir / "air.toml"
    profile.parent.mkdir(exist_ok=True, parents=True)
    profile.write_text(
        'name = "test air"\ncontract = "air_reading/1"\ntime_zone = "UTC"\n'
        'channels_as_named = ["pm2_5_cf1_a_ugm3"]\n[format]\nkind = "csv"\n'
        '[sensor]\nid_column = "sensor"\nmodel_column = "sensor_model"\n'
        '[time]\ncolumn = "observed_at"\nformat = "iso8601"\n'
        '[position]\nlon = "lon_deg"\nlat = "lat_deg"\ndatum = "wgs84"\n',
        encoding="utf-8",
    )
    rows = [f"2026-01-15T00:{m:02d}:00Z,s1,pms5003,100.6,12.9,10" for m in range(minutes)]
    file = data_dir / f"air-{minutes}.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    replay([file], profile, data_dir=data_dir, log_address=None, gateway="gw-1")


def take_in(data_dir: Path) -> None:
    log = EmbeddedLog(DataDir(data_dir).log_file)
    ingest(open_lake(data_dir), log)
    log.close()


def test_new_installation_has_nothing_red(tmp_path: Path) -> None:
    found = examined(tmp_path / "new")

    assert [f for f in found.values() if f.state is State.RED] == []
    assert {found[s].state for s in ("City", "Lake", "Log")} == {State.YELLOW}
    assert not (tmp_path / "new").exists()  # looking changes nothing


def test_working_installation_is_green_and_shows_the_gateways(tmp_path: Path) -> None:
    adopt_city(find_folder("demo_city"), tmp_path)
    send_air(tmp_path, 5)
    take_in(tmp_path)

    found = examined(tmp_path)

    assert {found[s].state for s in ("City", "Lake", "Log")} == {State.GREEN}
    assert "air_readings" in found["Lake"].text
    assert found["Gateway gw-1"].state is State.GREEN
    assert "5 read, 0 waiting" in found["Gateway gw-1"].text


def test_books_are_green_once_they_close_and_red_with_a_difference(tmp_path: Path) -> None:
    send_air(tmp_path, 5)
    take_in(tmp_path)
    assert examined(tmp_path)["Books"].state is State.YELLOW
    close_books(open_lake(tmp_path), None)
    assert "1 gateway hours, 0 open" in examined(tmp_path)["Books"].text
    row = open_lake(tmp_path).table("books").scan().collect()
    worse = row.with_columns(
        n_missing=pl.lit(3),
        state=pl.lit("difference"),
        computed_at=pl.col("computed_at").dt.offset_by("1h"),
    )
    open_lake(tmp_path).table("books").append(worse)

    found = examined(tmp_path)["Books"]

    assert found.state is State.RED
    assert "3 readings of gw-1 are missing" in found.text


def test_batches_that_wait_in_the_log_are_counted(tmp_path: Path) -> None:
    send_air(tmp_path, 5)
    take_in(tmp_path)
    send_air(tmp_path, 7)

    log = examined(tmp_path)["Log"]

    assert log.state is State.YELLOW
    assert "clearway.air_reading.v1 1" in log.text


def test_broken_table_is_red(tmp_path: Path) -> None:
    send_air(tmp_path, 5)
    take_in(tmp_path)
    for entry in (DataDir(tmp_path).lake / "air_readings" / "_delta_log").glob("*.json"):
        entry.write_text("{broken", encoding="utf-8")

    found = examined(tmp_path)

    assert found["Lake: air_readings"].state is State.RED
    assert found["Log"].state is State.GREEN  # the other checks go on


def test_table_whose_file_is_gone_is_red_and_named(tmp_path: Path) -> None:
    send_air(tmp_path, 5)
    take_in(tmp_path)
    (file,) = (DataDir(tmp_path).lake / "gateway_health").rglob("*.parquet")
    file.unlink()

    found = examined(tmp_path)

    assert found["Lake: gateway_health"].state is State.RED
    assert file.name in found["Lake: gateway_health"].text
    assert found["Lake"].state is State.GREEN  # of the others


def test_data_folder_that_is_a_file_is_red(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("", encoding="utf-8")

    found = examined(tmp_path / "data" / "below")

    assert found["Data folder"].state is State.RED
    assert "name a folder with --data-dir" in found["Data folder"].text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_data_folder_without_rights_is_red(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)

    found = examined(tmp_path / "data")

    assert found["Data folder"].state is State.RED


def test_machine_without_java_says_what_still_works(tmp_path: Path) -> None:
    found = examined(tmp_path, environment={"PATH": str(tmp_path)})["Kafka here"]

    assert found.state is State.YELLOW
    assert "Java" in found.text
    assert "embedded log" in found.text


def test_part_that_lacks_a_package_is_named_with_what_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = machine._version
    monkeypatch.setattr(
        machine, "_version", lambda name: None if name in {"fastapi", "h3"} else held(name)
    )

    found = examined(tmp_path)

    assert found["Packages"].state is State.RED
    assert "h3 missing" in found["Packages"].text
    assert found["Part serving"].state is State.YELLOW
    assert "install 'clearway[serving]'" in found["Part serving"].text


def test_look_that_breaks_off_is_a_finding_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)

    found = examined(tmp_path)

    assert found["Machine"].state is State.RED
    assert "psutil is not installed" in found["Machine"].text
    assert found["Python"].state is State.GREEN
    assert found["Lake"].state is State.YELLOW


def test_airflow_that_remembers_what_is_gone_is_yellow(tmp_path: Path) -> None:
    home = DataDir(tmp_path).airflow
    home.mkdir()
    zone = tmp_path / "zone.geojson"
    (home / "work.json").write_text(json.dumps({"CLEARWAY_ZONE": str(zone)}), encoding="utf-8")
    assert examined(tmp_path)["Airflow"].state is State.YELLOW
    zone.write_text("{}", encoding="utf-8")

    assert "does not run" in examined(tmp_path)["Airflow"].text


def test_broken_city_pack_is_red(tmp_path: Path) -> None:
    city = adopt_city(find_folder("demo_city"), tmp_path)
    (city.folder / "fleet.csv").write_text("emission_class;share\n", encoding="utf-8")

    assert examined(tmp_path)["City"].state is State.RED


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_log_that_does_not_answer_is_red(tmp_path: Path) -> None:
    found = examined(tmp_path, log="kafka://127.0.0.1:1")

    assert found["Log"].state is State.RED


def test_secrets_are_never_shown_and_misspelt_settings_are(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        environment={
            "CLEARWAY_KAFKA_PASSWORD": "hunter2",
            "AWS_SECRET_ACCESS_KEY": "hunter3",
            "CLEARWAY_KAFKA_PASSWORD_FILE": "/run/secrets/kafka",
            "CLEARWAY_CTY": "demo_city",
        },
    )

    assert found["CLEARWAY_KAFKA_PASSWORD"].text == "*** (environment)"
    assert "hunter" not in " ".join(finding.text for finding in found.values())
    assert "/run/secrets/kafka" in found["CLEARWAY_KAFKA_PASSWORD_FILE"].text
    assert found["CLEARWAY_CTY"].state is State.YELLOW


def test_command_ends_with_1_when_something_is_red(tmp_path: Path) -> None:
    app = typer.Typer()
    command.register(app)
    good = CliRunner().invoke(app, ["--data-dir", str(tmp_path), "--json"])
    city = adopt_city(find_folder("demo_city"), tmp_path)
    (city.folder / "city.toml").write_text("[city]\n", encoding="utf-8")
    bad = CliRunner().invoke(app, ["--data-dir", str(tmp_path), "--json"])

    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert json.loads(good.stdout)["ok"] is True
    assert json.loads(bad.stdout)["ok"] is False
