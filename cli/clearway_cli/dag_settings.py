"""What the DAGs work on, read from the environment in this one place.

A DAG file imports this inside its tasks, so that a scheduler parses it without loading anything.

======================  =========================================================================
``CLEARWAY_DATA_DIR``   Folder with lake, log, models and reports. [``.clearway``]
``CLEARWAY_LAKE``       ``s3://bucket/prefix`` or a folder. [the data folder's]
``CLEARWAY_LOG``        ``kafka://host:port``. [the data folder's embedded log]
``CLEARWAY_CITY``       City pack: folder or shipped name. [the data folder's, if any]
``CLEARWAY_ZONE``       GeoJSON of the zone to propose a charge for. [the city's only zone]
``CLEARWAY_MAP``        Address of the map, for the links in an approval. [none]
``CLEARWAY_ALERTS``     Settings of the watch over gateways. [``alerts.toml`` in the data folder]
``CLEARWAY_INGEST``     ``dag``: the hourly run ingests; ``service``: something else does. [dag]
======================  =========================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from clearway_core.data_dir import DEFAULT, DataDir
from clearway_core.errors import UsageError

if TYPE_CHECKING:
    from clearway_core.city import City
    from clearway_core.lake import Lake
    from clearway_core.stream.log import Log

INGEST_CHOICES = ("dag", "service")

ALERTS_FILE = "alerts.toml"
"""Settings of the watch over gateways, in the data folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DagSettings:
    """Where data, city and zone of the scheduled runs are.

    Parameters
    ----------
    data_dir
        The installation's data folder.
    lake_address, log_address, city_name, zone_file, map_address
        As given; None where the default of the table above holds.
    alerts_file
        Settings of the watch over gateways.
    ingest_in_dag
        Whether the hourly run ingests. Exactly one process may own a partition of the log, so
        where an ingest service runs, the DAG must not.
    """

    data_dir: Path
    lake_address: str | None
    log_address: str | None
    city_name: str | None
    zone_file: Path | None
    map_address: str | None
    alerts_file: Path
    ingest_in_dag: bool

    def lake(self) -> Lake:
        """Open the lake."""
        from clearway_core.lake import open_lake

        return open_lake(self.data_dir, self.lake_address)

    def log(self) -> Log:
        """Open the log."""
        from clearway_core.stream.address import open_log

        return open_log(self.log_address, self.data_dir)

    def city(self) -> City | None:
        """Return the city pack, or None where there is none."""
        from clearway_cli.cities import find_city

        return find_city(self.city_name, self.data_dir)

    def quality_dir(self) -> Path:
        """Return the folder of the quality report."""
        return DataDir(self.data_dir).quality

    def reports_dir(self) -> Path:
        """Return the folder of the reports that are handed in."""
        return DataDir(self.data_dir).reports

    def zone(self) -> Path:
        """Return the zone that a charge is proposed for.

        Raises
        ------
        UsageError
            If none is named and the city pack does not have exactly one.
        """
        if self.zone_file is not None:
            return self.zone_file
        city = self.city()
        zones = [] if city is None else sorted((city.folder / "zones").glob("*.geojson"))
        if len(zones) == 1:
            return zones[0]
        found = ", ".join(zone.name for zone in zones) or "none"
        message = (
            f"expected one zone to propose a charge for; the city pack has {found}. "
            "Set CLEARWAY_ZONE to a GeoJSON file"
        )
        raise UsageError(message)


def from_environment(environment: Mapping[str, str] = os.environ) -> DagSettings:
    """Return the settings of this process; an empty variable counts as left out.

    Raises
    ------
    UsageError
        If ``CLEARWAY_INGEST`` is neither ``dag`` nor ``service``.
    """
    given = {name: value for name, value in environment.items() if value}
    ingest = given.get("CLEARWAY_INGEST", "dag")
    if ingest not in INGEST_CHOICES:
        message = f"CLEARWAY_INGEST must be one of {', '.join(INGEST_CHOICES)}, got {ingest!r}"
        raise UsageError(message)
    zone = given.get("CLEARWAY_ZONE")
    data_dir = Path(given.get("CLEARWAY_DATA_DIR", DEFAULT))
    return DagSettings(
        data_dir=data_dir,
        lake_address=given.get("CLEARWAY_LAKE"),
        log_address=given.get("CLEARWAY_LOG"),
        city_name=given.get("CLEARWAY_CITY"),
        zone_file=None if zone is None else Path(zone),
        map_address=given.get("CLEARWAY_MAP"),
        alerts_file=Path(given.get("CLEARWAY_ALERTS", data_dir / ALERTS_FILE)),
        ingest_in_dag=ingest == "dag",
    )


def plain(account: object) -> dict[str, object]:
    """Return a stage's account as Airflow shows and keeps it: JSON types only."""
    fields = asdict(account) if is_dataclass(account) and not isinstance(account, type) else account
    return cast("dict[str, object]", json.loads(json.dumps(fields, default=str)))


def instant(text: str | None) -> datetime | None:
    """Return the instant of a run's parameter, or None if it was left out.

    Raises
    ------
    UsageError
        If it is no ISO 8601 instant with an offset.
    """
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        message = f"expected an instant such as 2026-03-02T06:00:00Z, got {text!r}"
        raise UsageError(message)
    return parsed
