"""What an export wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAccount:
    """What was written.

    Parameters
    ----------
    table, table_version
        Table and its Delta version.
    public
        Whether it passed both gates.
    resolution, window_minutes
        The product, where the table has products.
    window_start
        Start of the one window that the file holds, ISO 8601 in UTC; None where it holds several.
    rows, rows_suppressed
        Rows written, and rows of the same selection that the release gate held back (None where
        nothing was gated).
    out, metadata
        The file, and the one about it (only in public).
    notes
        What the reader should know.
    """

    table: str
    table_version: int
    public: bool
    resolution: int | None
    window_minutes: int | None
    window_start: str | None
    rows: int
    rows_suppressed: int | None
    out: Path
    metadata: Path | None
    notes: tuple[str, ...] = field(default=())
