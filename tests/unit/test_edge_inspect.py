"""Drafting a profile for a file never seen before: what is asked, and never guessed in silence."""

from __future__ import annotations

import json
import tomllib

import pytest
from doubles.edge_doubles import write_archive, write_csv

from clearway_core.errors import SettingsError, SourceUnavailable
from clearway_edge import jobs
from clearway_edge.inspection.inspect_file import inspect_file
from clearway_edge.inspection.sample import around_vehicle
from clearway_edge.inspection.zones import propose_zones
from clearway_edge.rows.profile_reading import read_profile

T0 = 1_768_440_000


def asked(found):
    return {question.key for question in found.questions}


def test_plain_csv_is_drafted_and_its_answered_draft_replays(tmp_path):
    rows = [f"cab-{i},{T0 + i},100.5{i},13.7{i},12" for i in range(9)]
    file = write_csv(tmp_path / "fleet.csv", rows, "vehicle_id,timestamp,lon,lat,speed")
    found = inspect_file(file)
    assert {"provider", "time_zone", "vehicle.class", "position.datum", "speed.unit"} <= asked(
        found
    )
    assert "privacy.trip_ends" in asked(found)
    draft = tomllib.loads(found.draft)
    assert draft["position"]["lon"] == "lon"
    assert draft["time"] == {"column": "timestamp", "format": "unix_s"}
    assert draft["time_zone"] == "Asia/Bangkok"
    assert found.preview[0]["observed_at"] == "2026-01-15T01:20:00+00:00"
    assert "cab-0" not in json.dumps(found.preview)
    profile = tmp_path / "profile.toml"
    profile.write_text(found.draft, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"speed\.unit"):
        read_profile(profile)
    answered = found.draft.replace('unit = "?"', 'unit = "kmh"').replace('"cut"', '"keep"')
    profile.write_text(answered, encoding="utf-8")
    account = jobs.replay([file], profile, data_dir=tmp_path, log_address=None)
    assert account.delivered == 9


def test_every_question_stands_in_the_draft_as_a_comment(tmp_path):
    file = write_csv(tmp_path / "f.csv", ["a,1,2,3"], "id,t,lon,lat")
    found = inspect_file(file)
    assert found.draft.count("# QUESTION: ") == len(found.questions) > 3
    assert "time.since" in asked(found)  # 1 cannot be seconds since 1970


def test_unit_in_the_columns_name_is_not_asked_about(tmp_path):
    file = write_csv(tmp_path / "f.csv", [f"a,{T0},100.5,13.7,5"], "id,ts,lon,lat,speed_mph")
    found = inspect_file(file)
    assert "speed.unit" not in asked(found)
    assert tomllib.loads(found.draft)["speed"]["unit"] == "mph"


def test_no_speed_value_that_looks_like_a_sentinel_is_believed(tmp_path):
    rows = [f"a,{T0},100.5,13.7,{speed}" for speed in (5, 255, 7)]
    found = inspect_file(write_csv(tmp_path / "f.csv", rows, "id,ts,lon,lat,speed"))
    assert "speed.sentinels" in asked(found)


def test_order_of_two_columns_without_names_is_asked(tmp_path):
    rows = [f"{28.61 + i / 1000:.5f} {77.21 + i / 1000:.5f} {T0 + i}" for i in range(20)]
    file = tmp_path / "f.txt"
    file.write_text("\n".join(rows))
    assert {"position.lon", "position.lat", "format.columns"} <= asked(inspect_file(file))


def test_in_china_the_datum_is_left_open(tmp_path):
    file = write_csv(tmp_path / "f.csv", [f"a,{T0},104.066,30.572"], "id,ts,lon,lat")
    found = inspect_file(file)
    assert tomllib.loads(found.draft)["position"]["datum"] == "?"
    assert any("gcj02" in question.text for question in found.questions)


@pytest.mark.parametrize(
    ("times", "pattern", "is_asked"),
    [
        (["9/15/2023 5:00", "9/3/2023 6:00"], "%m/%d/%Y %H:%M", False),
        (["15/9/2023 5:00", "3/9/2023 6:00"], "%d/%m/%Y %H:%M", False),
        (["3/9/2023 5:00", "4/9/2023 6:00"], "%m/%d/%Y %H:%M", True),
    ],
)
def test_day_and_month_are_asked_only_where_both_fit(tmp_path, times, pattern, is_asked):
    file = write_csv(tmp_path / "f.csv", [f"a,{at},88.3,22.5" for at in times], "id,time,lon,lat")
    found = inspect_file(file)
    assert tomllib.loads(found.draft)["time"]["pattern"] == pattern
    assert ("time.pattern" in asked(found)) is is_asked
    assert "time.zone" in asked(found)  # no offset: local or UTC is never assumed


def test_times_with_offset_need_no_zone(tmp_path):
    file = write_csv(
        tmp_path / "f.csv", ["a,2015-03-08T01:40:54-06:00,-97.7,30.3"], "id,time,lon,lat"
    )
    assert "time.zone" not in asked(inspect_file(file))


def test_polylines_with_one_possible_order_and_an_unknown_step(tmp_path):
    file = write_csv(
        tmp_path / "f.csv", [f'a,{T0},"[[104.1,30.5],[104.2,30.6]]"'], "id,ts,POLYLINE"
    )
    found = inspect_file(file)
    assert tomllib.loads(found.draft)["position"]["order"] == "lon_lat"
    assert {"position.order", "position.step_s"} <= asked(found)
    assert len(found.preview) == 2


def test_archive_finds_the_vehicle_between_what_all_names_share(tmp_path):
    file = write_archive(
        tmp_path / "a.tar.gz",
        {f"d/new_ab{x}.txt": f"37.7{i} -122.4{i}11 1 {T0}\n" * 3 for i, x in enumerate("xyz")},
    )
    found = inspect_file(file)
    pattern = tomllib.loads(found.draft)["format"]["member_pattern"]
    assert pattern == r"(^|/)new_(?P<vehicle>[^/]+)\.txt$"
    assert around_vehicle(["new_ab1.txt", "new_ab2.txt"]) == ("new_", ".txt")


def test_air_file_asks_for_sensor_model_and_channel(tmp_path):
    file = write_csv(tmp_path / "f.csv", ["22.46,88.31,9/15/2023 5:00,13.3"], "lat,long,time,pm")
    found = inspect_file(file)
    draft = tomllib.loads(found.draft)
    assert draft["contract"] == "air_reading/1"
    assert {"sensor.id", "sensor.model", "channels.pm2_5_ugm3"} <= asked(found)
    assert found.preview[0]["pm2_5_ugm3"] == 13.3


def test_header_only_file_is_drafted_by_its_names(tmp_path):
    found = inspect_file(
        write_csv(tmp_path / "f.csv", [], "vehicle_id,timestamp,longitude,latitude")
    )
    assert tomllib.loads(found.draft)["position"]["lat"] == "latitude"
    assert found.n_rows == 0
    assert "time.format" in asked(found)


@pytest.mark.parametrize("content", [b"", b"just one line of prose\nand another\n", b'{"a": ['])
def test_file_that_shows_no_table_is_refused_with_a_reason(tmp_path, content):
    file = tmp_path / "f"
    file.write_bytes(content)
    with pytest.raises(SourceUnavailable, match=r"shows no table|broken"):
        inspect_file(file)


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        ((-122.4, 37.75), "America/Los_Angeles"),
        ((88.3, 22.5), "Asia/Kolkata"),
        ((85.3, 27.7), "Asia/Kathmandu"),
        ((100.5, 13.7), "Asia/Bangkok"),
        ((-71.1, 42.3), "America/New_York"),
    ],
)
def test_zone_is_proposed_from_the_position(place, zone):
    assert propose_zones(*place)[0] == zone


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("gps/sf_cabspotting/cabspotting_2008-05-21.tar.gz", {"position.lon", "time_zone"}),
        ("gps/austin_capmetro_bus/2017-04-18.csv.gz", {"speed.unit"}),
        ("scenario/sumo_15k/probes.parquet", {"time.since", "vehicle.classes"}),
        ("air/kolkata_iitd/Mobile_Autumn.csv.gz", {"time.zone", "sensor.model"}),
    ],
)
def test_real_files_are_drafted_with_a_preview(real_data, name, questions):
    found = inspect_file(real_data / name)
    assert questions <= asked(found)
    assert len(found.preview) == 5
    assert found.preview_problem == ""
