"""Tables as files: Parquet, CSV and GeoJSON, each readable without this software."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import polars as pl

from clearway_core.contracts.field import Contract, DataType
from clearway_core.geo import boundary_of, cell_number, cell_text, resolution_of
from clearway_serving.places import Places

PLACE_COLUMNS = {
    "area": "Area of the city pack that the cell lies in.",
    "corridor": "Corridors of the city pack that run through the cell.",
}
"""What a file says about the place of each cell, beside the columns of its table."""

_DECIMALS_DEG = 7
"""Seven decimals are about one centimetre."""


def readable(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return the rows as they leave the house: H3 cells as 15-digit hex text, rows in key order."""
    cells = [field.name for field in contract.fields if field.dtype is DataType.UINT64]
    for name in cells:
        numbers = frame[name].unique()
        texts = pl.Series([cell_text(number) for number in numbers], dtype=pl.String)
        frame = frame.with_columns(pl.col(name).replace_strict(numbers, texts))
    return frame.sort(contract.key) if contract.key else frame


def with_places(rows: pl.DataFrame, contract: Contract, places: Places) -> pl.DataFrame:
    """Return readable rows of cells with the area that each lies in and the corridors through it.

    Parameters
    ----------
    rows
        From `readable`.
    contract
        Of the rows; tables without cells stay as they are.
    places
        Names of the city pack; a cell without one has none.
    """
    if not has_geometry(contract):
        return rows
    texts = rows["h3_cell"].unique().to_list()
    numbers = {text: cell_number(text) for text in texts}
    labels = pl.DataFrame(
        [
            (
                text,
                places.area(number, resolution_of(number)),
                places.corridor(number, resolution_of(number)),
            )
            for text, number in numbers.items()
        ],
        schema={"h3_cell": pl.String, **dict.fromkeys(PLACE_COLUMNS, pl.String)},
        orient="row",
    )
    return rows.join(labels, on="h3_cell", how="left", validate="m:1", maintain_order="left")


def write_parquet(rows: pl.DataFrame, path: Path) -> None:
    """Write rows as Parquet with instants in UTC."""
    rows.write_parquet(path, compression="zstd")


def write_csv(rows: pl.DataFrame, path: Path) -> None:
    """Write rows as CSV in UTF-8: instants as ISO 8601 with Z, missing values empty."""
    instants = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime)]
    binaries = [name for name, dtype in rows.schema.items() if dtype == pl.Binary]
    rows.with_columns(
        pl.col(instants).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        pl.col(binaries).bin.encode("base64"),
    ).write_csv(path)


def write_geojson(rows: pl.DataFrame, contract: Contract, path: Path) -> None:
    """Write rows as a GeoJSON FeatureCollection (RFC 7946).

    Parameters
    ----------
    rows
        `readable` rows. With ``lon_deg`` and ``lat_deg`` they become points, else the polygons of
        their cells: rings closed, counter-clockwise, longitude first.
    contract
        Of the rows.
    path
        File to write.
    """
    geometries: dict[str, object] = {}
    point = {"lon_deg", "lat_deg"} <= set(contract.columns)
    features = []
    for row in rows.iter_rows(named=True):
        if point:
            geometry: object = {"type": "Point", "coordinates": [row["lon_deg"], row["lat_deg"]]}
        else:
            cell = row["h3_cell"]
            geometry = geometries.setdefault(cell, _polygon(cell))
        features.append({"type": "Feature", "geometry": geometry, "properties": row})
    collection = {"type": "FeatureCollection", "features": features}
    path.write_bytes(orjson.dumps(collection, option=orjson.OPT_UTC_Z))


def has_geometry(contract: Contract) -> bool:
    """Return whether rows of the table have a place on the map."""
    return "h3_cell" in contract.columns


def column_notes(contract: Contract, names: Sequence[str]) -> list[dict[str, str]]:
    """Return name, unit and meaning of columns, for the file's metadata."""
    known = {field.name: (field.unit, field.description) for field in contract.fields}
    known |= {name: ("1", text) for name, text in PLACE_COLUMNS.items()}
    return [
        {"name": name, "unit": unit, "description": text}
        for name in names
        for unit, text in (known[name],)
    ]


def _polygon(cell: str) -> dict[str, object]:
    ring = boundary_of(int(cell, 16))
    return {
        "type": "Polygon",
        "coordinates": [
            [[round(lon, _DECIMALS_DEG), round(lat, _DECIMALS_DEG)] for lon, lat in ring]
        ],
    }
