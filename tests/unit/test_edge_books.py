"""Books that travel: what a replayed file and a live gateway tell of their pages."""

from __future__ import annotations

import json
from dataclasses import replace

from doubles.edge_doubles import TurnableClock, batches_in, profile_file, write_csv

from clearway_core.contracts.wire import GATEWAY_BOOKS
from clearway_core.stream.batch import decode
from clearway_edge import jobs
from clearway_edge.outbox.books import MAX_PAGES, books_parcel, one_page
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Account, Parcel, Stream

TOPIC = "clearway.gateway_books.v1"


def test_replayed_file_closes_its_books_under_its_own_identity_each_time_alike(tmp_path):
    rows = [f"v{i % 9},{1_768_440_000 + i},100.5,13.7" for i in range(50)]
    rows.append("v1,1768440999,0.0,0.0")
    file, profile = write_csv(tmp_path / "f.csv", rows), profile_file(tmp_path)
    for _ in range(2):
        account = jobs.replay([file], profile, data_dir=tmp_path, log_address=None)
    [boot] = account.boots.values()
    batches = batches_in(tmp_path, TOPIC)
    assert len(batches) == 2
    assert {(batch.boot, tuple(batch.seq)) for batch in batches} == {(boot, (0,))}
    told = {name: column[0] for name, column in batches[0].columns.items()}
    assert (told["about_contract"], told["about_boot"], told["page"]) == ("gps_ping/1", boot, 0)
    assert (told["n_read"], told["n_delivered"], told["n_spooled"]) == (51, 50, 0)
    assert json.loads(str(told["dropped_by_reason"])) == {"null_island": 1}
    assert (told["seq_first"], told["closed"]) == (0, True)


def test_page_is_told_with_every_field_of_the_contract():
    clock, box = TurnableClock(), MemoryOutbox(clock=TurnableClock())
    stream = Stream(contract="air_reading/1", boot=7, run=7)
    box.put(
        Parcel(
            stream=stream,
            payload=b"x",
            n_read=5,
            n_records=3,
            next_seq=3,
            dropped={"bad_checksum": 2},
            from_devices=True,
        )
    )
    parcel = books_parcel("gw-1", box.pages(), observed_at_ms=5, boot=9, first_seq=4)
    assert parcel is not None
    batch = decode(parcel.payload)
    assert (batch.gateway, batch.boot, list(batch.seq)) == ("gw-1", 9, [4])
    told = {name: batch.columns[name][0] for name in GATEWAY_BOOKS.columns}
    assert told == {
        "observed_at": 5, "about_contract": "air_reading/1", "about_boot": 7, "page": 0,
        "hour_start": int(clock.now().timestamp() * 1000), "seq_first": 0, "seq_next": 3,
        "n_read": 5, "n_delivered": 0, "n_spooled": 3, "n_dropped": 2,
        "dropped_by_reason": '{"bad_checksum":2}', "n_unclean_stops": 0, "n_unclean_at_most": 0,
        "closed": False,
    }  # fmt: skip


def test_pages_of_a_recorded_file_are_told_as_one_whatever_hours_it_took():
    clock = TurnableClock()
    box = MemoryOutbox(clock=clock)
    stream = Stream(contract="gps_ping/1", boot=7, run=7)
    for first, n in ((0, 3), (3, 4), (7, 5)):
        dropped = {"null_island": 1, "no_fix": first}
        parcel = Parcel(
            stream=stream, payload=b"x", n_read=n, n_records=n, next_seq=first + n, notes={"a": 1}
        )
        box.put(parcel.also_dropped(dropped))
        clock.forward(3600)
    pages = box.pages()
    box.accept([batch.id for batch in box.waiting(2)])
    first, second, third = (
        # The second time that the file is replayed, after a crash.
        replace(page, number=page.number + 3, n_unclean_stops=1, n_unclean_at_most=9)
        for page in box.pages()
    )
    whole = one_page([second, first, third])
    assert (whole.stream, whole.number, whole.hour_start_ms) == (stream, 0, pages[0].hour_start_ms)
    assert (whole.seq_first, whole.seq_next) == (0, 12)
    assert (whole.n_unclean_stops, whole.n_unclean_at_most, whole.closed) == (0, 0, False)
    assert whole.account == Account(
        read=25, delivered=7, spooled=5, dropped={"null_island": 3, "no_fix": 10}, notes={"a": 3}
    )
    box.accept([batch.id for batch in box.waiting(9)])
    assert one_page(box.pages()).closed


def test_more_pages_than_a_message_holds_are_told_in_turn():
    clock = TurnableClock()
    box = MemoryOutbox(clock=clock)
    for boot in range(MAX_PAGES + 5):
        stream = Stream(contract="gps_ping/1", boot=boot, run=boot)
        box.put(Parcel(stream=stream, payload=b"", n_read=0, n_records=0, next_seq=0))
    first = books_parcel("gw-1", box.pages(), observed_at_ms=0, boot=9, first_seq=0)
    assert first is not None
    box.put(first)
    second = books_parcel("gw-1", box.pages(), observed_at_ms=0, boot=9, first_seq=MAX_PAGES)
    assert (first.n_records, second and second.n_records) == (MAX_PAGES, 5)
