"""What a reader of a public file must know, in a file beside it."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import version as package_version
from pathlib import Path

import polars as pl

from clearway_core.contracts.field import Contract
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_serving.export.account import ExportAccount
from clearway_serving.export.complete_grid import WITHHELD
from clearway_serving.export.files import column_notes
from clearway_serving.instants import iso
from clearway_transforms.parameters import release_parameters
from clearway_transforms.release.gate import LADDER


def metadata_path(out: Path) -> Path:
    """Return where the file about a public file lies."""
    return out.with_name(f"{out.name}.metadata.json")


def metadata_text(
    account: ExportAccount, rows: pl.DataFrame, contract: Contract, now: datetime
) -> str:
    """Return what a reader of the file must know, as JSON."""
    fewest, n_added = None, 0
    if "n_vehicles" in rows.columns:
        released = rows.filter(pl.col("n_vehicles") != WITHHELD)
        fewest, n_added = released["n_vehicles"].min(), rows.height - released.height
    metadata = {
        "title": contract.description,
        "contract": contract.identifier,
        "table_version": account.table_version,
        "resolution": account.resolution,
        "window_minutes": account.window_minutes,
        "window_start": account.window_start,
        "rows_released": account.rows - n_added,
        "rows_withheld_or_empty_as_minus_one": n_added,
        "rows_suppressed": account.rows_suppressed,
        "release_gate": _release_rules(account.table),
        "fewest_vehicles_of_a_row": fewest,
        "columns": column_notes(contract, rows.columns),
        "key": list(contract.key),
        "software": f"clearway {package_version('clearway')}",
        "notes": list(account.notes),
        "written_at": iso(now),
        "licence": None,
        "licence_note": "The publishing agency states the licence here before it publishes.",
    }
    return json.dumps(metadata, indent=2, ensure_ascii=False, default=str) + "\n"


def _release_rules(table: str) -> dict[str, object] | None:
    """Return the thresholds of the release gate that the table passed; None if it needs none."""
    if "n_vehicles" not in LAKE_CONTRACTS[table].columns:
        return None
    rules = release_parameters()
    return {
        "min_vehicles": rules.min_vehicles,
        "min_providers_where_there_are_as_many": rules.min_providers,
        "max_share_of_one_vehicle": rules.max_vehicle_share,
        "closed_hours_before_release": rules.closed_hours,
        "public_products": [
            {"resolution": resolution, "window_minutes": minutes} for resolution, minutes in LADDER
        ],
        "counts": "rounded down to 1, 2 or 5 times a power of ten",
    }
