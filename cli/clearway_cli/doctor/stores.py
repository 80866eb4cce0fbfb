"""The doctor's look at what is kept: city pack, lake, log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from clearway_cli.doctor.finding import Findings, Installation
from clearway_core.errors import ClearwayError

if TYPE_CHECKING:
    from clearway_core.lake import Lake, Table
    from clearway_core.stream.log import Log

_SILENT_AFTER_H = 24.0
"""A gateway that said nothing for a day is worth a visit; in a replay that is normal. [h]"""


def check_city(installation: Installation) -> Findings:
    """Yield whether the city pack is there and without fault."""
    from clearway_cli.cities import find_city
    from clearway_cli.city_pack.check import check_pack

    city = find_city(installation.city_name, installation.data_dir)
    if city is None:
        yield "yellow", "City", "none: hours are UTC and no price is stated; see `clearway city`"
        return
    faults = check_pack(city.folder).faults
    if faults:
        text = f"{city.name}: {len(faults)} faults, see `clearway city check {city.folder}`"
        yield "red", "City", text
    else:
        lacking = ", ".join(city.missing())
        yield "green", "City", city.name + (f"; missing {lacking}" if lacking else "")


def check_lake(installation: Installation) -> Findings:
    """Yield whether the tables can be opened and are whole, their gates, gateways and books."""
    from clearway_core.contracts.lake import LAKE_CONTRACTS
    from clearway_core.lake import open_lake

    lake = open_lake(installation.data_dir, installation.lake_address)
    where = installation.lake_address or str(installation.data_dir)
    versions: dict[str, int] = {}
    for name in LAKE_CONTRACTS:
        table = lake.table(name)
        try:
            version = table.version()
            lost = _lost_files(table)
        except ClearwayError as error:
            yield "red", f"Lake: {name}", str(error)
            continue
        except Exception as error:  # noqa: BLE001 -- what a broken table raises is nobody's choice
            text = f"cannot be opened, restore it from a copy: {error}".splitlines()[0]
            yield "red", f"Lake: {name}", text
            continue
        if lost:
            text = f"{len(lost)} files are gone, such as {lost[0]}: restore the lake from a copy"
            yield "red", f"Lake: {name}", text
        elif version is not None:
            versions[name] = version
    if not versions:
        yield "yellow", "Lake", f"empty in {where}: nothing was ingested yet"
        return
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield "green", "Lake", f"{len(versions)} tables, newest versions: {shown}"
    yield from _gate(lake, versions)
    yield from _gateways(lake, versions)
    yield from _books(lake, versions)


def _lost_files(table: Table) -> list[str]:
    """Return the files that the newest version of a local table names and that are not there."""
    if not table.is_local:
        return []
    paths = [unquote(path) for path in table.files()["path"]]
    return [path for path in paths if not (Path(table.uri) / path).is_file()]


def _gate(lake: Lake, versions: Mapping[str, int]) -> Findings:
    from clearway_core.publication import passed_version
    from clearway_quality.jobs import published_tables

    for name in published_tables():
        if name not in versions:
            continue
        passed = passed_version(lake, name)
        if passed is None:
            text = f"no version passed yet, so it is not shown: `clearway quality check {name}`"
            yield "yellow", f"Gate: {name}", text
        elif passed < versions[name]:
            text = f"version {passed} is shown; {versions[name]} is newer and did not pass"
            yield "yellow", f"Gate: {name}", text
        else:
            yield "green", f"Gate: {name}", f"version {passed} passed and is shown"


def _gateways(lake: Lake, versions: Mapping[str, int]) -> Findings:
    import polars as pl

    if "gateway_health" not in versions:
        yield "yellow", "Gateways", "none has reported yet"
        return
    seen = (
        lake.table("gateway_health")
        .scan()
        .sort("received_at", "seq")
        .group_by("gateway", "about_boot", "about_contract")
        .agg(pl.col("n_read", "n_spooled", "received_at").last())
        .group_by("gateway")
        .agg(pl.col("n_read", "n_spooled").sum(), pl.col("received_at").max())
        .sort("gateway")
        .collect()
    )
    now = datetime.now(UTC)
    for row in seen.iter_rows(named=True):
        age_h = (now - row["received_at"]).total_seconds() / 3600
        state = "yellow" if row["n_spooled"] or age_h > _SILENT_AFTER_H else "green"
        text = f"last heard {age_h:.1f} h ago; {row['n_read']:,} read, {row['n_spooled']:,} waiting"
        yield state, f"Gateway {row['gateway']}", text


def _books(lake: Lake, versions: Mapping[str, int]) -> Findings:
    """Yield how the gateways' books stand, as they were closed last."""
    import polars as pl

    from clearway_ingest.books.ledger import PAGE, latest_rows

    if "gateway_books" not in versions:
        return
    if "books" not in versions:
        yield "yellow", "Books", "not closed yet: `clearway ingest books` says if all arrived"
        return
    rows = lake.table("books").scan().select(*PAGE, "n_missing", "state", "computed_at")
    latest = latest_rows(rows).collect()
    differing = latest.filter(pl.col("state") == "difference")
    if differing.is_empty():
        n_open = latest.filter(pl.col("state") == "open").height
        yield "green", "Books", f"{latest.height:,} gateway hours, {n_open:,} open, no difference"
        return
    gateways = ", ".join(differing["gateway"].unique().sort())
    text = (
        f"{differing['n_missing'].sum():,} readings of {gateways} are missing: "
        "`clearway ingest books`, then docs/runbooks/books-difference.md"
    )
    yield "red", "Books", text


def check_log(installation: Installation) -> Findings:
    """Yield whether the log answers, and how far ingest is behind."""
    from clearway_core.data_dir import DataDir
    from clearway_core.stream.address import open_log

    data_dir, address = installation.data_dir, installation.log_address
    if address is None and not DataDir(data_dir).log_file.is_file():
        yield "yellow", "Log", f"no embedded log in {data_dir} yet; a gateway or a replay begins it"
        return
    name = address or "embedded log"
    with closing(open_log(address, data_dir)) as log:
        yield from _lag(log, data_dir, installation.lake_address, name)


def _lag(log: Log, data_dir: Path, lake_address: str | None, name: str) -> Findings:
    import polars as pl

    from clearway_core.contracts.wire import TOPICS
    from clearway_core.lake import open_lake

    ends = {
        place: end for topic in TOPICS.values() for place, end in log.end_offsets(topic).items()
    }
    commits = (
        open_lake(data_dir, lake_address)
        .table("ingest_commits")
        .scan()
        .group_by("topic", "log_partition")
        .agg(pl.col("next_offset").max())
        .collect()
    )
    taken = {(topic, part): int(offset) for topic, part, offset in commits.iter_rows()}
    behind = {
        topic: sum(
            max(0, end - taken.get((place.topic, place.partition), 0))
            for place, end in ends.items()
            if place.topic == topic
        )
        for topic in TOPICS.values()
    }
    total = sum(behind.values())
    if total == 0:
        yield (
            "green",
            "Log",
            f"{name} answers; the lake has all of its {sum(ends.values()):,} batches",
        )
        return
    parts = ", ".join(f"{topic} {count:,}" for topic, count in behind.items() if count)
    text = f"{name} answers; batches not yet in the lake: {parts}. `clearway ingest run` takes them"
    yield "yellow", "Log", text
