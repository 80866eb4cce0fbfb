"""What a page of the books comes to: ten records read unless a case says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clearway_ingest.books.balance import Balance, Held, Reach, Told, balance, reaches
from clearway_ingest.ranges import Counter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def page(
    *,
    received: int = 10,
    told_received: int | None = None,
    stored: int | None = None,
    quarantined: int = 0,
    spooled: int = 0,
    dropped: int = 0,
    untold: int = 0,
    closed: bool = False,
    followed: bool = False,
    written_off: int | None = None,
    past: bool = True,
) -> Balance:
    told = Told(
        counter=Counter("gps_ping/1", "gw-1", 1),
        page=0,
        hour_start=NOON,
        seq_first=0,
        seq_next=10,
        n_read=10,
        n_spooled=spooled,
        n_dropped=dropped,
        dropped_by_reason="{}",
        n_unclean_stops=0,
        n_unclean_at_most=0,
        closed=closed,
        told_at=NOON,
    )
    reach = Reach(first=0, stop=10 + untold, n_untold=untold, is_followed=followed)
    held = Held(
        n_received=received,
        n_told_received=received if told_received is None else told_received,
        n_stored=received - quarantined if stored is None else stored,
        n_quarantined=quarantined,
    )
    return balance(told, reach, held, n_written_off=written_off, is_read_past=past)


@pytest.mark.parametrize(
    ("case", "state", "counts"),
    [
        ({"closed": True}, "closed", {"n_read": 10, "n_stored": 10}),
        ({"followed": True}, "closed", {}),
        ({}, "open", {}),
        ({"closed": True, "quarantined": 3}, "closed", {"n_stored": 7, "n_quarantined": 3}),
        ({"received": 8, "past": False}, "open", {"n_on_the_way": 2}),
        ({"received": 9, "past": False}, "open", {"n_on_the_way": 1}),
        ({"received": 8}, "difference", {"n_missing": 2}),
        ({"received": 8, "spooled": 2}, "open", {"n_spooled": 2}),
        ({"received": 9, "spooled": 2}, "open", {"n_spooled": 1}),
        ({"spooled": 2, "followed": True}, "closed", {"n_spooled": 0}),
        ({"received": 8, "dropped": 2, "closed": True}, "closed", {"n_dropped": 2}),
        ({"received": 9, "dropped": 2, "closed": True}, "closed", {"n_dropped": 1}),
        ({"received": 9, "dropped": 2, "spooled": 1}, "open", {"n_dropped": 1, "n_spooled": 0}),
        ({"spooled": 1, "dropped": 1, "followed": True}, "open", {"n_dropped": 0}),
        ({"received": 12, "told_received": 10, "untold": 2}, "open", {"n_read": 12, "n_untold": 2}),
        ({"untold": 2}, "difference", {"n_read": 12, "n_missing": 2}),
        ({"stored": 9}, "difference", {"n_missing": 1}),
        ({"stored": 9, "past": False}, "difference", {"n_missing": 1, "n_on_the_way": 0}),
        ({"stored": 11, "closed": True}, "difference", {"n_missing": -1}),
        ({"received": 11, "closed": True}, "difference", {"n_missing": -1}),
        ({"received": 9, "stored": 10, "closed": True}, "difference", {"n_missing": 0}),
    ],
)
def test_each_record_is_in_one_column_and_the_page_stands_as_they_say(case, state, counts):
    found = page(**case)
    assert (found.state, {name: getattr(found, name) for name in counts}) == (state, counts)
    assert found.n_read == (
        found.n_stored + found.n_quarantined + found.n_on_the_way + found.n_spooled
        + found.n_dropped + found.n_missing
    )  # fmt: skip
    assert (found.n_written_off, found.n_came_back) == (0, 0)


@pytest.mark.parametrize(
    ("case", "state", "written_off", "came_back"),
    [
        ({"received": 8, "written_off": 2}, "written_off", 2, 0),
        ({"received": 8, "spooled": 2, "written_off": 2}, "written_off", 2, 0),
        ({"received": 9, "written_off": 2}, "written_off", 1, 1),
        ({"written_off": 2, "followed": True}, "closed", 0, 2),
        ({"received": 7, "written_off": 2}, "difference", 2, 0),
        ({"received": 7, "spooled": 3, "written_off": 2}, "open", 2, 0),
        ({"received": 11, "written_off": -1}, "written_off", -1, 0),
        ({"received": 11, "written_off": 2}, "difference", 0, 2),
        ({"received": 12, "written_off": -1}, "difference", -1, 0),
        ({"received": 8, "written_off": -1}, "difference", 0, 0),
        ({"written_off": 0}, "written_off", 0, 0),
        ({"written_off": 0, "closed": True}, "closed", 0, 0),
        ({"received": 9, "stored": 10, "written_off": 0}, "difference", 0, 0),
        ({"received": 8, "past": False, "written_off": 0}, "open", 0, 0),
    ],
)
def test_what_a_person_wrote_off_settles_exactly_what_is_still_missing(
    case, state, written_off, came_back
):
    found = page(**case)
    assert (found.state, found.n_written_off, found.n_came_back) == (state, written_off, came_back)


def test_numbers_between_pages_go_to_the_page_before_and_only_the_last_can_grow():
    found = reaches([(4, 20, 20), (1, 3, 8), (2, 10, 15)], start=1)
    assert found == {
        1: Reach(first=1, stop=10, n_untold=4, is_followed=True),
        2: Reach(first=10, stop=20, n_untold=5, is_followed=True),
        4: Reach(first=20, stop=20, n_untold=0, is_followed=False),
    }
    assert reaches([(7, 2, 5)]) == {7: Reach(first=0, stop=5, n_untold=2, is_followed=False)}


def test_a_page_that_repeats_earlier_numbers_leaves_the_gap_to_the_one_that_came_furthest():
    found = reaches([(0, 0, 10), (1, 2, 4), (2, 12, 14)])
    assert {number: (each.stop, each.n_untold) for number, each in found.items()} == {
        0: (12, 2),
        1: (4, 0),
        2: (14, 0),
    }


def test_of_two_pages_that_end_alike_the_later_one_takes_the_gap():
    found = reaches([(0, 0, 10), (1, 10, 10), (2, 12, 14)])
    assert [found[number].n_untold for number in (0, 1, 2)] == [0, 2, 0]
