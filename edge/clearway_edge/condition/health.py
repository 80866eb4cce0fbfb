"""A gateway's account of itself, as records of ``gateway_health/1``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import GATEWAY_HEALTH
from clearway_edge.condition.device import resident_bytes
from clearway_edge.outbox.outbox import Account, Outbox, Parcel, Stream
from clearway_edge.outbox.reports import counts_of, report_parcel


def health_record(
    about: Stream,
    account: Account,
    *,
    spool: Outbox,
    clock: Clock,
    settings_hash: str = "",
    vitals: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the health record of one stream.

    Parameters
    ----------
    about
        Whose counters.
    account
        The counters.
    spool
        The outbox that they come from.
    clock
        Gives ``observed_at``.
    settings_hash
        SHA-256 of the effective settings without secrets; empty in a replay.
    vitals
        What is not in the books, by field; see `clearway_edge.condition.observer`.
    """
    now_ms = to_ms(clock.now())
    oldest_ms = spool.oldest_created_at_ms()
    folder = spool.folder
    return {
        "observed_at": now_ms,
        "about_contract": about.contract,
        "about_boot": about.boot,
        **counts_of(account),
        # A clock that was set back makes no negative age.
        "oldest_spooled_age_s": None if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000,
        "clock_offset_s": None,
        "disk_free_bytes": None if folder is None else shutil.disk_usage(folder).free,
        "resident_bytes": resident_bytes(),
        "unclean_stops": spool.unclean_stops,
        "version": agent_version(),
        "settings_hash": settings_hash,
        **(vitals or {}),
    }


def health_parcel(
    gateway: str, about: Stream, account: Account, *, outbox: Outbox, clock: Clock
) -> Parcel:
    """Return the one health record of a replayed file, under the file's own identity."""
    record = health_record(about, account, spool=outbox, clock=clock)
    stream = Stream(contract=GATEWAY_HEALTH.identifier, boot=about.boot, run=about.run)
    return report_parcel(gateway, [record], stream=stream, first_seq=0)


def agent_version() -> str:
    """Return the installed version of Clearway."""
    try:
        return version("clearway")
    except PackageNotFoundError:
        return "unknown"
