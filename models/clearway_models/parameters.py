"""A number from science with its unit, source and standing, and the files that hold them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from clearway_core.errors import SettingsError
from clearway_core.settings import Section

PARAMETER_FOLDER = Path(__file__).parent / "params"


class Status(StrEnum):
    """How far a number may be trusted."""

    VERIFIED = "verified"
    """Read in the named source."""
    COMPUTED = "computed"
    """Derived from verified values by a stated formula."""
    UNVERIFIED = "unverified"
    """General knowledge; a person confirms it before anything rests on it."""
    DESIGN = "design"
    """Our own choice; a city may choose otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One number that a model uses.

    Parameters
    ----------
    name
        Path within its file, such as ``damage_cost.nox``.
    value
        The central value. [unit]
    unit
        Unit symbol.
    source, valid_from, status
        Where it comes from, since when it holds, how far it may be trusted.
    gsd
        Geometric standard deviation of a log-normal error; 1 where none is stated. [1]
    sd
        Standard deviation of a normal error; 0 where none is stated. [unit]
    """

    name: str
    value: float
    unit: str
    source: str
    valid_from: date
    status: Status
    gsd: float = 1.0
    sd: float = 0.0

    def record(self) -> dict[str, object]:
        """Return the parameter as JSON-ready values, for a proposal's list of parameters."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "gsd": self.gsd,
            "sd": self.sd,
            "source": self.source,
            "valid_from": self.valid_from.isoformat(),
            "status": self.status.value,
        }


@dataclass(frozen=True, slots=True)
class ParameterFile:
    """A file whose contents decided a result.

    Parameters
    ----------
    name
        File name.
    sha256
        SHA-256 of its bytes, hex.
    """

    name: str
    sha256: str


def parameter_file(path: Path) -> ParameterFile:
    """Return the name and SHA-256 of a parameter file."""
    return ParameterFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def read_parameter(
    section: Section,
    key: str,
    *,
    prefix: str,
    unit: str,
    minimum: float = float("-inf"),
    maximum: float = float("inf"),
) -> Parameter:
    """Return the parameter under a key; faults go to the section's list.

    Parameters
    ----------
    section
        Table that holds it.
    key
        Its key.
    prefix
        Path of the section within the file, as reports name it.
    unit
        The only unit that the model can work with; another one is a fault, not a conversion.
    minimum, maximum
        Bounds of the value. [unit]
    """
    name = f"{prefix}.{key}"
    entry = section.section(key)
    if key not in section:
        section.fault(key, f"missing; expected a parameter in {unit}")
        return Parameter(
            name=name, value=1.0, unit=unit, source="", valid_from=date.min, status=Status.DESIGN
        )
    value = entry.number("value", minimum=minimum, maximum=maximum)
    held_unit = entry.text("unit")
    if held_unit != unit:
        entry.fault("unit", f"expected {unit}, got {held_unit!r}; convert the value")
    parameter = Parameter(
        name=name,
        value=value,
        unit=unit,
        source=entry.text("source"),
        valid_from=_date(entry),
        status=_status(entry),
        gsd=entry.number("gsd", 1.0, minimum=1.0),
        sd=entry.number("sd", 0.0, minimum=0.0),
    )
    entry.finish()
    return parameter


def read_table(
    above: Section,
    key: str,
    units: Mapping[str, str],
    *,
    named: str | None = None,
    minimum: float = float("-inf"),
) -> Mapping[str, Parameter]:
    """Return a table that holds just these parameters; faults go to the section's list.

    Parameters
    ----------
    above
        Section that holds the table.
    key
        Its key there.
    units
        Unit of each parameter.
    named
        Path of the table within the file, as reports name it; None: the key.
    minimum
        Bound of every value. [unit]
    """
    section = above.section(key)
    values = {
        name: read_parameter(section, name, prefix=named or key, unit=unit, minimum=minimum)
        for name, unit in units.items()
    }
    section.finish()
    return MappingProxyType(values)


def _status(entry: Section) -> Status:
    text = entry.text("status", allowed=tuple(Status))
    return Status(text) if text in tuple(Status) else Status.UNVERIFIED


def _date(entry: Section) -> date:
    text = entry.text("valid_from")
    try:
        return date.fromisoformat(text)
    except ValueError:
        entry.fault("valid_from", f"expected a date such as 2019-01-01, got {text!r}")
        return date.min


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file that must have exactly these columns.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a column is missing or unknown.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            held = list(reader.fieldnames or [])
            rows = list(reader)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); check the path"
        raise SettingsError([message]) from error
    except UnicodeDecodeError as error:
        message = f"{path}: expected UTF-8 text ({error}); save it as CSV UTF-8"
        raise SettingsError([message]) from error
    if sorted(held) != sorted(columns):
        message = f"{path}: expected the columns {', '.join(columns)}, got {', '.join(held)}"
        raise SettingsError([message])
    short = [n for n, row in enumerate(rows, start=2) if None in row or None in row.values()]
    if short:
        message = f"{path}: line {short[0]} has another number of columns than the header"
        raise SettingsError([message])
    return rows


def row_number(row: Mapping[str, str], column: str, *, where: str, faults: list[str]) -> float:
    """Return a number of a CSV row; a fault and 0 if the text is no finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = float("nan")
    if value - value != 0:  # NaN and infinity
        faults.append(f"{where}: {column} = {row[column]!r} is not a number")
        return 0.0
    return value
