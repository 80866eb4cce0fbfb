"""What `clearway city check` says of a pack's calendar: every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearway_cli.city_pack.check import check_pack
from clearway_cli.city_pack.template import write_template

PACK = """\
[city]
name = "Town"
country = "US"
{subdivision}
time_zone = "America/Los_Angeles"
service_area_deg = [-122.52, 37.58, -122.22, 37.84]
"""
GOOD = {
    "holidays.csv": "date,name,day_type\n2008-05-21,Founders,\n2008-05-26,Market,workday\n",
    "school_terms.csv": "start_date,end_date,name\n2008-01-07,2008-05-23,spring\n",
    "events.csv": "start,end,name,area\n2008-05-18,2008-05-18,Run,\n",
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / "city.toml").write_text(PACK.format(subdivision='subdivision = "CA"'))
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def rules(pack: Path) -> set[tuple[str, str, str]]:
    return {(fault.file, fault.where, fault.rule) for fault in check_pack(pack).faults}


def test_a_full_calendar_has_no_fault_and_nothing_is_missing_of_it(pack):
    report = check_pack(pack)
    assert report.faults == ()
    assert not {*GOOD} & {*report.missing}
    assert report.notes == ()


def test_all_faults_of_a_calendar_are_found_at_once(pack):
    (pack / "city.toml").write_text(PACK.format(subdivision='subdivision = "Bavaria"'))
    additions = {
        "holidays.csv": "2008-07-04,Fourth,maybe\n2008-05-21,Again,\n4 July,,\n",
        "school_terms.csv": "2008-09-01,2008-08-01,autumn\n2008-01-07,2008-02-01,spring\n",
        "events.csv": "2008-05-20T20:00,2008-05-20T19:00,Concert,\ntonight,2008-05-20,,\n",
    }
    for name, text in additions.items():
        (pack / name).write_text(GOOD[name] + text, encoding="utf-8")
    assert rules(pack) == {
        ("city.toml", "city.subdivision", "subdivision"),
        ("holidays.csv", "line 4", "day_type"),
        ("holidays.csv", "line 5", "doubled"),
        ("holidays.csv", "line 6", "date"),
        ("holidays.csv", "line 6", "name_empty"),
        ("school_terms.csv", "line 3", "end_date"),
        ("school_terms.csv", "line 4", "doubled"),
        ("events.csv", "line 3", "end"),
        ("events.csv", "line 4", "start"),
        ("events.csv", "line 4", "name_empty"),
    }


def test_an_event_lies_in_an_area_of_the_pack(pack):
    ring = [[-122.4, 37.7], [-122.3, 37.7], [-122.3, 37.8], [-122.4, 37.7]]
    (pack / "areas.geojson").write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"name":"Bay"},'
        f'"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}]}}'
    )
    text = GOOD["events.csv"] + "2008-05-19,2008-05-19,Walk,Bay\n2008-05-20,2008-05-20,Ride,Hill\n"
    (pack / "events.csv").write_text(text, encoding="utf-8")
    assert rules(pack) == {("events.csv", "line 4", "area")}


def test_a_country_without_known_holidays_is_said_and_not_wrong(pack):
    (pack / "city.toml").write_text(PACK.format(subdivision="").replace('"US"', '"ZZ"'))
    report = check_pack(pack)
    assert report.ok
    assert "no public holidays are known for country ZZ" in report.notes[0]


def test_the_template_says_how_calendar_files_look(tmp_path):
    readme = write_template(tmp_path / "new", name="New Town")[1].read_text(encoding="utf-8")
    for words in ("`school_terms.csv`: columns `start_date`", "`day_type`", "`events.csv`"):
        assert words in readme
