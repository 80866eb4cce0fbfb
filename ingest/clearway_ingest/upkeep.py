"""Keeping the tables quick to open: many small commits leave many small files."""

from __future__ import annotations

from clearway_core.lake_upkeep import compact_if_crowded
from clearway_ingest.sink import TABLES, Sink

MANY_FILES = 32
"""A commit every 5 s leaves 720 files an hour in each partition it touches, and opening a table
reads the name of each. Joining 32 at a time rewrites a reading a few times in its life."""

CHECK_EVERY_COMMITS = 40
"""Counting files costs about as much as opening the table, so not after every commit."""


def compact_tables(sink: Sink) -> None:
    """Join the small files of tables that have too many."""
    for name in (*TABLES, "ingest_commits"):
        compact_if_crowded(sink.table(name), many=MANY_FILES)
