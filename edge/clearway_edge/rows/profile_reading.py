"""Reading a source profile from TOML, all faults at once."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

from clearway_core.clock import to_ms
from clearway_core.contracts.field import Contract, DataType
from clearway_core.contracts.wire import AIR_READING, GPS_PING, VEHICLE_CLASSES
from clearway_core.errors import UnknownUnit
from clearway_core.settings import Section, open_toml, raise_faults
from clearway_core.units import kmh_per
from clearway_edge.rows.profile import (
    PUBLIC_CLASSES,
    Ambiguous,
    Datum,
    Era,
    FileFormat,
    FileKind,
    FlagRule,
    NullIsland,
    NumberRule,
    PositionRule,
    SourceProfile,
    TextRule,
    TimeFormat,
    TimeRule,
    TripEnds,
)

_SEPARATORS = {"space": " ", "tab": "\t", "whitespace": None}
_FOREVER_MS = 1 << 62
_CONTRACTS = {contract.identifier: contract for contract in (GPS_PING, AIR_READING)}
_OFFSET_FIELDS = ("lon_deg", "lat_deg")


def read_profile(file: Path) -> SourceProfile:
    """Return the source profile of a TOML file.

    Raises
    ------
    SettingsError
        With every fault, file and key named.
    """
    top, faults = open_toml(file)
    contract = top.text("contract", GPS_PING.identifier, allowed=tuple(_CONTRACTS))
    is_gps = contract != AIR_READING.identifier
    layout = _format(top.section("format"))
    zone = top.time_zone("time_zone")
    numbers, texts, flags, vehicle = _vehicles(top, layout) if is_gps else _air(top)
    profile = SourceProfile(
        file=file,
        name=top.text("name", file.stem),
        contract=contract,
        format=layout,
        time=_time(top.section("time")),
        position=_position(top.section("position")),
        time_zone=zone,
        vehicle_column=vehicle,
        numbers=numbers,
        texts=texts,
        flags=flags,
        trip_ends=_privacy(top, texts, is_gps=is_gps),
    )
    top.finish()
    _check_columns(top, profile)
    raise_faults(faults)
    return profile


def _column(section: Section, key: str) -> str:
    name = section.text(key)
    if key in section and not name:
        section.fault(key, "expected the name of a column, got an empty text")
    return name


def _format(section: Section) -> FileFormat:
    kind = section.choice("kind", FileKind)
    separator_name = section.text("separator", ",")
    separator = _SEPARATORS.get(separator_name, separator_name)
    if separator is not None and len(separator) != 1:
        section.fault("separator", "expected one character, space, tab or whitespace")
        separator = ","
    quote = section.text("quote", '"')
    if len(quote) > 1:
        section.fault("quote", f"expected one character or an empty text, got {quote!r}")
        quote = '"'
    columns = section.texts("columns", ())
    header = section.flag("header", not columns)
    if not header and not columns and kind in {FileKind.CSV, FileKind.ARCHIVE}:
        section.fault("columns", "a file without header needs the names of its columns, in order")
    layout = FileFormat(
        kind=kind,
        separator=separator,
        header=header,
        columns=columns,
        skip_lines=section.whole("skip_lines", 0),
        encoding=_encoding(section),
        quote=quote or None,
        decimal_comma=section.flag("decimal_comma", default=False),
        missing_values=frozenset(section.texts("missing_values", ())),
        member_pattern=_pattern(section),
        records=section.text("records", ""),
    )
    section.finish()
    return layout


def _encoding(section: Section) -> str:
    name = section.text("encoding", "utf-8-sig")
    try:
        codecs.lookup(name)
    except LookupError:
        section.fault("encoding", f"expected a text encoding such as utf-8, got {name!r}")
        return "utf-8-sig"
    return name


def _pattern(section: Section) -> re.Pattern[str] | None:
    text = section.optional_text("member_pattern")
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        section.fault("member_pattern", f"is not a regular expression: {error}")
        return None
    if "vehicle" not in pattern.groupindex:
        section.fault("member_pattern", "expected a group (?P<vehicle>…) in the expression")
    return pattern


def _time(section: Section) -> TimeRule:
    format_ = section.choice("format", TimeFormat)
    since_ms, pattern = 0, ""
    if format_ is TimeFormat.SECONDS_SINCE:
        since_ms = _instant(section, "since") or 0
    if format_ is TimeFormat.PATTERN:
        pattern = section.text("pattern")
    zone = section.time_zone("zone") if "zone" in section else None
    if format_ is TimeFormat.PATTERN and zone is None and "%z" not in pattern:
        section.fault("zone", "a pattern without %z needs the IANA time zone of the file")
    rule = TimeRule(
        column=_column(section, "column"),
        format=format_,
        since_ms=since_ms,
        pattern=pattern,
        zone=zone,
        ambiguous=section.choice("ambiguous", Ambiguous, Ambiguous.EARLIER),
    )
    section.finish()
    return rule


def _instant(section: Section, key: str) -> int | None:
    text = section.text(key)
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        section.fault(key, f"expected an instant with offset, got {text!r}")
        return None


def _position(section: Section) -> PositionRule:
    lon = lat = polyline = ""
    lat_first, step_s = False, 0.0
    fixed: tuple[float, float] | None = None
    if "polyline" in section:
        polyline = _column(section, "polyline")
        lat_first = section.text("order", allowed=("lon_lat", "lat_lon")) == "lat_lon"
        step_s = section.number("step_s", minimum=0.001)
    elif "lon_deg" in section or "lat_deg" in section:
        fixed = (
            section.number("lon_deg", minimum=-180, maximum=180),
            section.number("lat_deg", minimum=-90, maximum=90),
        )
    else:
        lon, lat = _column(section, "lon"), _column(section, "lat")
        if lon == lat:
            section.fault("lat", f"lon and lat are the same column {lon!r}")
    rule = PositionRule(
        datum=section.choice("datum", Datum),
        lon=lon,
        lat=lat,
        polyline=polyline,
        lat_first=lat_first,
        step_s=step_s,
        fixed_deg=fixed,
        null_island=section.choice("null_island", NullIsland, NullIsland.DROP),
    )
    section.finish()
    return rule


Parts = tuple[tuple[NumberRule, ...], tuple[TextRule, ...], tuple[FlagRule, ...], str | None]


def _vehicles(top: Section, layout: FileFormat) -> Parts:
    vehicle = top.section("vehicle")
    column: str | None
    if layout.kind is FileKind.ARCHIVE and "column" not in vehicle:
        column = None
        if layout.member_pattern is None:
            top.fault("format.member_pattern", "missing; expected where the vehicle's name is")
    else:
        column = _column(vehicle, "column")
    texts = [_provider(top), *_vehicle_class(vehicle)]
    vehicle.finish()
    numbers = []
    if "speed" in top:
        numbers.append(_speed(top.section("speed")))
    for key, name in (("heading", "heading_deg"), ("accuracy", "accuracy_m")):
        if key in top:
            numbers.append(_number(top.section(key), name))
    flags = (_flag(top.section("occupied"), "occupied"),) if "occupied" in top else ()
    return tuple(numbers), tuple(texts), flags, column


def _provider(top: Section) -> TextRule:
    if "provider_column" in top:
        return TextRule(name="provider", column=_column(top, "provider_column"))
    name = top.text("provider")
    pattern = GPS_PING.field("provider").pattern or ""
    if name and re.fullmatch(pattern, name) is None:
        top.fault("provider", f"expected small letters, digits, . _ or -, got {name!r}")
    return TextRule(name="provider", constant=name)


def _vehicle_class(section: Section) -> list[TextRule]:
    name = "vehicle_class"
    if "class" in section:
        return [TextRule(name=name, constant=section.text("class", allowed=VEHICLE_CLASSES))]
    if "class_column" not in section:
        return []
    classes = section.section("classes")
    mapping = {key: classes.text(key, allowed=VEHICLE_CLASSES) for key in classes.keys()}  # noqa: SIM118 -- a Section is no mapping
    if not mapping:
        section.fault("classes", "missing; expected a table from the column's texts to classes")
    rule = TextRule(
        name=name, column=_column(section, "class_column"), mapping=mapping, default="unknown"
    )
    return [rule]


def _speed(section: Section) -> NumberRule:
    eras = tuple(_era(part) for part in section.sections("era"))
    if eras and "unit" in section:
        section.fault("unit", "give either one unit or [[speed.era]] tables, not both")
    scale = 1.0 if eras else _speed_scale(section)
    ordered = sorted(eras, key=lambda era: era.from_ms)
    if any(a.until_ms > b.from_ms for a, b in pairwise(ordered)):
        section.fault("era", "eras overlap: an instant must have one unit")
    rule = NumberRule(
        name="speed_kmh",
        column=_column(section, "column"),
        scale=scale,
        sentinels=_sentinels(section),
        eras=tuple(ordered),
    )
    section.finish()
    return rule


def _speed_scale(section: Section) -> float:
    unit = section.text("unit")
    try:
        return kmh_per(unit) if unit else 1.0
    except UnknownUnit as error:
        section.fault("unit", str(error))
        return 1.0


def _era(section: Section) -> Era:
    era = Era(
        from_ms=_day(section, "from", -_FOREVER_MS),
        until_ms=_day(section, "until", _FOREVER_MS),
        scale=_speed_scale(section),
    )
    if era.from_ms >= era.until_ms:
        section.fault("until", "expected a day after `from`")
    section.finish()
    return era


def _day(section: Section, key: str, default: int) -> int:
    text = section.optional_text(key)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        section.fault(key, f"expected a UTC day such as 2016-01-31, got {text!r}")
        return default
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _number(section: Section, name: str) -> NumberRule:
    rule = NumberRule(
        name=name,
        column=_column(section, "column"),
        scale=section.number("scale", 1.0),
        offset=section.number("offset", 0.0),
        sentinels=_sentinels(section),
    )
    section.finish()
    return rule


def _sentinels(section: Section) -> frozenset[float]:
    if "sentinels" not in section:
        return frozenset()
    return frozenset(section.numbers("sentinels"))


def _flag(section: Section, name: str) -> FlagRule:
    rule = FlagRule(
        name=name,
        column=_column(section, "column"),
        true_values=frozenset(section.texts("true_values", ("1", "true", "True"))),
        false_values=frozenset(section.texts("false_values", ("0", "false", "False"))),
    )
    if rule.true_values & rule.false_values:
        section.fault("false_values", "a text cannot mean both true and false")
    section.finish()
    return rule


def _air(top: Section) -> Parts:
    sensor = top.section("sensor")
    texts = [_text(sensor, "sensor", "id"), _text(sensor, "sensor_model", "model")]
    sensor.finish()
    named = [NumberRule(name=name, column=name) for name in top.texts("channels_as_named", ())]
    section = top.section("channels")
    named += [_number(section.section(key), key) for key in section.keys()]  # noqa: SIM118 -- a Section is no mapping
    _check_channels(top, AIR_READING, [rule.name for rule in named])
    return tuple(named), tuple(texts), (), ""


def _text(section: Section, name: str, key: str) -> TextRule:
    column = f"{key}_column"
    if column in section:
        return TextRule(name=name, column=_column(section, column))
    constant = section.text(key)
    pattern = AIR_READING.field(name).pattern or ""
    if constant and re.fullmatch(pattern, constant) is None:
        section.fault(key, f"expected a text that matches {pattern}, got {constant!r}")
    return TextRule(name=name, constant=constant)


def _check_channels(top: Section, contract: Contract, names: Sequence[str]) -> None:
    channels = [
        field.name
        for field in contract.fields
        if field.dtype is DataType.FLOAT64 and field.name not in _OFFSET_FIELDS
    ]
    if not names:
        top.fault("channels", f"missing; expected at least one of {', '.join(channels)}")
    for name in names:
        if name not in channels:
            top.fault(f"channels.{name}", f"unknown channel; known: {', '.join(channels)}")
    if len(set(names)) != len(names):
        top.fault("channels", "a channel is given twice")


def _privacy(top: Section, texts: Sequence[TextRule], *, is_gps: bool) -> TripEnds:
    section = top.section("privacy")
    vehicle_class = next((rule.constant for rule in texts if rule.name == "vehicle_class"), None)
    # Where a private car starts and ends is somebody's home: without a word, that is cut.
    public = not is_gps or vehicle_class in PUBLIC_CLASSES
    default = TripEnds.KEEP if public else TripEnds.CUT
    ends = section.choice("trip_ends", TripEnds, default) if is_gps else default
    section.finish()
    return ends


def _check_columns(top: Section, profile: SourceProfile) -> None:
    layout = profile.format
    if layout.header or layout.kind not in {FileKind.CSV, FileKind.ARCHIVE}:
        return
    for column in profile.source_columns:
        if column not in layout.columns:
            known = ", ".join(layout.columns)
            top.fault("format.columns", f"lacks {column!r}, which is mapped; it has {known}")
