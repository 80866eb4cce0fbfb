"""Columns as tables write them, in one line each."""

from __future__ import annotations

from clearway_core.contracts.field import DataType, Field


def text(name: str, description: str, *, nullable: bool = False) -> Field:
    """Return a text column."""
    return Field(name=name, dtype=DataType.STRING, description=description, nullable=nullable)


def count(name: str, description: str, *, unit: str = "1") -> Field:
    """Return a column of whole numbers from 0."""
    return Field(name=name, dtype=DataType.INT64, unit=unit, minimum=0, description=description)


def instant(name: str, description: str, *, nullable: bool = False) -> Field:
    """Return a column of moments in UTC."""
    return Field(
        name=name, dtype=DataType.INSTANT, unit="UTC", description=description, nullable=nullable
    )


def number(
    name: str,
    unit: str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    nullable: bool = False,
) -> Field:
    """Return a column of measured numbers."""
    return Field(
        name=name,
        dtype=DataType.FLOAT64,
        unit=unit,
        description=description,
        minimum=minimum,
        maximum=maximum,
        nullable=nullable,
    )
