"""The books close when everything that a gateway read is accounted for, and never otherwise."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from doubles.edge_doubles import TurnableClock
from doubles.ingest_lake import FailingLake
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, fix, gps, raw, third_party
from doubles.ingest_pages import BOOKS_TOPIC, told, word
from doubles.power_cut import PowerCut

from clearway_core.errors import SourceUnavailable, TableConflict, UsageError
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest import retention
from clearway_ingest.books import closing
from clearway_ingest.books.closing import close_books
from clearway_ingest.books.ledger import latest_rows
from clearway_ingest.books.write_offs import write_off
from clearway_ingest.jobs import ingest


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def close(lake, log):
    ingest(lake, log)
    return close_books(lake, log)


def books(lake):
    rows = latest_rows(lake.table("books").scan()).sort("gateway", "about_contract", "page")
    return rows.collect().to_dicts()


def one(lake):
    (row,) = books(lake)
    parts = ("n_stored", "n_quarantined", "n_on_the_way", "n_spooled", "n_dropped", "n_missing")
    assert row["n_read"] == sum(row[name] for name in parts)
    return row


def say(log, *words, gateway="gw-1", seq):
    log.append(BOOKS_TOPIC, [told(gateway, seq, words)])


def test_an_hour_of_which_all_is_in_the_lake_closes(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10)), gps("gw-1", 1, range(5, 20))])
    say(log, word(0, 20, read=23, dropped={"unparsable": 3}, closed=True), seq=0)
    account = close(lake, log)
    row = one(lake)
    assert (row["state"], row["n_stored"], row["n_dropped"]) == ("closed", 20, 3)
    assert account.pages == {"closed": 1, "open": 0, "difference": 0, "written_off": 0}
    assert account.is_closed()


def test_one_reading_that_the_lake_has_not_is_a_difference(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, [n for n in range(20) if n != 13])])
    say(log, word(0, 20, closed=True), seq=0)
    account = close(lake, log)
    assert [row["n_missing"] for row in account.differences] == [1]
    assert one(lake)["state"] == "difference"


def test_readings_in_quarantine_are_accounted_for_apart(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(8)), gps("gw-1", 1, [8, 9], lat_deg=99.0)])
    log.append(AIR_TOPIC, [air("gw-1", 1, range(8, 10))])  # other contract, same numbers
    say(log, word(0, 10, closed=True), seq=0)
    close(lake, log)
    row = one(lake)
    assert (row["n_stored"], row["n_quarantined"], row["state"]) == (8, 2, "closed")


def test_a_message_that_cannot_be_decoded_leaves_a_difference(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(8)), raw(b"torn on the way", key=b"gw-1")])
    say(log, word(0, 10, closed=True), seq=0)
    assert close(lake, log).sums["n_missing"] == 2


def test_what_ingest_has_not_read_yet_is_on_its_way_and_no_difference(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    ingest(lake, log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4, 10))])
    say(log, word(0, 10, closed=True), seq=0)
    behind = _IngestOf(BOOKS_TOPIC, log)
    ingest(lake, behind)  # the word arrives before the readings
    account = close_books(lake, log)
    assert (one(lake)["state"], one(lake)["n_on_the_way"]) == ("open", 6)
    assert account.is_closed()
    close(lake, log)
    assert (one(lake)["state"], one(lake)["n_on_the_way"]) == ("closed", 0)


def test_rows_that_a_killed_ingest_has_half_written_are_on_their_way(tmp_path, log):
    root = tmp_path / "lake"
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(5))])
    ingest(Lake(root), log)
    say(log, word(0, 10, closed=True), seq=0)
    ingest(Lake(root), log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(5, 10))])
    with pytest.raises(PowerCut):
        ingest(FailingLake(root, cut_at=1), log)  # the numbers are there, the rows are not
    assert close_books(Lake(root), log).is_closed()
    assert (one(Lake(root))["n_stored"], one(Lake(root))["n_on_the_way"]) == (5, 5)
    assert close(Lake(root), log).pages["closed"] == 1


class _IngestOf:
    """A log of which only one topic has messages: what ingest sees that lags on the others."""

    def __init__(self, topic, log):
        self._topic = topic
        self._log = log

    def end_offsets(self, topic):
        ends = self._log.end_offsets(topic)
        return ends if topic == self._topic else {}

    def __getattr__(self, name):
        return getattr(self._log, name)


class _AwayLog:
    def __getattr__(self, name):
        message = "no answer"
        raise SourceUnavailable(message)

    def identity(self):
        message = "no answer"
        raise SourceUnavailable(message)


def test_without_the_log_nothing_is_called_missing_that_may_be_on_its_way(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(8))])
    say(log, word(0, 10, closed=True), seq=0)
    ingest(lake, log)
    for away in (None, _AwayLog()):
        account = close_books(lake, away)
        assert (account.log_was_asked, account.is_closed()) == (False, True)
    assert one(lake)["n_on_the_way"] == 2
    assert not close_books(lake, log).is_closed()


def test_a_busy_log_tells_by_the_next_messages_time_what_must_be_here(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(8))])
    say(log, word(0, 10, closed=True), seq=0)
    ingest(lake, log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(100, 110))])  # never read by ingest
    # Appended a moment after the word: clocks of two brokers may differ by as much.
    assert close_books(lake, log).is_closed()
    assert not close_books(lake, _LaterLog(log)).is_closed()


class _LaterLog:
    """Says that each message was appended two minutes later."""

    def __init__(self, log):
        self._log = log

    def read(self, positions, *, timeout_s=1.0):
        return [
            replace(message, appended_at=message.appended_at + timedelta(minutes=2))
            for message in self._log.read(positions, timeout_s=timeout_s)
        ]

    def __getattr__(self, name):
        return getattr(self._log, name)


def test_what_waits_on_the_gateway_keeps_the_hour_open_until_it_comes(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    say(log, word(0, 10, spooled=6), seq=0)
    close(lake, log)
    assert (one(lake)["state"], one(lake)["n_spooled"]) == ("open", 6)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4, 9))])  # later than the word
    close(lake, log)
    assert (one(lake)["state"], one(lake)["n_spooled"], one(lake)["n_missing"]) == ("open", 1, 0)
    log.append(GPS_TOPIC, [gps("gw-1", 1, [9])])
    say(log, word(0, 10, closed=True), seq=1)
    close(lake, log)
    assert (one(lake)["state"], one(lake)["n_stored"]) == ("closed", 10)


def test_what_was_given_up_and_had_arrived_after_all_is_counted_once(lake, log):
    # The broker took the batch, its answer was lost, then the outbox was full.
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, dropped={"outbox_full": 4}, closed=True), seq=0)
    close(lake, log)
    row = one(lake)
    assert (row["state"], row["n_stored"], row["n_dropped"]) == ("closed", 10, 0)


def test_more_than_was_read_is_a_difference_too(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, read=8, closed=True), seq=0)
    close(lake, log)
    assert (one(lake)["state"], one(lake)["n_missing"]) == ("difference", -2)


def test_rows_that_vanish_from_their_table_are_found(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, closed=True), seq=0)
    ingest(lake, log)
    table = lake.table("gps_pings")
    table.replace(table.scan().filter(pl.col("seq") != 3).collect(), {})
    assert close_books(lake, log).sums["n_missing"] == 1


def test_rows_that_lie_twice_in_their_table_are_found_and_mended_ones_close(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, closed=True), seq=0)
    ingest(lake, log)
    table = lake.table("gps_pings")
    right = table.scan().collect()
    table.append(right.head(1))
    assert close_books(lake, log).sums["n_missing"] == -1
    table.replace(right, {})
    assert close_books(lake, log).is_closed()
    assert one(lake)["state"] == "closed"


def test_a_repeat_changes_nothing(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(9))])
    say(log, word(0, 5, closed=True), word(5, 10, page=1), seq=0)
    close(lake, log)
    version = lake.table("books").version()
    account = close(lake, log)
    assert account.changed == 0
    assert lake.table("books").version() == version


def test_several_pages_of_one_hour_and_contract_stand_beside_each_other(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    log.append(AIR_TOPIC, [air("gw-1", 1, range(3))])
    set_back = {**word(6, 10, page=1, closed=True), "hour_start": word(0, 0)["hour_start"]}
    air_page = word(0, 3, contract="air_reading/1", closed=True)
    say(log, word(0, 6, closed=True), set_back, air_page, seq=0)
    close(lake, log)
    assert [(row["about_contract"], row["n_stored"], row["state"]) for row in books(lake)] == [
        ("air_reading/1", 3, "closed"),
        ("gps_ping/1", 6, "closed"),
        ("gps_ping/1", 4, "closed"),
    ]


def test_an_unclean_stop_stands_apart_and_is_no_part_of_what_was_read(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, unclean=2, closed=True), seq=0)
    account = close(lake, log)
    assert one(lake)["state"] == "closed"
    assert (account.sums["n_unclean_stops"], account.sums["n_unclean_at_most"]) == (2, 14)


def test_numbers_whose_word_was_lost_count_as_read(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, [n for n in range(30) if n not in (12, 25)])])
    # Pages 1 and the end of page 0 were never told; page 2 says that they are over.
    say(log, word(0, 8), seq=0)
    close(lake, log)
    assert books(lake)[0]["state"] == "open"
    say(log, word(20, 30, page=2, closed=True), seq=2)
    close(lake, log)
    first, last = books(lake)
    assert (first["n_untold"], first["n_read"], first["n_missing"]) == (12, 20, 1)
    assert (last["n_untold"], last["n_read"], last["n_missing"]) == (0, 10, 1)
    # The lost words come after all, with what became of the two readings.
    say(log, word(0, 8, closed=True), word(8, 20, page=1, dropped={"x": 1}, closed=True), seq=3)
    say(log, word(20, 30, page=2, dropped={"x": 1}, closed=True), seq=5)
    close(lake, log)
    assert [(row["state"], row["n_untold"]) for row in books(lake)] == [("closed", 0)] * 3


def test_a_closed_page_is_opened_again_when_its_last_word_was_not_the_last(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, closed=True), seq=0)
    close(lake, log)
    say(log, word(15, 20, page=1), seq=1)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(15, 20))])
    account = close(lake, log)
    assert account.sums["n_missing"] == 5  # numbers 10 to 14: nobody tells of them


def test_third_parties_have_no_books_and_disturb_none(lake, log):
    log.append(GPS_TOPIC, [third_party([fix("tp", 1, n) for n in range(4)])])
    account = close(lake, log)
    assert sum(account.pages.values()) == 0
    assert account.is_closed()


def test_a_lake_without_gateways_has_no_books(lake, log):
    assert close_books(lake, log).changed == 0
    assert lake.table("books").version() is None


@pytest.fixture
def lost_card(lake, log):
    """Return the words of a gateway that went silent with readings on its card."""
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(15))])
    say(log, word(0, 10, closed=True), word(10, 20, page=1, spooled=4), seq=0)
    close(lake, log)
    return lake


def test_a_lost_card_is_written_off_by_a_person_with_a_reason(lost_card, log):
    done = write_off(lost_card, log, "gw-1", decided_by="Ada", reason="card lost in the flood")
    assert done.n_records == 5  # 4 waited, 1 was missing
    assert [row["state"] for row in books(lost_card)] == ["closed", "written_off"]
    assert done.books.is_closed()
    (row,) = lost_card.table("book_write_offs").scan().collect().to_dicts()
    assert (row["decided_by"], row["reason"], row["page"]) == ("Ada", "card lost in the flood", 1)


def test_what_was_written_off_and_arrives_after_all_shows(lost_card, log):
    write_off(lost_card, log, "gw-1", decided_by="Ada", reason="stolen")
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(15, 18))])
    close(lost_card, log)
    row = books(lost_card)[1]
    assert (row["state"], row["n_came_back"], row["n_written_off"]) == ("written_off", 3, 2)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(18, 25))])
    say(log, word(10, 25, page=1, closed=True), seq=2)
    close(lost_card, log)
    row = books(lost_card)[1]
    assert (row["state"], row["n_came_back"], row["n_stored"]) == ("closed", 5, 15)


def test_more_that_is_missing_after_a_write_off_is_a_difference_again(lost_card, log):
    write_off(lost_card, log, "gw-1", decided_by="Ada", reason="stolen")
    say(log, word(10, 30, page=1, closed=True), seq=2)
    account = close(lost_card, log)
    assert [row["n_missing"] for row in account.differences] == [15]
    again = write_off(lost_card, log, "gw-1", decided_by="Bo", reason="card is broken")
    assert again.n_records == 10
    assert again.books.is_closed()


def test_a_write_off_can_be_of_one_hour_or_boot_only(lake, log):
    hour_1 = datetime(2026, 1, 15, 0, tzinfo=UTC)
    say(log, word(0, 10, closed=True), word(10, 20, page=1, closed=True), seq=0)
    say(log, word(0, 5, boot=2, closed=True), seq=2)
    ingest(lake, log)
    first = write_off(lake, log, "gw-1", decided_by="Ada", reason="r", boot=1, hour_start=hour_1)
    assert first.n_records == 10
    assert len(first.books.differences) == 2
    second = write_off(lake, log, "gw-1", decided_by="Ada", reason="r", boot=2)
    assert second.n_records == 5
    assert [row["about_boot"] for row in second.books.differences] == [1]


def test_a_surplus_can_be_settled_too(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, read=8, closed=True), seq=0)
    ingest(lake, log)
    done = write_off(lake, log, "gw-1", decided_by="Ada", reason="two devices with one name")
    assert done.n_records == -2
    assert one(lake)["state"] == "written_off"


@pytest.mark.parametrize("words", [("", "why"), ("who", " ")])
def test_a_write_off_needs_a_person_and_a_reason(lost_card, log, words):
    with pytest.raises(UsageError, match="person"):
        write_off(lost_card, log, "gw-1", decided_by=words[0], reason=words[1])


def test_nothing_is_written_off_where_nothing_is_missing(lost_card, log):
    write_off(lost_card, log, "gw-1", decided_by="Ada", reason="r")
    with pytest.raises(UsageError, match="nothing of gateway 'gw-1'"):
        write_off(lost_card, log, "gw-1", decided_by="Ada", reason="r")
    with pytest.raises(UsageError, match="nothing of gateway 'gw-9'"):
        write_off(lost_card, log, "gw-9", decided_by="Ada", reason="r")


def test_the_last_hour_of_a_gateway_that_went_silent_can_be_declared_over(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10), seq=0)
    close(lake, log)
    with pytest.raises(UsageError):  # it spoke a moment ago
        write_off(lake, log, "gw-1", decided_by="Ada", reason="r")
    later = TurnableClock(one(lake)["told_at"] + timedelta(hours=2))
    done = write_off(lake, log, "gw-1", decided_by="Ada", reason="device stolen", clock=later)
    assert done.n_records == 0
    assert one(lake)["state"] == "written_off"


def test_a_power_cut_between_the_decision_and_the_books_keeps_the_decision(tmp_path, log):
    root = tmp_path / "lake"
    say(log, word(0, 10, closed=True), seq=0)
    close(Lake(root), log)
    cut = FailingLake(root, cut_at=1)  # the decision is there, the books are not
    with pytest.raises(PowerCut):
        write_off(cut, log, "gw-1", decided_by="Ada", reason="r")
    assert close_books(Lake(root), log).is_closed()
    assert one(Lake(root))["n_written_off"] == 10


@pytest.mark.parametrize("torn", [False, True])
def test_a_power_cut_while_the_books_are_closed_changes_nothing_of_the_end(tmp_path, log, torn):
    root = tmp_path / "lake"
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(9))])
    say(log, word(0, 10, closed=True), seq=0)
    ingest(Lake(root), log)
    with pytest.raises(PowerCut):
        close_books(FailingLake(root, cut_at=0, torn=torn), log)
    assert close_books(Lake(root), log).sums["n_missing"] == 1
    assert len(Lake(root).table("books").scan().collect()) == 1


def test_two_that_close_at_the_same_moment_write_each_page_once(tmp_path, log, monkeypatch):
    root = tmp_path / "lake"
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(9))])
    say(log, word(0, 10, closed=True), seq=0)
    ingest(Lake(root), log)
    append = closing._append

    def after_another(*arguments, **options):
        monkeypatch.setattr(closing, "_append", append)
        close_books(Lake(root), log)
        return append(*arguments, **options)

    monkeypatch.setattr(closing, "_append", after_another)
    with pytest.raises(TableConflict, match="run it again"):
        close_books(Lake(root), log)
    assert close_books(Lake(root), log).changed == 0
    assert len(Lake(root).table("books").scan().collect()) == 1


def test_a_table_of_words_that_was_made_anew_is_read_from_its_start(lake, log, tmp_path):
    for number in range(3):
        log.append(GPS_TOPIC, [gps("gw-1", 1, range(number * 5, number * 5 + 5))])
        say(log, word(0, number * 5 + 5), seq=number)
        close(lake, log)
    rows = lake.table("gateway_books").scan().sort("seq").collect()
    shutil.rmtree(tmp_path / "lake" / "gateway_books")
    again = Lake(tmp_path / "lake")
    again.table("gateway_books").append(rows)
    assert close_books(again, log).changed == 0
    last = rows.tail(1).with_columns(closed=True, seq=pl.lit(3))
    again.table("gateway_books").append(last)
    assert close_books(again, log).pages["closed"] == 1


def test_closed_books_stay_closed_when_raw_rows_expire(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(9)), gps("gw-1", 1, [9], lat_deg=99.0)])
    say(log, word(0, 10, closed=True), seq=0)
    close(lake, log)
    _expire(lake)
    assert close_books(lake, log).changed == 0
    say(log, word(10, 10, page=1, closed=True), seq=1)  # the stream goes on
    close(lake, log)
    row = books(lake)[0]
    assert (row["state"], row["n_stored"], row["n_quarantined"]) == ("closed", 9, 1)


def test_what_comes_long_after_the_rest_has_expired_still_closes_the_hour(lost_card, log):
    write_off(lost_card, log, "gw-1", decided_by="Ada", reason="card lost")
    _expire(lost_card)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(15, 20))])  # the card was in a drawer
    say(log, word(10, 20, page=1, closed=True), seq=2)
    close(lost_card, log)
    row = books(lost_card)[1]
    assert (row["state"], row["n_stored"], row["n_came_back"]) == ("closed", 10, 5)


def _expire(lake):
    newest = lake.table("gps_pings").scan().select(pl.col("received_at").max()).collect().item()
    gone = retention.expire(lake, clock=TurnableClock(newest + timedelta(days=32)))
    assert gone.rows["gps_pings"] > 0


def test_only_what_changed_is_counted_again(lake, log, monkeypatch):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    say(log, word(0, 10, closed=True), seq=0)
    close(lake, log)
    scanned = []
    scan = Lake.table

    def table(self, name):
        found = scan(self, name)
        original = found.scan

        def watched(*arguments, **options):
            scanned.append(name)
            return original(*arguments, **options)

        found.scan = watched
        return found

    monkeypatch.setattr(Lake, "table", table)
    close_books(lake, log)
    assert not {"gps_pings", "quarantine", "gateway_books", "air_readings"} & set(scanned)
