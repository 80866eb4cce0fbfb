"""Laws of conversion: every row is kept or counted, whatever stands in the file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from doubles.edge_doubles import CAR_PROFILE, TurnableClock, profile_file, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.wire import GPS_PING
from clearway_core.stream.batch import Batch, decode, encode
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.privacy.trip_ends import TripEndCutter
from clearway_edge.recordings.pacing import AtOnce, InTime, RowsPerSecond
from clearway_edge.rows.convert import Converter
from clearway_edge.rows.files import read_chunks
from clearway_edge.rows.profile_reading import read_profile

PROFILE = (
    CAR_PROFILE.replace('class = "taxi"', 'class = "car"')
    + '[speed]\ncolumn = "v"\nunit = "mps"\nsentinels = [99]\n'
    + '[occupied]\ncolumn = "o"\n'
)
HEADER = "vehicle,at,lon,lat,v,o"

CELL = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters='"\r\n,'), max_size=6),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
)
GOOD = st.builds(
    lambda vehicle, at, east: f"car{vehicle},{1_768_440_000 + at},{100.5 + east / 1000},13.7,5,1",
    st.integers(0, 3),
    st.integers(0, 4000),
    st.integers(0, 500),
)
ROW = st.one_of(GOOD, st.lists(CELL, min_size=1, max_size=8).map(",".join))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(ROW, max_size=60),
    chunk_rows=st.integers(1, 20),
    cut=st.booleans(),
    pace=st.sampled_from(["max", "rate", "time"]),
)
def test_every_row_is_sent_once_or_counted_once(rows, chunk_rows, cut, pace):
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = write_csv(folder / "f.csv", rows, HEADER)
        profile = read_profile(profile_file(folder, PROFILE))
        clock = TurnableClock()
        converter = Converter(
            profile, Pseudonymiser(KeyRing(folder / "keys", clock), profile.time_zone)
        )
        chunks = map(converter.convert, read_chunks(file, profile, rows=chunk_rows))
        if cut:
            chunks = TripEndCutter(Random(1)).cut(chunks)
        paces = {
            "max": AtOnce(),
            "rate": RowsPerSecond(7.0, clock),
            "time": InTime(1e6, folder / "sort", clock),
        }
        seqs: list[int] = []
        read, dropped = 0, Counter()
        for chunk in paces[pace].paced(chunks):
            batch = Batch(
                contract="gps_ping/1", gateway="g", boot=1, seq=chunk.seq, columns=chunk.columns
            )
            if chunk.seq:
                assert list(decode(encode(batch, GPS_PING)).seq) == sorted(chunk.seq)
            seqs += chunk.seq
            read += chunk.read
            dropped += chunk.dropped
            assert all(len(name) == 32 for name in chunk.columns.get("vehicle", ()))
        n_records = sum(bool(row.split(",") != [""]) for row in rows)
        assert read == len(seqs) + sum(dropped.values()) == n_records
        assert len(set(seqs)) == len(seqs)
        assert all(0 <= seq < n_records for seq in seqs)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(GOOD, max_size=40), a=st.integers(1, 50), b=st.integers(1, 50))
def test_records_do_not_depend_on_the_size_of_the_chunks(rows, a, b):
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = write_csv(folder / "f.csv", rows, HEADER)
        profile = read_profile(profile_file(folder, PROFILE))
        names = Pseudonymiser(KeyRing(folder / "keys", TurnableClock()), profile.time_zone)
        found = []
        for size in (a, b):
            records = []
            for raw in read_chunks(file, profile, rows=size):
                chunk = Converter(profile, names).convert(raw)
                records += [
                    (seq, *(column[i] for column in chunk.columns.values()))
                    for i, seq in enumerate(chunk.seq)
                ]
            found.append(records)
        assert found[0] == found[1]
