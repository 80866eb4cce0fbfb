"""Recorded files: layouts, bad lines, the books, and interruptions."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from doubles.edge_doubles import (
    CAR_PROFILE,
    TurnableClock,
    all_bytes,
    batches_in,
    profile_file,
    rows_in,
    write_archive,
    write_csv,
)

from clearway_core.datum import wgs84_to_gcj02
from clearway_core.errors import SettingsError, SourceUnavailable, UsageError
from clearway_edge import jobs
from clearway_edge.gateway_dir import gateway_dir
from clearway_edge.recordings.pacing import speed_of
from clearway_edge.rows.profile import find_profile, shipped_profiles
from clearway_edge.rows.profile_reading import read_profile

T0 = 1_768_440_000


def replay(files, profile, folder, **more):
    return jobs.replay(files, profile, data_dir=folder / "data", log_address=None, **more)


def one(
    folder, rows, profile_text=CAR_PROFILE, header="vehicle,at,lon,lat", name="f.csv", **changes
):
    file = write_csv(folder / name, rows, header)
    account = replay([file], profile_file(folder, profile_text, **changes), folder)
    assert account.read == account.delivered + account.spooled + sum(account.dropped.values())
    return account, sorted(rows_in(folder / "data"), key=lambda row: row["seq"])


def test_every_record_is_delivered_or_counted_under_its_reason(tmp_path):
    rows = [
        f"a,{T0},100.5,13.7",
        f"a,{T0},100.5",  # a column is missing
        "a,soon,100.5,13.7",
        f"a,{T0},east,13.7",
        f"a,{T0},100.5,",
        f",{T0},100.5,13.7",
        f"a,{T0},0.0,0.0",
        "",  # no record at all
        f"a,{T0 + 1},100.5,95.0",  # impossible, but it travels: ingest keeps it in quarantine
    ]
    account, records = one(tmp_path, rows)
    assert account.read == 8
    assert account.delivered == 2
    assert dict(account.dropped) == {
        "unparsable_line": 1,
        "unparsable_observed_at": 1,
        "unparsable_lon_deg": 1,
        "missing_lat_deg": 1,
        "missing_vehicle": 1,
        "null_island": 1,
    }
    assert [record["seq"] for record in records] == [0, 7]
    assert records[1]["flags"] == "lat_deg_range"
    assert records[1]["lat_deg"] == 95.0


def test_examples_name_place_and_remedy_but_never_what_stood_there(tmp_path):
    account, _ = one(tmp_path, [f"cab-77,{T0},100.5,cab-77", "cab-77,x"])
    text = "\n".join(account.faults)
    assert "line 2, column lat: unparsable_lat_deg, found 'aaa-99'" in text
    assert "line 3: unparsable_line, found 2 values, expected 4" in text
    assert "cab-77" not in text


def test_no_vehicle_name_reaches_any_file_of_the_data_folder(tmp_path):
    rows = [f"SECRET-{i % 50},{T0 + i},100.5,13.7" for i in range(500)]
    one(tmp_path, [*rows, "SECRET-1,broken", "SECRET-2,x,y,SECRET-3"])
    for path, content in all_bytes(tmp_path / "data"):
        assert b"SECRET" not in content, path


def test_second_replay_has_the_same_identities_and_pseudonyms(tmp_path):
    rows = [f"v{i % 3},{T0 + i},100.5,13.7" for i in range(20)]
    one(tmp_path, rows)
    _, records = one(tmp_path, rows)
    assert len(records) == 40
    unique = {tuple(sorted(record.items(), key=str)) for record in records}
    assert len(unique) == 20
    health = rows_in(tmp_path / "data", "clearway.gateway_health.v1")
    assert {(row["boot"], row["seq"]) for row in health} == {(records[0]["boot"], 0)}
    assert {row["n_delivered"] for row in health} == {20}


def test_same_bytes_under_another_name_are_the_same_recording(tmp_path):
    one(tmp_path, [f"v,{T0},100.5,13.7"], name="a.csv")
    _, records = one(tmp_path, [f"v,{T0},100.5,13.7"], name="b.csv")
    assert len({(record["boot"], record["seq"]) for record in records}) == 1


def test_log_that_is_away_leaves_all_in_the_outbox_and_the_next_replay_delivers_it(tmp_path):
    file = write_csv(tmp_path / "f.csv", [f"v,{T0 + i},100.5,13.7" for i in range(30)])
    profile = profile_file(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/log.sqlite").mkdir()  # nothing can be opened there
    away = replay([file], profile, tmp_path, patience_s=0.3)
    assert (away.read, away.delivered, away.spooled) == (30, 0, 30)
    assert not away.complete
    (tmp_path / "data/log.sqlite").rmdir()
    back = replay([file], profile, tmp_path)
    assert (back.read, back.delivered, back.spooled) == (30, 30, 0)
    batches = batches_in(tmp_path / "data")
    assert {seq for batch in batches for seq in batch.seq} == set(range(30))


def test_torn_gzip_keeps_what_came_before_and_says_so(tmp_path):
    file = write_csv(
        tmp_path / "f.csv.gz", [f"v{i},{T0 + i * 7},100.{i},13.7" for i in range(20_000)]
    )
    file.write_bytes(file.read_bytes()[:-2000])
    account = replay([file], profile_file(tmp_path), tmp_path)
    assert 5000 <= account.read < 20_000
    assert account.delivered == account.read
    assert not account.complete
    assert "cannot be read to its end" in account.unfinished[str(file)]


def test_header_without_a_mapped_column_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="lacks the columns lat"):
        one(tmp_path, ["a,1,2"], header="vehicle,at,lon")


def test_record_in_the_place_of_the_header_is_not_repeated_in_the_error(tmp_path):
    with pytest.raises(UsageError, match="seems to have no header") as caught:
        one(tmp_path, [], header=f"cab-77,{T0},100.5,13.7")
    assert "cab-77" not in str(caught.value)


def test_doubled_column_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="more than once"):
        one(tmp_path, ["a,1,2,3,4"], header="vehicle,at,lon,lat,lon")


def test_broken_parquet_is_told_without_a_traceback(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = 20_000
    table = pyarrow.table(
        {
            "vehicle": [f"v{i}" for i in range(rows)],
            "at": [T0 + i for i in range(rows)],
            "lon": [100.5] * rows,
            "lat": [13.7 + i / 1e6 for i in range(rows)],
        }
    )
    file = tmp_path / "f.parquet"
    parquet.write_table(table, file, compression="none")
    data = bytearray(file.read_bytes())
    data[2000:60_000] = bytes(58_000)
    file.write_bytes(data)
    profile = profile_file(tmp_path, CAR_PROFILE.replace('kind = "csv"', 'kind = "parquet"'))
    account = replay([file], profile, tmp_path)
    assert not account.complete
    assert account.read == account.delivered + sum(account.dropped.values())


def test_missing_file_is_wrong_use_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match="check the paths"):
        replay([tmp_path / "none.csv"], profile_file(tmp_path), tmp_path)


def test_two_processes_cannot_be_one_gateway(tmp_path):
    with (
        gateway_dir(tmp_path / "data", "replay").owned(),
        pytest.raises(SourceUnavailable, match="another process runs"),
    ):
        one(tmp_path, [f"v,{T0},100.5,13.7"])


ARCHIVE = CAR_PROFILE.replace('column = "vehicle"\n', "").replace(
    'kind = "csv"',
    """kind = "archive"
member_pattern = 'cab_(?P<vehicle>[^/]+)\\.txt'
separator = "whitespace"
columns = ["lat", "lon", "at"]""",
)


def test_archive_takes_the_vehicle_from_the_member_and_numbers_through(tmp_path):
    profile = profile_file(tmp_path, ARCHIVE)
    file = write_archive(
        tmp_path / "a.tar.gz",
        {
            "d/cab_one.txt": f"13.7  100.5 {T0}\n13.7 100.5 {T0 + 1}\n",
            "d/readme.md": "not a cab\n",
            "d/cab_two.txt": f"13.8 100.6 {T0}\n",
        },
    )
    account = replay([file], profile, tmp_path)
    assert (account.read, account.delivered) == (3, 3)
    records = sorted(rows_in(tmp_path / "data"), key=lambda row: row["seq"])
    assert [record["seq"] for record in records] == [0, 1, 2]
    assert records[0]["vehicle"] == records[1]["vehicle"] != records[2]["vehicle"]


def test_archive_without_a_matching_member_is_wrong_use(tmp_path):
    profile = profile_file(tmp_path, ARCHIVE)
    file = write_archive(tmp_path / "a.tar.gz", {"x.csv": "lon,lat,at\n"})
    with pytest.raises(UsageError, match="no member files"):
        replay([file], profile, tmp_path)


def test_json_lines_with_dotted_columns_and_a_broken_line(tmp_path):
    text = CAR_PROFILE.replace('kind = "csv"', 'kind = "jsonl"').replace('"lon"', '"p.lon"')
    lines = [
        json.dumps({"vehicle": 5, "at": T0, "p": {"lon": 100.5}, "lat": 13.7}),
        "{broken",
        json.dumps({"vehicle": 6, "at": T0, "lat": 13.7}),
    ]
    file = tmp_path / "f.jsonl"
    file.write_text("\n".join(lines))
    account = replay([file], profile_file(tmp_path, text), tmp_path)
    assert (account.read, account.delivered) == (3, 1)
    assert dict(account.dropped) == {"missing_lon_deg": 1, "unparsable_line": 1}


POLYLINES = CAR_PROFILE.replace(
    'lon = "lon"\nlat = "lat"', 'polyline = "path"\norder = "lon_lat"\nstep_s = 15'
)


def test_polyline_becomes_one_record_per_position(tmp_path):
    rows = [
        f'20000589,{T0},"[[-8.618643,41.141412],[-8.618499,41.141376]]"',
        f'20000590,{T0},"[]"',
        f'20000591,{T0},"[[-8.6"',
        f'20000592,{T0},"[[-8.6,41.1]]"',
    ]
    account, records = one(tmp_path, rows, POLYLINES, header="vehicle,at,path")
    assert account.read == 5
    assert account.delivered == 3
    assert dict(account.dropped) == {"empty_polyline": 1, "unparsable_polyline": 1}
    assert [record["observed_at"] for record in records] == [
        T0 * 1000,
        T0 * 1000 + 15_000,
        T0 * 1000,
    ]
    assert records[1]["lon_deg"] == -8.618499
    assert len({record["seq"] for record in records}) == 3


def test_long_polylines_are_cut_into_batches_with_unique_numbers(tmp_path):
    path = json.dumps([[100.5, 13.7]] * 12_001)
    account, records = one(tmp_path, [f'v,{T0},"{path}"'], POLYLINES, header="vehicle,at,path")
    assert account.delivered == 12_001
    assert [record["seq"] for record in records] == list(range(12_001))
    assert records[-1]["observed_at"] == (T0 + 12_000 * 15) * 1000


def test_decimal_comma_semicolons_sentinels_and_knots(tmp_path):
    text = CAR_PROFILE.replace(
        'kind = "csv"', 'kind = "csv"\nseparator = ";"\ndecimal_comma = true'
    )
    text += '[speed]\ncolumn = "v"\nunit = "knots"\nsentinels = [-200]\n'
    account, records = one(
        tmp_path,
        [f"a;{T0};100,5;13,7;10", f"a;{T0 + 1};100,5;13,7;-200", f"a;{T0 + 2};100,5;13,7;fast"],
        text,
        header="vehicle;at;lon;lat;v",
    )
    assert [record.get("speed_kmh") for record in records] == [18.52, None, None]
    assert account.nulled == {"speed_kmh_sentinel": 1, "speed_kmh_unparsable": 1}
    assert records[2]["flags"] == "speed_kmh_unparsable"


def test_speed_in_a_year_whose_unit_nobody_knows_becomes_null_and_is_counted(tmp_path):
    text = CAR_PROFILE + (
        '[speed]\ncolumn = "v"\n[[speed.era]]\nuntil = "2016-01-01"\nunit = "mph"\n'
        '[[speed.era]]\nfrom = "2017-01-01"\nunit = "mps"\n'
    )
    years = [datetime(year, 6, 1, tzinfo=UTC).timestamp() for year in (2015, 2016, 2017)]
    account, records = one(
        tmp_path,
        [f"a,{int(at)},100.5,13.7,10" for at in years],
        text,
        header="vehicle,at,lon,lat,v",
    )
    assert [record.get("speed_kmh") for record in records] == [16.0934, None, 36.0]
    assert account.nulled == {"speed_kmh_unit_unknown": 1}


def test_gcj02_positions_travel_as_wgs84(tmp_path):
    truth = (104.0668, 30.5728)
    lon, lat = wgs84_to_gcj02(*truth)
    _, [record] = one(tmp_path, [f"a,{T0},{lon},{lat}"], wgs84="gcj02")
    assert record["lon_deg"] == pytest.approx(truth[0], abs=1e-6)
    assert record["lat_deg"] == pytest.approx(truth[1], abs=1e-6)


def test_provider_may_come_from_a_column_and_each_has_keys_of_its_own(tmp_path):
    text = CAR_PROFILE.replace('provider = "fleet"', 'provider_column = "p"')
    account, records = one(
        tmp_path,
        [f"7,{T0},100.5,13.7,red", f"7,{T0},100.5,13.7,blue", f"7,{T0},100.5,13.7,../Evil"],
        text,
        header="vehicle,at,lon,lat,p",
    )
    assert account.delivered == 3  # a bad provider ends in quarantine, counted
    assert [record["provider"] for record in records] == ["red", "blue", "../Evil"]
    assert len({record["vehicle"] for record in records}) == 3
    keys = tmp_path / "data/gateways/replay/keys"
    assert sorted(folder.name for folder in keys.iterdir()) == ["_unknown", "blue", "red"]


def test_impossible_value_is_flagged_and_kept(tmp_path):
    text = CAR_PROFILE + '[speed]\ncolumn = "v"\nunit = "kmh"\n'
    account, [record] = one(
        tmp_path, [f"a,{T0},100.5,13.7,999"], text, header="vehicle,at,lon,lat,v"
    )
    assert (record["speed_kmh"], record["flags"]) == (999.0, "speed_kmh_range")
    assert account.flagged == {"speed_kmh_range": 1}


def test_occupied_is_read_by_its_stated_values_and_others_are_null(tmp_path):
    text = CAR_PROFILE + '[occupied]\ncolumn = "o"\ntrue_values = ["yes"]\nfalse_values = ["no"]\n'
    account, records = one(
        tmp_path,
        [f"a,{T0 + i},100.5,13.7,{o}" for i, o in enumerate(["yes", "no", "perhaps", ""])],
        text,
        header="vehicle,at,lon,lat,o",
    )
    assert [record["occupied"] for record in records] == [True, False, None, None]
    assert account.nulled == {"occupied_unknown": 1}


def test_speed_replays_in_the_rhythm_of_the_data_whatever_the_order_of_the_file(tmp_path):
    rows = [f"v,{T0 + at},100.5,13.7" for at in (600, 0, 300, 301)]
    clock = TurnableClock()
    file = write_csv(tmp_path / "f.csv", rows)
    account = replay([file], profile_file(tmp_path), tmp_path, speed=60.0, clock=clock)
    assert account.delivered == 4
    assert clock.elapsed_s == pytest.approx(10.0, abs=1.1)
    # Two waits between the three moments; as no real time passes, they may share a message.
    assert clock.slept_s == pytest.approx([5.0, 5.0], abs=1.1)
    assert sum(len(batch) for batch in batches_in(tmp_path / "data")) == 4
    assert sorted(row["seq"] for row in rows_in(tmp_path / "data")) == [0, 1, 2, 3]
    assert not (tmp_path / "data/gateways/replay/sorting.sqlite").exists()


@pytest.mark.parametrize(
    ("written", "lasts_s"), [("1", 600.0), ("2.5", 240.0), ("60", 10.0), ("max", 0.0)]
)
def test_recording_replays_in_real_time_n_times_as_fast_or_at_once(tmp_path, written, lasts_s):
    rows = [f"v,{T0 + at},100.5,13.7" for at in range(0, 601, 60)]
    clock = TurnableClock()
    file = write_csv(tmp_path / "f.csv", rows)
    speed = speed_of(written)
    account = replay([file], profile_file(tmp_path), tmp_path, speed=speed, clock=clock)
    assert account.delivered == 11
    assert clock.elapsed_s == pytest.approx(lasts_s, abs=1.1)


def test_empty_recording_of_private_cars_replays_in_time(tmp_path):
    file = write_csv(tmp_path / "f.csv", [])
    profile = profile_file(tmp_path, PRIVATE)
    account = replay([file], profile, tmp_path, speed=60.0, clock=TurnableClock())
    assert (account.read, account.complete) == (0, True)


def test_rows_per_second_bounds_the_rate(tmp_path):
    clock = TurnableClock()
    file = write_csv(tmp_path / "f.csv", [f"v,{T0 + i},100.5,13.7" for i in range(100)])
    account = replay([file], profile_file(tmp_path), tmp_path, rows_per_s=10.0, clock=clock)
    assert account.delivered == 100
    assert clock.elapsed_s == pytest.approx(9.0)


@pytest.mark.parametrize(
    "pace", [{"speed": 0.0}, {"rows_per_s": -1.0}, {"speed": 1, "rows_per_s": 1}]
)
def test_pace_that_makes_no_sense_is_wrong_use(tmp_path, pace):
    file = write_csv(tmp_path / "f.csv", [])
    with pytest.raises(UsageError):
        replay([file], profile_file(tmp_path), tmp_path, **pace)


PRIVATE = CAR_PROFILE.replace('class = "taxi"', 'class = "car"')


def drive(vehicle, minutes):
    """Return a fix every 10 s at 36 km/h due east."""
    return [
        f"{vehicle},{T0 + 10 * i},{100.5 + i * 100 / 108_000:.6f},13.7" for i in range(minutes * 6)
    ]


def test_private_cars_lose_their_trip_ends_unless_the_profile_says_otherwise(tmp_path):
    account, records = one(tmp_path, drive("home", 20), PRIVATE)
    assert account.read == 120
    assert account.delivered + account.dropped["trip_end"] == 120
    kept = sorted(record["observed_at"] for record in records)
    assert kept[0] >= (T0 + 120) * 1000
    assert kept[-1] <= (T0 + 1190 - 120) * 1000
    assert 80 <= len(kept) <= 97


def test_short_private_trip_vanishes_and_is_counted(tmp_path):
    account, records = one(tmp_path, drive("home", 3), PRIVATE)
    assert (records, dict(account.dropped)) == ([], {"trip_end": 18})


def test_length_of_the_cut_differs_from_trip_to_trip(tmp_path):
    rows = [row for i in range(12) for row in drive(f"home-{i}", 10)]
    _, records = one(tmp_path, rows, PRIVATE)
    first = {}
    for record in records:
        first.setdefault(record["vehicle"], record["observed_at"])
    assert len(set(first.values())) > 1


@pytest.mark.parametrize("text", [CAR_PROFILE, PRIVATE + '[privacy]\ntrip_ends = "keep"\n'])
def test_taxis_and_simulations_keep_their_trip_ends(tmp_path, text):
    account, records = one(tmp_path, drive("cab", 5), text)
    assert len(records) == 30
    assert dict(account.dropped) == {}


def test_all_faults_of_a_profile_are_told_at_once(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(
        'contract = "gps_ping/1"\nprovider = "My Fleet"\nspeling = 1\n'
        '[format]\nkind = "csv"\nseparator = "ab"\n'
        '[vehicle]\ncolumn = "v"\nclass = "boat"\n'
        '[time]\ncolumn = "t"\nformat = "pattern"\npattern = "%H"\n'
        '[position]\nlon = "x"\nlat = "x"\n'
        '[speed]\ncolumn = ""\n'
    )
    with pytest.raises(SettingsError) as caught:
        replay([write_csv(tmp_path / "f.csv", [])], file, tmp_path)
    faults = "\n".join(caught.value.faults)
    for key in (
        "provider", "speling", "time_zone", "format.separator", "vehicle.class", "time.zone",
        "position.lat", "position.datum", "speed.unit", "speed.column",
    ):  # fmt: skip
        assert f"{key}: " in faults, key


def test_unknown_profile_lists_the_shipped_ones(tmp_path):
    with pytest.raises(UsageError, match=r"austin.*san_francisco.*sumo"):
        replay([write_csv(tmp_path / "f.csv", [])], "atlantis", tmp_path)


def test_every_shipped_profile_is_good():
    names = set(shipped_profiles())
    assert {"austin", "demo_city", "demo_city_air", "san_francisco", "sumo"} <= names
    for name in names:
        assert read_profile(find_profile(name)).contract in {"gps_ping/1", "air_reading/1"}
        assert find_profile(f"{name}.toml") == find_profile(name)
