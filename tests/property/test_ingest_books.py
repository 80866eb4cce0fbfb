"""Books close exactly where nothing is missing, whatever gateways, log and ingest go through."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from doubles.ingest_street import StreetGateway
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.books.balance import Held, Reach, Told, balance, reaches
from clearway_ingest.books.closing import close_books
from clearway_ingest.books.ledger import latest_rows
from clearway_ingest.jobs import Settings, ingest
from clearway_ingest.ranges import Counter

NAMES = ("gw-1", "gw-2")
HARMLESS = ("ok", "ok", "twice", "broken", "given_up")
gateways = st.sampled_from(range(len(NAMES)))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), gateways, st.integers(0, 6), st.integers(0, 2)),
        st.tuples(st.just("turn"), gateways),
        st.tuples(st.just("restart"), gateways),
        st.tuples(st.just("send"), gateways, st.integers(0, 9), st.sampled_from(HARMLESS)),
        st.tuples(st.just("send"), gateways, st.integers(0, 9), st.just("ok")),
        st.tuples(st.just("tell"), gateways, st.booleans()),
        st.tuples(st.just("ingest"), st.integers(1, 12)),
        st.tuples(st.just("close")),
    ),
    max_size=25,
)


class Street:
    """Two gateways, a log and a lake in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.log = EmbeddedLog(folder / "log.sqlite")
        self.lake = Lake(folder / "lake")
        self.gateways = [StreetGateway(name, self.log) for name in NAMES]

    def go(self, step: tuple) -> None:
        kind, *rest = step
        if kind == "ingest":
            ingest(self.lake, self.log, settings=Settings(rows=rest[0]))
        elif kind == "close":
            close_books(self.lake, self.log)
        elif kind == "tell":
            self.gateways[rest[0]].tell(arrives=rest[1])
        else:
            getattr(self.gateways[rest[0]], kind)(*rest[1:])

    def end(self, *, tell: bool = True) -> dict[tuple[str, int, int], dict[str, object]]:
        """Let everything arrive and be told, and return the books by gateway, boot and page."""
        for gateway in self.gateways:
            gateway.send_rest()
            gateway.turn()
            if tell:
                gateway.tell()
        ingest(self.lake, self.log)
        close_books(self.lake, self.log)
        rows = latest_rows(self.lake.table("books").scan()).collect().to_dicts()
        return {(row["gateway"], row["about_boot"], row["page"]): row for row in rows}


class street:  # noqa: N801 -- used like a function
    """A street in a folder that is gone afterwards."""

    def __enter__(self) -> Street:
        self._folder = Path(tempfile.mkdtemp())
        self._street = Street(self._folder)
        return self._street

    def __exit__(self, *_: object) -> None:
        self._street.log.close()
        shutil.rmtree(self._folder)


quick = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def truly(page, row):
    """Assert that a row of the books says what truly became of a page."""
    n_read = len(page.numbers) + page.dropped_at_source
    assert (row["n_read"], row["n_untold"]) == (n_read, 0)
    assert row["n_stored"] == len(page.arrived - page.broken)
    assert row["n_quarantined"] == len(page.broken)
    assert row["n_dropped"] == page.dropped_at_source + len(page.given_up - page.arrived)
    assert row["n_missing"] == len(page.lost)
    assert (row["n_spooled"], row["n_on_the_way"]) == (0, 0)


@quick
@given(STEPS)
def test_everything_that_is_read_ends_in_its_column_and_every_page_closes(steps):
    with street() as here:
        for step in steps:
            here.go(step)
            if step[0] == "close":
                assert close_books(here.lake, here.log).is_closed()
        books = here.end()
        for gateway in here.gateways:
            for page in gateway.pages[:-1]:
                row = books[gateway.name, page.boot, page.number]
                truly(page, row)
                assert row["state"] == "closed"
        version = here.lake.table("books").version()
        assert close_books(here.lake, here.log).changed == 0
        assert here.lake.table("books").version() == version


@quick
@given(STEPS, st.integers(0, 25), gateways)
def test_a_single_lost_record_is_found_on_its_page_and_on_no_other(steps, at, which):
    with street() as here:
        for number, step in enumerate([*steps, None]):
            if number == min(at, len(steps)):
                unlucky = here.gateways[which]
                unlucky.read(1, 0)
                unlucky.send(-1, "lost")  # the one that was read last
            if step is not None:
                here.go(step)
        books = here.end()
        states = {}
        for gateway in here.gateways:
            for page in gateway.pages[:-1]:
                truly(page, books[gateway.name, page.boot, page.number])
                states[gateway.name, page.boot, page.number] = bool(page.lost)
        assert sum(states.values()) == 1
        for key, is_lost in states.items():
            assert books[key]["state"] == ("difference" if is_lost else "closed")


@quick
@given(STEPS, st.booleans())
@example([("read", 0, 1, 0), ("tell", 0, True)], True)  # noqa: FBT003 -- a drawn value
def test_where_words_are_lost_for_good_a_lost_record_is_still_found(steps, loses):
    with street() as here:
        for step in steps:
            given_up = step[0] == "send" and step[3] == "given_up"
            here.go(("send", step[1], step[2], "ok") if given_up else step)
        victim = here.gateways[0]
        if loses:
            victim.read(1, 0)
            victim.send(-1, "lost")
        for gateway in here.gateways:
            gateway.send_rest()
            gateway.turn()
            # Of the pages so far no further word ever comes; only the next page is told.
            for page in gateway.pages[:-1]:
                page.told_closed = True
            gateway.read(1, 0)
        books = here.end()
        event(f"pages {len(books)}")
        mine = [row for key, row in books.items() if key[0] == victim.name]
        assert sum(row["n_missing"] for row in mine) == int(loses)
        last_boot = [row for row in mine if row["about_boot"] == victim.pages[-1].boot]
        assert ("difference" in {row["state"] for row in last_boot}) == loses


FATES = ("delivered", "waits_came", "waits", "gone", "gone_came", "lost")


@st.composite
def word_and_truth(draw):
    """A word that was true when it was given, and what has arrived by now."""
    fates = draw(st.lists(st.sampled_from(FATES)))
    n = {name: fates.count(name) for name in FATES}
    if n["lost"]:
        # The one thing that counting cannot see; see the decision record.
        n["gone_came"] = 0
    return n


@settings(max_examples=300, deadline=None)
@given(word_and_truth(), st.booleans(), st.booleans())
def test_the_balance_adds_up_and_misses_what_is_lost_once_ingest_has_passed(n, is_over, passed):
    n_received = n["delivered"] + n["waits_came"] + n["gone_came"]
    n_numbers = sum(n.values())
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    n_spooled, n_dropped = n["waits"] + n["waits_came"], n["gone"] + n["gone_came"]
    told = Told(
        counter=Counter("gps_ping/1", "gw-1", 1),
        page=0,
        hour_start=moment,
        seq_first=0,
        seq_next=n_numbers,
        n_read=n_numbers,
        n_spooled=n_spooled,
        n_dropped=n_dropped,
        dropped_by_reason="{}",
        n_unclean_stops=0,
        n_unclean_at_most=0,
        closed=is_over and n_spooled == 0,
        told_at=moment,
    )
    reach = Reach(first=0, stop=n_numbers, n_untold=0, is_followed=is_over)
    held = Held(
        n_received=n_received, n_told_received=n_received, n_stored=n_received, n_quarantined=0
    )
    found = balance(told, reach, held, n_written_off=None, is_read_past=passed)
    assert found.n_read == (
        found.n_stored + found.n_quarantined + found.n_on_the_way + found.n_spooled
        + found.n_dropped + found.n_missing
    )  # fmt: skip
    # What came of the waiting ones hides a loss only until the gateway speaks again.
    unseen = min(n["lost"], n["waits_came"])
    assert found.n_missing == (n["lost"] - unseen if passed else 0)
    assert found.n_on_the_way == (0 if passed else n["lost"] - unseen)
    whole = not n["lost"] and not n["waits"]
    if found.state == "closed":
        assert whole
        assert is_over
    if whole and is_over and not (n_spooled and n_dropped):
        assert found.state == "closed"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8), st.data())
def test_every_number_belongs_to_exactly_one_page_whatever_words_are_lost(lengths, data):
    pages, at = [], 0
    for number, (gap, length) in enumerate(lengths):
        at += gap
        pages.append((number, at, at + length))
        at += length
    kept = [page for page in pages if data.draw(st.booleans())]
    found = reaches(data.draw(st.permutations(kept)))
    numbers = [n for reach in found.values() for n in range(reach.first, reach.stop)]
    assert sorted(numbers) == list(range(kept[-1][2] if kept else 0))
    assert sum(reach.n_untold for reach in found.values()) == len(numbers) - sum(
        stop - first for _, first, stop in kept
    )
