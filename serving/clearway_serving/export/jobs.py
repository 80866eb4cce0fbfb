"""Exporting one table: which version, which rows, what is said about them."""

from __future__ import annotations

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
from clearway_serving.export import files, windows
from clearway_serving.export.account import ExportAccount
from clearway_serving.export.complete_grid import completed
from clearway_serving.export.metadata import metadata_path, metadata_text
from clearway_serving.export.request import PUBLIC_DOCUMENTS, ExportRequest, contract_of
from clearway_serving.instants import iso
from clearway_serving.places import Places
from clearway_serving.published import Product, PublishedTables, checked_version


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
    contract = contract_of(request)
    notes: list[str] = []
    progress(0, 3, "quality gate" if request.public else "reading")
    version = _version(lake, request, report_dir=report_dir, notes=notes)
    tables = PublishedTables(lake, internal=not request.public)
    product = _product(tables, contract, request, notes)
    progress(1, 3, "reading")
    zone = city.time_zone if city is not None else ZoneInfo("UTC")
    everything = PublishedTables(lake, internal=True).read(request.table, version, product)
    candidates = _chosen(everything, contract, request, zone)
    window_start = windows.window_written(candidates, contract, request, zone, notes)
    released = _released(tables, request, version, product, candidates)
    rows = completed(released, contract) if request.complete else released
    rows = files.with_places(files.readable(rows, contract), contract, Places(city))
    progress(2, 3, "writing")
    account = ExportAccount(
        table=request.table,
        table_version=version,
        public=request.public,
        resolution=None if product is None else product.resolution,
        window_minutes=None if product is None else product.window_minutes,
        window_start=None if window_start is None else iso(window_start),
        rows=rows.height,
        rows_suppressed=candidates.height - released.height if request.public else None,
        out=request.out,
        metadata=metadata_path(request.out) if request.public else None,
        notes=tuple(notes),
    )
    now = (clock or SystemClock()).now()
    try:
        _write(rows, contract, request)
        if account.metadata is not None:
            about = metadata_text(account, rows, contract, now)
            account.metadata.write_text(about, encoding="utf-8")
    except OSError as error:
        message = f"cannot write {request.out}: {error.strerror or error}. Is --out writable?"
        raise ClearwayError(message) from error
    progress(3, 3, "done")
    return account


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
    if request.table == PUBLIC_DOCUMENTS:
        return newest
    passed = checked_version(lake, request.table, report_dir=report_dir)
    if passed != newest:
        notes.append(
            f"the newest version {newest} of {request.table} failed its quality gate; this is "
            f"version {passed}, the newest that passed"
        )
    return passed


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
    start = windows.start_column(contract)
    if start is None:
        return rows
    if request.at is not None:
        at = pl.lit(windows.instant(request.at, zone))
        length = (
            pl.duration(minutes=pl.col("window_minutes"))
            if "window_minutes" in contract.columns
            else pl.duration(hours=1)
        )
        found = rows.filter(pl.col(start) <= at, at < pl.col(start) + length)
        if found.is_empty():
            raise windows.nothing_at(request.at, rows[start], zone)
        return found
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
    """Return the candidates that passed the release gate; inside, all of them."""
    if not request.public:
        return candidates
    if request.table == PUBLIC_DOCUMENTS:
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
            files.write_parquet(rows, unfinished)
        elif request.file_format == "csv":
            files.write_csv(rows, unfinished)
        else:
            files.write_geojson(rows, contract, unfinished)
        unfinished.replace(request.out)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
