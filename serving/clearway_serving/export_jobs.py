"""Exporting one table: which version, which rows, what is said about them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from clearway_core.city import City
from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.field import Contract
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import ClearwayError, InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_serving import complete_grid, export, export_windows
from clearway_serving.places import Places
from clearway_serving.published import Product, PublishedTables
from clearway_transforms.parameters import release_parameters
from clearway_transforms.release.gate import LADDER

FORMATS = ("parquet", "csv", "geojson")

_PUBLIC_DOCUMENTS = "charge_proposals"
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

    def as_dict(self) -> dict[str, object]:
        """Return the account for printing and JSON."""
        return asdict(self)


def export_table(
    lake: Lake,
    request: ExportRequest,
    *,
    report_dir: Path,
    city: City | None = None,
    clock: Clock | None = None,
    progress: Progress = silent,
) -> ExportAccount:
    """Write one table to a file and return what was written.

    Parameters
    ----------
    lake
        Where the tables are.
    request
        What to write.
    report_dir
        Where the quality gate puts its report, if it has to run.
    city
        Its clock reads ``at`` without an offset; its areas and corridors name cells.
    clock
        For the time in the metadata.
    progress
        Told what is being done.

    Raises
    ------
    UsageError
        If the table, format, product, class or instant does not exist, or must not be public.
    InsufficientData
        If the table was never built, or no version of it passed the quality gate.
    """
    contract = _contract(request)
    notes: list[str] = []
    progress(0, 3, "quality gate" if request.public else "reading")
    version = _version(lake, request, report_dir=report_dir, notes=notes)
    tables = PublishedTables(lake, internal=not request.public)
    product = _product(tables, contract, request, notes)
    progress(1, 3, "reading")
    zone = city.time_zone if city is not None else ZoneInfo("UTC")
    everything = PublishedTables(lake, internal=True).read(request.table, version, product)
    candidates = _chosen(everything, contract, request, zone)
    one_window = request.at is not None or request.file_format == "geojson"
    window_start = export_windows.window_written(candidates, contract) if one_window else None
    if window_start is not None and request.at is None:
        notes.append(export_windows.newest_only(window_start, zone))
    rows = candidates
    if request.public:
        rows = _released(tables, request, version, product, candidates)
    n_released = rows.height
    if request.complete:
        rows = complete_grid.completed(rows, contract)
    rows = export.with_places(export.readable(rows, contract), contract, Places(city))
    progress(2, 3, "writing")
    _write(rows, contract, request)
    account = ExportAccount(
        table=request.table,
        table_version=version,
        public=request.public,
        resolution=None if product is None else product.resolution,
        window_minutes=None if product is None else product.window_minutes,
        window_start=None if window_start is None else export_windows.iso(window_start),
        rows=rows.height,
        rows_suppressed=candidates.height - n_released if request.public else None,
        out=request.out,
        metadata=_metadata_path(request.out) if request.public else None,
        notes=tuple(notes),
    )
    if account.metadata is not None:
        _write_metadata(account, rows, contract, (clock or SystemClock()).now())
    progress(3, 3, "done")
    return account


def _contract(request: ExportRequest) -> Contract:
    contract = LAKE_CONTRACTS.get(request.table)
    if contract is None:
        names = ", ".join(sorted(LAKE_CONTRACTS))
        message = f"there is no table {request.table!r}: choose one of {names}"
        raise UsageError(message)
    if request.file_format not in FORMATS:
        message = f"--format is one of {', '.join(FORMATS)}, got {request.file_format!r}"
        raise UsageError(message)
    if request.file_format == "geojson" and not export.has_geometry(contract):
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
    if request.public and not (contract.published or request.table == _PUBLIC_DOCUMENTS):
        allowed = sorted(name for name, each in LAKE_CONTRACTS.items() if each.published)
        message = (
            f"{request.table} is internal and never public: it holds or could give away single "
            f"vehicles' traces. Public are {', '.join((*allowed, _PUBLIC_DOCUMENTS))}."
        )
        raise UsageError(message)
    return contract


def _version(lake: Lake, request: ExportRequest, *, report_dir: Path, notes: list[str]) -> int:
    """Return the Delta version to read: the newest; in public the newest that passed its gate."""
    newest = lake.table(request.table).version()
    if newest is None:
        message = (
            f"table {request.table} was never written: build it first (`clearway build --help`)"
        )
        raise InsufficientData(message)
    if not request.public:
        notes.append("internal values that passed no gate: this file must not leave the house")
        return newest
    if request.table == _PUBLIC_DOCUMENTS:
        return newest
    from clearway_quality import jobs as quality  # noqa: PLC0415 -- slow to load, often not needed

    if not _was_checked(lake, request.table, newest):
        quality.check(lake, request.table, report_dir=report_dir)
    passed = quality.passed_version(lake, request.table)
    if passed is None:
        message = (
            f"no version of {request.table} has passed the quality gate, so nothing of it is "
            f"public. See the report in {report_dir}, repair the cause and build again."
        )
        raise InsufficientData(message)
    if passed != newest:
        notes.append(
            f"the newest version {newest} of {request.table} failed its quality gate; this is "
            f"version {passed}, the newest that passed"
        )
    return passed


def _was_checked(lake: Lake, table: str, version: int) -> bool:
    checks = lake.table("quality_checks").scan()
    same = checks.filter(pl.col("table_name") == table, pl.col("table_version") == version)
    return not same.head(1).collect().is_empty()


def _product(
    tables: PublishedTables, contract: Contract, request: ExportRequest, notes: list[str]
) -> Product | None:
    """Return the asked product, or the one that was built last; None for a table without."""
    if "window_minutes" not in contract.partition_by:
        return None
    built = tables.products(request.table)
    matching = [
        product
        for product in built
        if request.resolution in (None, product.resolution)
        and request.window_minutes in (None, product.window_minutes)
    ]
    choices = ", ".join(f"{p.resolution} x {p.window_minutes} min" for p in sorted(built))
    if not matching:
        message = (
            f"{request.table} was not built at resolution {request.resolution or 'any'} x "
            f"{request.window_minutes or 'any'} min; there is {choices or 'nothing'}"
        )
        raise UsageError(message)
    if len(matching) > 1:
        chosen = matching[0]
        notes.append(
            f"several were built ({choices}): this is the last, {chosen.resolution} x "
            f"{chosen.window_minutes} min; --resolution and --window choose another"
        )
    return matching[0]


def _chosen(
    rows: pl.DataFrame, contract: Contract, request: ExportRequest, zone: ZoneInfo
) -> pl.DataFrame:
    """Return the rows of the asked class and window."""
    if "vehicle_class" in contract.key and "vehicle" not in contract.key:
        classes = rows["vehicle_class"].unique().sort().to_list()
        if request.vehicle_class not in classes and request.vehicle_class != "all":
            message = (
                f"--vehicle-class is one of {', '.join(classes)}, got {request.vehicle_class!r}"
            )
            raise UsageError(message)
        rows = rows.filter(pl.col("vehicle_class") == request.vehicle_class)
    start = export_windows.start_column(contract)
    if start is None:
        return rows
    if request.at is not None:
        at = pl.lit(export_windows.instant(request.at, zone))
        length = (
            pl.duration(minutes=pl.col("window_minutes"))
            if "window_minutes" in contract.columns
            else pl.duration(hours=1)
        )
        return rows.filter(pl.col(start) <= at, at < pl.col(start) + length)
    if request.file_format == "geojson":
        return rows.filter(pl.col(start) == pl.col(start).max())
    return rows


def _released(
    tables: PublishedTables,
    request: ExportRequest,
    version: int,
    product: Product | None,
    candidates: pl.DataFrame,
) -> pl.DataFrame:
    """Return the candidates that passed the release gate."""
    if request.table == _PUBLIC_DOCUMENTS:
        decisions = tables.lake.table("charge_decisions").scan()
        published = decisions.filter(pl.col("decision") == "published").collect()["proposal_id"]
        return candidates.filter(pl.col("proposal_id").is_in(published.implode()))
    released = tables.read(request.table, version, product)
    key = list(LAKE_CONTRACTS[request.table].key)
    # The released rows themselves, not the candidates: what the gate coarsens stays coarse.
    return released.join(candidates.select(key), on=key, how="semi")


def _write(rows: pl.DataFrame, contract: Contract, request: ExportRequest) -> None:
    """Write the file beside its place and move it there, so that nobody reads half of it."""
    request.out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = request.out.with_name(f".{request.out.name}.unfinished")
    try:
        if request.file_format == "parquet":
            export.write_parquet(rows, unfinished)
        elif request.file_format == "csv":
            export.write_csv(rows, unfinished)
        else:
            export.write_geojson(rows, contract, unfinished)
        unfinished.replace(request.out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        message = f"cannot write {request.out}: {error.strerror or error}"
        raise ClearwayError(message) from error


def _metadata_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.metadata.json")


def _write_metadata(
    account: ExportAccount, rows: pl.DataFrame, contract: Contract, now: datetime
) -> None:
    """Write what a reader of the file must know, beside it."""
    fewest, n_added = None, 0
    if "n_vehicles" in rows.columns:
        released = rows.filter(pl.col("n_vehicles") != complete_grid.WITHHELD)
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
        "columns": export.column_notes(contract, rows.columns),
        "key": list(contract.key),
        "software": f"clearway {package_version('clearway')}",
        "notes": list(account.notes),
        "written_at": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "licence": None,
        "licence_note": "The publishing agency states the licence here before it publishes.",
    }
    text = json.dumps(metadata, indent=2, ensure_ascii=False, default=str) + "\n"
    _metadata_path(account.out).write_text(text, encoding="utf-8")


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
