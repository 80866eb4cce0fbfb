"""Keeping the tables quick to open: many small commits leave many small files."""

from __future__ import annotations

import logging

from clearway_core.errors import TableConflict
from clearway_core.lake_upkeep import compact, most_files
from clearway_ingest.sink import TABLES, Sink

log = logging.getLogger(__name__)

MANY_FILES = 32
"""A commit every 5 s leaves 720 files an hour in each partition it touches, and opening a table
reads the name of each. Joining 32 at a time rewrites a reading a few times in its life."""

CHECK_EVERY_COMMITS = 40
"""Counting files costs about as much as opening the table, so not after every commit."""


def compact_tables(sink: Sink, *, many: int = MANY_FILES) -> list[str]:
    """Join the small files of tables that have too many, and return those tables' names.

    A conflict with another process is left for the next time: the table stays as it was.
    """
    joined = []
    for name in (*TABLES, "ingest_commits"):
        table = sink.table(name)
        if most_files(table) < many:
            continue
        try:
            compact(table)
        except TableConflict:
            log.info("compaction_left", extra={"table": name})
        else:
            joined.append(name)
            log.info("table_compacted", extra={"table": name})
    return joined
