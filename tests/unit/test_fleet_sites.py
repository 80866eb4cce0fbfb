"""The register of sites: the latest row counts, a swap keeps the site, mistakes are refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.fleet_street import START, site

from clearway_core.errors import OffsetRegression, UsageError
from clearway_core.lake import Lake, open_lake
from clearway_fleet import jobs
from clearway_fleet.sites import Register, State, read_register, write_sites


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock(START + timedelta(hours=1))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path)
    write_sites(lake, [site(1), site(2, State.PLANNED)], Register(rows=(), version=None))
    return lake


def test_a_swap_keeps_the_site_and_what_was_before_stays_known(
    lake: Lake, clock: TurnableClock
) -> None:
    done = jobs.set_site(
        lake, "site-01", gateway="gw-061", reason="flooded", decided_by="Anna", clock=clock
    )

    assert (done.site, done.site_name, done.gateway, done.state) == (
        "site-01",
        "Crossing 1",
        "gw-061",
        State.ACTIVE,
    )
    register = read_register(lake)
    assert register.at(START + timedelta(minutes=30))["site-01"].gateway == "gw-001"
    assert register.at(clock.now())["site-01"].gateway == "gw-061"
    assert [each.gateway for each in jobs.list_sites(lake, clock=clock)] == ["gw-061", "gw-002"]
    with pytest.raises(UsageError, match="gw-061 serves site-01"):
        jobs.set_site(
            lake, "site-02", gateway="gw-061", reason="spare", decided_by="Ben", clock=clock
        )


def test_a_decommissioned_site_sets_its_device_free(lake: Lake, clock: TurnableClock) -> None:
    jobs.set_site(
        lake, "site-01", state="decommissioned", reason="road works", decided_by="Anna", clock=clock
    )
    clock.forward(60)
    done = jobs.set_site(
        lake, "site-02", state="active", gateway="gw-001", reason="reuse", decided_by="Anna",
        clock=clock,
    )  # fmt: skip

    assert done.gateway == "gw-001"
    with pytest.raises(UsageError, match="site-01 has no device"):
        jobs.set_site(
            lake, "site-01", state="active", reason="back", decided_by="Anna", clock=clock
        )


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("site-1", {"state": "active"}, "no site 'site-1' is known; did you mean site-01?"),
        ("site-01", {"state": "active"}, "site-01 is active with gw-001 already, since 2026-03-04"),
        ("site-01", {"state": "broken"}, "expected a state of planned, active, maintenance"),
        ("site-02", {"gateway": "gw-001"}, "gw-001 serves site-01 .Crossing 1, active."),
        ("site-02", {"gateway": "GW 7"}, "expected a device name of small letters"),
        ("site-01", {"state": "planned", "reason": " "}, "expected words after --reason"),
    ],
)
def test_mistakes_are_refused_with_what_to_do(
    lake: Lake, clock: TurnableClock, name: str, change: dict, words: str
) -> None:
    version = lake.table("gateway_sites").version()
    with pytest.raises(UsageError, match=words):
        jobs.set_site(
            lake, name, **{"reason": "because", "decided_by": "Anna", "clock": clock} | change
        )

    assert lake.table("gateway_sites").version() == version


def test_two_people_who_decide_at_once_do_not_overtake_each_other(lake: Lake) -> None:
    register = read_register(lake)
    write_sites(lake, [site(3)], register)

    with pytest.raises(OffsetRegression, match="nothing was written"):
        write_sites(lake, [site(4)], register)
