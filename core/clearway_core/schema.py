"""Polars schema of a contract, and the tests that a frame of it must pass."""

from __future__ import annotations

import polars as pl

from clearway_core.contracts.field import Contract, DataType
from clearway_core.errors import ContractViolation

POLARS_TYPES: dict[DataType, pl.DataType] = {
    DataType.STRING: pl.String(),
    DataType.BINARY: pl.Binary(),
    DataType.BOOL: pl.Boolean(),
    DataType.INT32: pl.Int32(),
    DataType.INT64: pl.Int64(),
    DataType.UINT64: pl.UInt64(),
    DataType.FLOAT64: pl.Float64(),
    DataType.INSTANT: pl.Datetime("us", "UTC"),
    DataType.DATE: pl.Date(),
}


def polars_schema(contract: Contract) -> pl.Schema:
    """Return the frame schema of a contract, columns in the contract's order."""
    return pl.Schema({field.name: POLARS_TYPES[field.dtype] for field in contract.fields})


def conform(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return the frame with exactly the contract's columns, order and types.

    Nullable columns that are missing are filled with null.

    Raises
    ------
    ContractViolation
        If a column is missing, unknown, of a type that cannot be cast without loss, or null where
        the contract forbids it.
    """
    unknown = sorted(set(frame.columns) - set(contract.columns))
    missing = [
        field.name
        for field in contract.fields
        if field.name not in frame.columns and not field.nullable
    ]
    if unknown or missing:
        message = f"{contract.identifier}: unknown columns {unknown}, missing columns {missing}"
        raise ContractViolation(message)
    try:
        conformed = frame.select(
            pl.col(field.name).cast(POLARS_TYPES[field.dtype], strict=True)
            if field.name in frame.columns
            else pl.lit(None, dtype=POLARS_TYPES[field.dtype]).alias(field.name)
            for field in contract.fields
        )
    except pl.exceptions.PolarsError as error:
        message = f"{contract.identifier}: {error}"
        raise ContractViolation(message) from error
    holes = [
        f"{field.name} ({count} rows)"
        for field in contract.fields
        if not field.nullable and (count := conformed[field.name].null_count())
    ]
    if holes:
        message = f"{contract.identifier}: null where a value is required: {', '.join(holes)}"
        raise ContractViolation(message)
    return conformed
