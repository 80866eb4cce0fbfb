"""Columns in one line each, and the few that mean the same wherever they stand."""

from __future__ import annotations

from clearway_core.contracts.field import DataType, Field


def text(name: str, description: str, *, nullable: bool = False) -> Field:
    """Return a text column."""
    return Field(name=name, dtype=DataType.STRING, description=description, nullable=nullable)


def choice(
    name: str, allowed: tuple[str, ...], description: str, *, nullable: bool = False
) -> Field:
    """Return a text column with a few words to choose from."""
    return Field(
        name=name,
        dtype=DataType.STRING,
        allowed=allowed,
        description=description,
        nullable=nullable,
    )


def flag(name: str, description: str, *, nullable: bool = False) -> Field:
    """Return a column of true and false."""
    return Field(name=name, dtype=DataType.BOOL, description=description, nullable=nullable)


def count(name: str, description: str, *, unit: str = "1", nullable: bool = False) -> Field:
    """Return a column of whole numbers from 0."""
    return Field(
        name=name,
        dtype=DataType.INT64,
        unit=unit,
        minimum=0,
        description=description,
        nullable=nullable,
    )


def whole(
    name: str,
    description: str,
    *,
    unit: str = "1",
    minimum: int | None = None,
    maximum: int | None = None,
    nullable: bool = False,
) -> Field:
    """Return a column of small whole numbers."""
    return Field(
        name=name,
        dtype=DataType.INT32,
        unit=unit,
        minimum=minimum,
        maximum=maximum,
        description=description,
        nullable=nullable,
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


def share(name: str, description: str, *, nullable: bool = False) -> Field:
    """Return a column of shares from 0 to 1."""
    return number(name, "1", description, minimum=0, maximum=1, nullable=nullable)


def instant(name: str, description: str, *, nullable: bool = False) -> Field:
    """Return a column of moments in UTC."""
    return Field(
        name=name, dtype=DataType.INSTANT, unit="UTC", description=description, nullable=nullable
    )


def day(name: str, description: str) -> Field:
    """Return a column of calendar days."""
    return Field(name=name, dtype=DataType.DATE, description=description)


LON_DEG = number("lon_deg", "°", "Longitude, WGS84.", minimum=-180, maximum=180)
LAT_DEG = number("lat_deg", "°", "Latitude, WGS84.", minimum=-90, maximum=90)
