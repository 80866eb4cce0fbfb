"""The source profile: how a file that Clearway has never seen becomes records of a contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from clearway_core.errors import UsageError

PROFILE_SUFFIX = ".toml"

PUBLIC_CLASSES = frozenset({"taxi", "bus"})
"""Vehicles whose trips begin and end where their passengers or timetables want: no home of the
driver's shows in them, so that their trip ends stay."""


class FileKind(StrEnum):
    """What a file is made of; gzip is recognised by its first bytes, whatever the kind."""

    CSV = "csv"
    """Lines of separated values."""
    ARCHIVE = "archive"
    """A tar file of one separated-values file per vehicle."""
    JSONL = "jsonl"
    """One JSON object a line."""
    JSON = "json"
    """One JSON document; `records` says where its list is."""
    PARQUET = "parquet"


class TimeFormat(StrEnum):
    """How a file writes an instant."""

    UNIX_S = "unix_s"
    UNIX_MS = "unix_ms"
    SECONDS_SINCE = "seconds_since"
    ISO8601 = "iso8601"
    PATTERN = "pattern"


class Ambiguous(StrEnum):
    """Which instant an hour that happens twice on a clock-change night means."""

    EARLIER = "earlier"
    LATER = "later"
    DROP = "drop"


class NullIsland(StrEnum):
    """What to do with fixes at (0, 0), which receivers send when they have no position."""

    DROP = "drop"
    FLAG = "flag"


class TripEnds(StrEnum):
    """Whether the first and last part of each trip leaves the gateway."""

    KEEP = "keep"
    CUT = "cut"


class Datum(StrEnum):
    """Coordinate system of a file; the wire carries wgs84 only."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How rows and columns are laid out.

    Parameters
    ----------
    kind
        What the file is made of.
    separator
        One character, or None for any run of blanks.
    header
        Whether the first line names the columns; otherwise `columns` does.
    columns
        Names of the columns of a file without header, in their order.
    skip_lines
        Lines before the header or the first row. [1]
    encoding
        Text encoding; bytes that do not fit become U+FFFD.
    quote
        Quote character, or None if the file quotes nothing.
    decimal_comma
        Whether 1,5 is one and a half.
    missing_values
        Texts that mean "no value", besides the empty text.
    member_pattern
        Archive: regular expression that a member's path contains, with a group ``vehicle``.
    records
        JSON: dotted path of the list of records inside the document or line; empty for the top.
    """

    kind: FileKind
    separator: str | None = ","
    header: bool = True
    columns: tuple[str, ...] = ()
    skip_lines: int = 0
    encoding: str = "utf-8-sig"
    quote: str | None = '"'
    decimal_comma: bool = False
    missing_values: frozenset[str] = frozenset()
    member_pattern: re.Pattern[str] | None = None
    records: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRule:
    """How ``observed_at`` is read.

    Parameters
    ----------
    since_ms
        Origin of `TimeFormat.SECONDS_SINCE`. [ms since 1970]
    pattern
        ``strptime`` pattern of `TimeFormat.PATTERN`.
    zone
        Zone of times that carry no offset; None refuses such times.
    ambiguous
        What an hour that happens twice means. A local time that never happens is dropped.
    """

    column: str
    format: TimeFormat
    since_ms: int = 0
    pattern: str = ""
    zone: ZoneInfo | None = None
    ambiguous: Ambiguous = Ambiguous.EARLIER


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRule:
    """Where the position is: two columns, one column with a polyline, or one fixed point.

    Parameters
    ----------
    polyline
        Column with a JSON list of positions, `step_s` apart, the first at the row's time.
    lat_first
        Whether a polyline's positions are [lat, lon].
    fixed_deg
        (lon, lat) of a source that does not move. [°]
    """

    datum: Datum
    lon: str = ""
    lat: str = ""
    polyline: str = ""
    lat_first: bool = False
    step_s: float = 0.0
    fixed_deg: tuple[float, float] | None = None
    null_island: NullIsland = NullIsland.DROP


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """A time span in which a number has one unit; [from, until)."""

    from_ms: int
    until_ms: int
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRule:
    """How one number of the record is read: wire value = raw * scale + offset.

    Parameters
    ----------
    name
        Field of the contract.
    sentinels
        Raw values that mean "no value"; they become null and are counted.
    eras
        If not empty, the scale depends on the instant; outside of all eras the value becomes
        null and is counted, because its unit is not known.
    """

    name: str
    column: str
    scale: float = 1.0
    offset: float = 0.0
    sentinels: frozenset[float] = frozenset()
    eras: tuple[Era, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRule:
    """How one text of the record is read: the same for all rows, or from a column by a mapping.

    Parameters
    ----------
    mapping
        Raw text -> wire text; empty takes the raw text as it is.
    default
        Wire text of a raw text that the mapping does not know; None leaves null.
    """

    name: str
    constant: str | None = None
    column: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRule:
    """How a true-or-false value is read; any other text is null and counted."""

    name: str
    column: str
    true_values: frozenset[str]
    false_values: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProfile:
    """Everything that turns a file into records of one contract.

    Parameters
    ----------
    file
        The profile's own file; its bytes are part of a replayed record's identity.
    contract
        Identifier of the record contract.
    time_zone
        Zone whose 04:00 turns the pseudonym epoch.
    vehicle_column
        Column with the vehicle; None takes it from the archive's member names. Empty for air.
    """

    file: Path
    name: str
    contract: str
    format: FileFormat
    time: TimeRule
    position: PositionRule
    time_zone: ZoneInfo
    vehicle_column: str | None = ""
    numbers: tuple[NumberRule, ...] = ()
    texts: tuple[TextRule, ...] = ()
    flags: tuple[FlagRule, ...] = ()
    trip_ends: TripEnds = TripEnds.KEEP

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Every column of the file that the profile uses, each once, in a stable order."""
        position = self.position
        named = [
            self.vehicle_column or "",
            self.time.column,
            position.lon,
            position.lat,
            position.polyline,
            *(rule.column for rule in self.numbers),
            *(rule.column for rule in self.texts),
            *(rule.column for rule in self.flags),
        ]
        return tuple(dict.fromkeys(name for name in named if name))


def shipped_profiles() -> dict[str, Path]:
    """Return the profiles that come with Clearway, by name."""
    inside = Path(str(resources.files("clearway_edge"))) / "profiles"
    beside = Path(str(resources.files("clearway_edge"))).parent / "profiles"
    folder = inside if inside.is_dir() else beside
    return {file.stem: file for file in sorted(folder.glob(f"*{PROFILE_SUFFIX}"))}


def find_profile(name_or_path: str | Path) -> Path:
    """Return the file of a profile given by path or by the name of a shipped one.

    Raises
    ------
    UsageError
        If there is neither; the message lists the shipped names.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_profiles()
    stem = path.name.removesuffix(PROFILE_SUFFIX)
    if path.parent == Path() and stem in shipped:
        return shipped[stem]
    message = (
        f"no source profile {str(name_or_path)!r}: give the path of a TOML file or one of "
        f"{', '.join(shipped)}. `clearway inspect FILE` drafts a profile for a new file."
    )
    raise UsageError(message)
