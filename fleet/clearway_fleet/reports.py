"""What gateways said of themselves lately, read from the lake's table `gateway_health`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
import polars as pl

from clearway_core.lake import Lake, Table

RECENT = timedelta(minutes=75)
"""Reports of so long are looked at one by one: a threshold of silence, a calm period and some."""

_SINCE_YESTERDAY = timedelta(days=1)
_READ_BACK = timedelta(days=2)
"""Yesterday's last word is needed to tell what was lost since; days before are not opened."""

_LOOK_BACK = timedelta(days=35)
_ORDER = ("received_at", "log_offset", "seq")
"""Of one gateway: the order in which the log took its reports, whatever its clock said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorState:
    """One sensor or receiver as its gateway sees it.

    Parameters
    ----------
    kind
        Such as pms5003.
    state
        One of working, silent and lost.
    error
        Why it gives nothing.
    age_s
        Since its last reading, or None if it gave none since the gateway started. [s]
    """

    kind: str
    state: str
    error: str
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report of a gateway, all streams together; None is "not told"."""

    gateway: str
    boot: int
    observed_at: datetime
    received_at: datetime
    version: str
    n_spooled: int
    spooled_bytes: int | None
    oldest_spooled_age_s: float | None
    clock_offset_s: float | None
    clock_synchronised: bool | None
    disk_free_bytes: int | None
    cpu_temperature_c: float | None
    set_aside: int | None
    forwarder_state: str | None
    site: str | None
    certificate_expires_at: datetime | None
    sensors: Mapping[str, SensorState] = field(default_factory=dict)

    @property
    def delay_s(self) -> float:
        """How long the report was on its way, by the gateway's clock; never below 0 [s]."""
        return max(0.0, (self.received_at - self.observed_at).total_seconds())

    @property
    def skew_s(self) -> float | None:
        """Clock minus reference; where that is not told, how far it runs ahead of the log [s]."""
        if self.clock_offset_s is not None:
            return self.clock_offset_s
        ahead_s = (self.observed_at - self.received_at).total_seconds()
        return ahead_s if ahead_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of one gateway.

    Parameters
    ----------
    latest
        Its last report of the last two days, or None.
    recent
        Its reports of `RECENT`, in the order of their arrival.
    n_read
        Records that it read since yesterday.
    dropped
        Records that it gave up since yesterday, by reason.
    """

    latest: Report | None = None
    recent: Sequence[Report] = ()
    n_read: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


def read_heard(lake: Lake, now: datetime) -> dict[str, Heard]:
    """Return what is known of each gateway that was heard in the last two days."""
    rows = _lately(lake.table("gateway_health"), now)
    if rows is None:
        return {}
    counters = rows.select("boot", *_ORDER, *_COUNTERS).collect().sort("gateway", *_ORDER)
    lost = _since_yesterday(counters, now - _SINCE_YESTERDAY)
    recent: dict[str, list[Report]] = {gateway: [] for gateway in lost}
    for report in _reports(rows.filter(pl.col("received_at") > now - RECENT)):
        recent[report.gateway].append(report)
    silent = [gateway for gateway, reports in recent.items() if not reports]
    latest = {gateway: reports[-1] for gateway, reports in recent.items() if reports}
    latest |= _last_reports(rows, counters, silent)
    return {
        gateway: Heard(
            latest=latest[gateway],
            recent=recent[gateway],
            n_read=n_read,
            dropped=dropped,
        )
        for gateway, (n_read, dropped) in lost.items()
    }


def last_heard(lake: Lake, gateways: Collection[str], now: datetime) -> dict[str, datetime]:
    """Return when each of some gateways was heard last, up to 35 days ago.

    For those that `read_heard` does not know: only the names and times of older days are read.
    """
    if not gateways:
        return {}
    first = (now - _LOOK_BACK).date()
    rows = (
        lake.table("gateway_health")
        .scan([("observed_date", ">=", first.isoformat())])
        .filter(pl.col("gateway").is_in(list(gateways)))
        .group_by("gateway")
        .agg(pl.col("received_at").max())
        .collect()
    )
    return dict(rows.iter_rows())


_REPORT = ("gateway", "boot", "observed_at")
_TOLD_ONCE = (
    "version",
    "spooled_bytes",
    "oldest_spooled_age_s",
    "clock_offset_s",
    "clock_synchronised",
    "disk_free_bytes",
    "cpu_temperature_c",
    "set_aside",
    "forwarder_state",
    "site",
    "certificate_expires_at",
    "sources_json",
)
"""Fields that every row of a report repeats."""

_COUNTERS = ("gateway", "about_contract", "about_boot", "n_read", "dropped_by_reason")


def _lately(table: Table, now: datetime) -> pl.LazyFrame | None:
    """Return the rows that arrived within two days; None if there are none.

    A gateway whose clock is wrong reports of another day: days whose files are new count too.
    """
    since = now - _READ_BACK
    days = table.partition_times().filter(
        (pl.col("observed_date") >= since.date()) | (pl.col("written_at") >= since)
    )["observed_date"]
    if days.is_empty():
        return None
    rows = table.scan([("observed_date", "in", days.to_list())])
    return rows.filter(pl.col("received_at").is_between(since, now))


def _last_reports(
    rows: pl.LazyFrame, counters: pl.DataFrame, gateways: Collection[str]
) -> dict[str, Report]:
    """Return the last report of each of some gateways."""
    if not gateways:
        return {}
    last = (
        counters.filter(pl.col("gateway").is_in(list(gateways)))
        .group_by("gateway", maintain_order=True)
        .last()
        .select("gateway", "boot", "received_at")
    )
    found = rows.join(last.lazy(), on=("gateway", "boot", "received_at"), how="semi")
    return {report.gateway: report for report in _reports(found)}


def _reports(rows: pl.LazyFrame) -> list[Report]:
    """Return reports in the order in which the log took them."""
    together = (
        rows.select(*_REPORT, *_ORDER, "n_spooled", *_TOLD_ONCE)
        .collect()
        .sort("gateway", *_ORDER)
        .group_by(_REPORT, maintain_order=True)
        .agg(pl.col("received_at").last(), pl.col("n_spooled").sum(), pl.col(_TOLD_ONCE).last())
    )
    return [
        Report(**row, sensors=_sensors(sources_json))
        for row in together.to_dicts()
        for sources_json in [row.pop("sources_json")]
    ]


def _sensors(text: str | None) -> dict[str, SensorState]:
    try:
        told = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {name: _sensor(about) for name, about in told.items() if isinstance(about, dict)}


def _sensor(about: Mapping[str, object]) -> SensorState:
    age_s = about.get("last_reading_age_s")
    return SensorState(
        kind=str(about.get("kind") or "unknown"),
        state=str(about.get("state") or "unknown"),
        error=str(about.get("error") or ""),
        age_s=float(age_s) if isinstance(age_s, int | float) else None,
    )


def _since_yesterday(
    rows: pl.DataFrame, yesterday: datetime
) -> dict[str, tuple[int, dict[str, int]]]:
    """Return what each gateway read and gave up since then: counters now less counters then."""
    stream = ("gateway", "about_contract", "about_boot")
    now = rows.group_by(stream, maintain_order=True).last()
    then = (
        rows.filter(pl.col("received_at") <= yesterday).group_by(stream, maintain_order=True).last()
    )
    both = now.join(then, on=stream, how="left", suffix="_then", validate="1:1")
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for gateway, n_read, n_read_then, dropped, dropped_then in both.select(
        "gateway", "n_read", "n_read_then", "dropped_by_reason", "dropped_by_reason_then"
    ).iter_rows():
        read, lost = found.setdefault(gateway, (0, {}))
        before = orjson.loads(dropped_then or "{}")
        for reason, count in orjson.loads(dropped).items():
            if more := count - before.get(reason, 0):
                lost[reason] = lost.get(reason, 0) + more
        found[gateway] = (read + n_read - (n_read_then or 0), lost)
    return found
