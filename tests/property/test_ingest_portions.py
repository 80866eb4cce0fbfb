"""What ends in the lake does not depend on the portions in which the log was read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from doubles.ingest_lake import committed_sums, places
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, fix, gps, third_party
from doubles.ingest_oracle import everything, expected
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.jobs import Settings, ingest

SEQS = st.lists(st.integers(0, 12), min_size=1, max_size=8)
MESSAGE = st.one_of(
    st.tuples(st.just("gps"), st.sampled_from(["gw-1", "gw-2"]), st.integers(1, 2), SEQS),
    st.tuples(st.just("bad"), st.just("gw-1"), st.integers(1, 2), SEQS),
    st.tuples(st.just("air"), st.just("gw-1"), st.just(1), SEQS),
    st.tuples(st.just("json"), st.sampled_from(["tp-1", "tp-2"]), st.just(1), SEQS),
)


def _append(log, message):
    kind, gateway, boot, seqs = message
    if kind == "air":
        log.append(AIR_TOPIC, [air(gateway, boot, seqs)])
    elif kind == "json":
        records = [fix(gateway, boot, seq) for seq in seqs]
        log.append(GPS_TOPIC, [third_party(records, key=gateway.encode())])
    else:
        changes = {"lat_deg": -91.0} if kind == "bad" else {}
        log.append(GPS_TOPIC, [gps(gateway, boot, seqs, **changes)])


@given(
    messages=st.lists(MESSAGE, min_size=1, max_size=10),
    stops=st.lists(st.integers(0, 9), max_size=2),
    rows=st.sampled_from([1, 5, 1000]),
)
@settings(max_examples=12, deadline=None)
def test_any_portions_and_any_number_of_runs_give_the_plain_result(messages, stops, rows):
    with tempfile.TemporaryDirectory() as folder:
        log = EmbeddedLog(Path(folder) / "log.sqlite")
        lake = Lake(Path(folder) / "lake")
        read = 0
        for number, message in enumerate(messages):
            _append(log, message)
            if number in stops:
                read += ingest(lake, log, settings=Settings(rows=rows)).read
        account = ingest(lake, log, settings=Settings(rows=rows))
        wanted = expected(everything(log))
        log.close()
        assert places(lake) == wanted.sorted_rows()
        assert read + account.read == wanted.read
        assert committed_sums(lake)["n_duplicates"] == wanted.duplicates
        assert account.is_closed()
