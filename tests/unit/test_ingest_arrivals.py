"""Rows are counted for exactly the numbers asked for, page by page and contract by contract."""

from __future__ import annotations

import pytest
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, gps

from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.books.arrivals import Arrivals, Asked, Rows
from clearway_ingest.jobs import ingest
from clearway_ingest.ranges import Counter, Span

GPS = Counter("gps_ping/1", "gw-1", 1)
AIR = Counter("air_reading/1", "gw-1", 1)


@pytest.fixture
def lake(tmp_path):
    """Three messages of fixes, of which one has a broken one; air with the same numbers, broken."""
    lake, log = Lake(tmp_path / "lake"), EmbeddedLog(tmp_path / "log.sqlite")
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(5)), gps("gw-1", 1, range(5, 10))])
    log.append(GPS_TOPIC, [gps("gw-1", 1, [10], lat_deg=-91.0), gps("gw-1", 2, range(20))])
    log.append(AIR_TOPIC, [air("gw-1", 1, range(12), lat_deg=-91.0)])
    log.append(AIR_TOPIC, [air("gw-1", 1, [12])])
    ingest(lake, log)
    log.close()
    return lake


def test_each_page_gets_the_rows_of_its_own_numbers(lake):
    asked = [
        Asked(GPS, [Span(0, 2)]),
        Asked(GPS, [Span(4, 4), Span(6, 7)]),
        Asked(GPS, [Span(9, 10)]),
        Asked(GPS, []),
        Asked(AIR, [Span(10, 12)]),
    ]
    arrivals = Arrivals(lake, {GPS: 0, AIR: 10})
    assert arrivals.rows(asked) == [Rows(3, 0), Rows(3, 0), Rows(1, 1), Rows(0, 0), Rows(1, 2)]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (4, 4), (5, 5), (9, 9)])
def test_the_first_and_the_last_number_of_a_message_are_found_by_themselves(lake, first, last):
    assert Arrivals(lake, {GPS: first}).rows([Asked(GPS, [Span(first, last)])]) == [Rows(1, 0)]


def test_a_page_of_which_nothing_arrived_has_no_rows(lake):
    assert Arrivals(lake, {AIR: 0}).rows([Asked(AIR, [])]) == [Rows(0, 0)]


def test_what_has_arrived_is_known_from_the_lowest_number_asked_for(lake):
    arrivals = Arrivals(lake, {GPS: 6, AIR: 12})
    assert list(arrivals.of(GPS)) == [Span(5, 10)]
    assert list(arrivals.of(AIR)) == [Span(12, 12)]
    assert list(arrivals.of(GPS._replace(boot=2))) == []


def test_rows_of_a_later_commit_are_found_in_the_days_that_it_wrote(tmp_path):
    lake, log = Lake(tmp_path / "lake"), EmbeddedLog(tmp_path / "log.sqlite")
    for seqs in (range(3), range(40, 43)):  # the second message is of the next day
        log.append(GPS_TOPIC, [gps("gw-1", 1, seqs)])
        ingest(lake, log)
    log.close()
    assert lake.table("gps_pings").partition_values()["observed_date"].n_unique() == 2
    assert Arrivals(lake, {GPS: 40}).rows([Asked(GPS, [Span(40, 42)])]) == [Rows(3, 0)]
