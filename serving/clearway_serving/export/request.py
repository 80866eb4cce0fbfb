"""What an export may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearway_core.contracts.field import Contract
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import UsageError
from clearway_serving.export.files import has_geometry

FORMATS = ("parquet", "csv", "geojson")

PUBLIC_DOCUMENTS = "charge_proposals"
"""Proposals name no vehicle; in public are those that a person has published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What to write.

    Parameters
    ----------
    table
        Table of the lake.
    file_format
        One of `FORMATS`.
    out
        File to write; replaced if it exists.
    public
        Only rows that passed the quality gate and the release gate.
    resolution, window_minutes
        Which product; None takes the one that was built last.
    vehicle_class
        One class, or ``all`` for the rows over all of them.
    at
        Only the window that holds this instant (ISO 8601; without an offset the city's local
        time). GeoJSON without it takes the newest window, since a map shows one.
    complete
        In public: also a row for each cell and window that is withheld or empty, with counts of -1.
    """

    table: str
    file_format: str
    out: Path
    public: bool = False
    resolution: int | None = None
    window_minutes: int | None = None
    vehicle_class: str = "all"
    at: str | None = None
    complete: bool = False


def contract_of(request: ExportRequest) -> Contract:
    """Return the contract of the table that is asked for.

    Raises
    ------
    UsageError
        If there is no such table, or what is asked for cannot be written or must not be public.
    """
    contract = LAKE_CONTRACTS.get(request.table)
    if contract is None:
        names = ", ".join(sorted(LAKE_CONTRACTS))
        message = f"there is no table {request.table!r}: choose one of {names}"
        raise UsageError(message)
    if request.file_format not in FORMATS:
        message = f"--format is one of {', '.join(FORMATS)}, got {request.file_format!r}"
        raise UsageError(message)
    if request.file_format == "geojson" and not has_geometry(contract):
        message = f"rows of {request.table} have no place on a map: use --format parquet or csv"
        raise UsageError(message)
    if request.complete and not request.public:
        message = "--complete marks what is withheld, so it goes with --public"
        raise UsageError(message)
    if request.public and request.vehicle_class != "all":
        message = (
            "--public releases rows over all vehicle classes only: beside them, a class that was "
            "held back could be found by subtraction. Leave out --vehicle-class."
        )
        raise UsageError(message)
    if request.public and not (contract.published or request.table == PUBLIC_DOCUMENTS):
        allowed = sorted(name for name, each in LAKE_CONTRACTS.items() if each.published)
        message = (
            f"{request.table} is internal and never public: it holds or could give away single "
            f"vehicles' traces. Public are {', '.join((*allowed, PUBLIC_DOCUMENTS))}."
        )
        raise UsageError(message)
    return contract
