"""What the centre's own tables say that needs a hand: closed books, quarantine, ingest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from clearway_core.contracts.fleet_tables import BOOKS
from clearway_core.contracts.wire import TOPICS
from clearway_core.lake import Lake
from clearway_fleet.causes import BOOKS_DIFFERENCE, QUARANTINE_HIGH
from clearway_fleet.finding import Finding
from clearway_fleet.thresholds import Thresholds

_CONTRACT_OF = {topic: contract for contract, topic in TOPICS.items()}
_HOUR = timedelta(hours=1)
_PAGE = BOOKS.key
"""An hour in which the gateway's clock was set has several pages."""


def books_findings(lake: Lake, site_of: Mapping[str, str]) -> list[Finding]:
    """Return the gateways whose books do not close.

    Parameters
    ----------
    lake
        Holds `books`.
    site_of
        Site by device; a device without a site goes by its own name.
    """
    rows = (
        lake.table("books")
        .scan()
        .select(*_PAGE, "hour_start", "n_missing", "state", "computed_at")
        .sort("computed_at")
        .group_by(_PAGE)
        .last()
        .filter(pl.col("state") == "difference")
        .group_by("gateway", "about_contract")
        .agg(
            pl.col("n_missing").sum(),
            pl.col("hour_start").min(),
            pl.col("hour_start").n_unique().alias("n_hours"),
        )
        .sort("gateway", "about_contract")
        .collect()
    )
    by_place: dict[str, list[tuple[datetime, str]]] = {}
    for gateway, contract, n_missing, hour_start, n_hours in rows.iter_rows():
        words = (
            f"{gateway}, {contract}: {n_missing:,} records that nobody can account for "
            f"(hours: {n_hours})"
        )
        by_place.setdefault(site_of.get(gateway, gateway), []).append((hour_start, words))
    return [
        Finding(
            cause=BOOKS_DIFFERENCE,
            about=place,
            since_at=min(hour_start for hour_start, _ in found),
            detail="; ".join(words for _, words in found),
            active=True,
        )
        for place, found in by_place.items()
    ]


def quarantine_findings(lake: Lake, now: datetime, limits: Thresholds) -> list[Finding]:
    """Return the contracts of whose records too many were refused, within the last hour or two."""
    return [
        finding
        for topic, counts in _quarantined(lake, now).items()
        if (finding := _quarantine_finding(topic, counts, limits)) is not None
    ]


def _quarantine_finding(
    topic: str, counts: tuple[tuple[int, int], tuple[int, int], datetime], limits: Thresholds
) -> Finding | None:
    high = [
        n_rows >= limits.quarantine_least and n_refused > limits.quarantine_share * n_rows
        for n_rows, n_refused in counts[:2]
    ]
    if not any(high):
        return None
    (n_rows, n_refused), _, since_at = counts
    return Finding(
        cause=QUARANTINE_HIGH,
        about=_CONTRACT_OF.get(topic, topic),
        since_at=since_at,
        detail=f"{n_refused:,} of {n_rows:,} records of the last hour are in quarantine",
        active=high[0],
    )


def _quarantined(
    lake: Lake, now: datetime
) -> dict[str, tuple[tuple[int, int], tuple[int, int], datetime]]:
    """Return rows and refused rows of the last hour and of the hour before, by topic."""
    recent = pl.col("committed_at") > now - _HOUR
    rows = (
        lake.table("ingest_commits")
        .scan()
        .filter(pl.col("committed_at").is_between(now - 2 * _HOUR, now))
        .group_by("topic")
        .agg(
            pl.col("n_rows").filter(recent).sum().alias("rows"),
            pl.col("n_quarantined").filter(recent).sum().alias("refused"),
            pl.col("n_rows").filter(~recent).sum().alias("rows_before"),
            pl.col("n_quarantined").filter(~recent).sum().alias("refused_before"),
            pl.col("committed_at").filter(pl.col("n_quarantined") > 0).min().alias("since_at"),
        )
        .sort("topic")
        .collect()
    )
    return {
        topic: ((n_rows, refused), (rows_before, refused_before), since_at or now)
        for topic, n_rows, refused, rows_before, refused_before, since_at in rows.iter_rows()
    }


def ingest_words(lake: Lake, now: datetime) -> str:
    """Return when ingest wrote last, in words; empty if it never did."""
    rows = (
        lake.table("ingest_commits")
        .scan()
        .filter(pl.col("committed_at") <= now)
        .select(pl.col("committed_at").max())
        .collect()
    )
    last_at = rows.item() if rows.height else None
    return "" if last_at is None else f"Ingest wrote to the lake last at {last_at:%H:%M} UTC"
