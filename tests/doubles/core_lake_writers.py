"""Processes that write one table at the same time, as two services by mistake would."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

import polars as pl

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import ClearwayError
from clearway_core.lake import Lake
from clearway_core.schema import polars_schema

START = datetime(2008, 5, 21, 1, 15, 0, 123456, tzinfo=UTC)


def commits(*offsets: int, partition: int = 0) -> pl.DataFrame:
    """Return rows of `ingest_commits` with these next offsets."""
    contract = LAKE_CONTRACTS["ingest_commits"]
    defaults: dict[str, object] = {}
    for field in contract.fields:
        if field.dtype == "string":
            defaults[field.name] = "x"
        elif field.dtype == "instant":
            defaults[field.name] = START
        else:
            defaults[field.name] = 0
    rows = [defaults | {"log_partition": partition, "next_offset": o} for o in offsets]
    return pl.DataFrame(rows, schema=polars_schema(contract))


def race(folder: str, worker: int, last: int) -> None:
    """Commit step after step under one application id until `last`, against all others."""
    table = Lake(folder).table("ingest_commits")
    moments = random.Random(worker)
    while True:
        try:
            done = table.transaction_version("t/0") or 0
            if done >= last:
                return
            time.sleep(moments.random() * 0.01)
            table.append(commits(done + 1, partition=worker), transactions={"t/0": done + 1})
        except ClearwayError:  # the other was faster: look again
            continue
